/* Processes that must not be left behind: those of a predecessor that was killed, and orphans of our own jobs. */
#ifndef MPQ_LEFTOVER_H
#define MPQ_LEFTOVER_H

#include "board.h"
#include "log.h"

/* Everything below a manager is killed by the kernel when it dies, but that takes a moment. Waits for it, helps with
 * SIGKILL, and returns when they are gone (or can't be killed, after some seconds, with a warning). Processes that only
 * have the same pid by now are left alone. */
void mpq_leftover_end_predecessor(const mpq_board_file *dead, mpq_log *log);

typedef struct mpq_leftover_spared {
    pid_t pids[256];
    size_t count;
} mpq_leftover_spared;

/* The children this process has before the service begins; they are none of its business. */
void mpq_leftover_note(mpq_leftover_spared *spared);
/* Kills and reaps every other child, also those that become ours while it does so. */
void mpq_leftover_end_children(const mpq_leftover_spared *spared, mpq_log *log);

#endif
