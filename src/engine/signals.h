/*
 * Which signal means what.
 *
 * Manager:  SIGTERM, SIGINT  stop when the running jobs have ended; the second one stops at once
 *           SIGHUP           the same when it runs on a terminal; without effect in a daemon, or if ignored at start
 *           SIGUSR2          reload
 *           SIGUSR1, SIGPIPE without effect
 * Children: SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 without effect: a terminal or an init system signals the whole
 * group, and only the manager decides. They have an empty handler instead of being ignored, so that programs started by
 * a job begin with the default. A worker takes SIGTERM as "leave after the current job" by its own handler.
 */
#ifndef MPQ_SIGNALS_H
#define MPQ_SIGNALS_H

#include "process.h"

/* Private: the manager asks a worker to look at its board entry's `interrupt`. SIGRTMIN itself is taken by timers of
 * some embedders. */
#define MPQ_SIGNAL_INTERRUPT (SIGRTMIN + 6)

/* Remembers mask and dispositions, gives SIGPIPE and SIGUSR1 no effect and lets the table's signals through. For the
 * process that becomes the manager. */
void mpq_signals_save(mpq_process *self);
/* Puts back what save found. */
void mpq_signals_restore(const mpq_process *self);
/* Whether the service was started with the signal ignored (nohup). */
bool mpq_signals_was_ignored(const mpq_process *self, int number);

void mpq_signals_block_all(void);
/* In a forked child, with all signals blocked: sets what the table above says, restores the rest, unblocks. */
void mpq_signals_enter_child(const mpq_process *self);

#endif
