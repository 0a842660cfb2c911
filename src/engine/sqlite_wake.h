/*
 * Waking consumers in other processes: a file beside the database (<path>-wake) into which whoever makes a job ready
 * writes one byte, and which consumers watch with inotify. A hint only: without it (no inotify, file removed or not
 * writable) consumers find the job when they look by themselves.
 */
#ifndef MPQ_SQLITE_WAKE_H
#define MPQ_SQLITE_WAKE_H

#include "error.h"

typedef struct mpq_sqlite_wake {
    char *path;   /* owned */
    int file;     /* -1 = not open: nobody has ever waited, as far as known */
    int watch_fd; /* inotify, -1 = none */
    int watch;
} mpq_sqlite_wake;

int mpq_sqlite_wake_init(mpq_sqlite_wake *wake, const char *database_path, mpq_error *err);
/* Also right for what was inherited over a fork: closes descriptors, and touches what is behind them in no way. */
void mpq_sqlite_wake_fini(mpq_sqlite_wake *wake);

/* Tells everybody who watches. Costs one system call if nobody ever has. */
void mpq_sqlite_wake_signal(mpq_sqlite_wake *wake);

/* Begins to watch; creates the file, with the database's mode. Does nothing when watching already. */
void mpq_sqlite_wake_watch(mpq_sqlite_wake *wake, const char *database_path);
/* Forgets the signals that have come so far. */
void mpq_sqlite_wake_drain(mpq_sqlite_wake *wake, const char *database_path);

#endif
