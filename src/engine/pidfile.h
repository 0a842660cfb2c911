/*
 * The pid file <pid_path>/mpQueue-<name>.pid is the lock of a service: whoever holds the write lock on it runs. The
 * kernel drops the lock with its process, children don't inherit it, and it names its holder; the content is for
 * people. Any close of the file by the holding process drops the lock, so nothing else in the manager may open it.
 */
#ifndef MPQ_PIDFILE_H
#define MPQ_PIDFILE_H

#include <limits.h>
#include <sys/types.h>

#include "config.h"

typedef struct mpq_pidfile {
    int fd;
    char path[PATH_MAX];
} mpq_pidfile;

/* Builds <pid_path>/mpQueue-<name>.<suffix>. */
int mpq_pidfile_path(const mpq_config *config, const char *suffix, char *out, size_t size, mpq_error *err);

/* Takes the lock and writes the pid. MPQ_ERROR_STATE names the holder when another service has it. Refuses what is not
 * a regular file of this user. */
int mpq_pidfile_acquire(const mpq_config *config, mpq_pidfile *out, mpq_error *err);
/* Removes the file and drops the lock. */
void mpq_pidfile_release(mpq_pidfile *file);
/* In a child: closes the descriptor. The parent keeps its lock. */
void mpq_pidfile_forget(mpq_pidfile *file);

/* The pid that holds the lock, 0 when nobody does, -1 on error. Never called by the holder. */
pid_t mpq_pidfile_holder(const mpq_config *config, mpq_error *err);

#endif
