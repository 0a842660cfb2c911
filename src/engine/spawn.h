/*
 * Every way a process comes into being. The child returns from the call like the parent; until it calls
 * mpq_signals_enter_child all its signals are blocked, so no event of the parent can be handled by it.
 */
#ifndef MPQ_SPAWN_H
#define MPQ_SPAWN_H

#include "process.h"

/* A child of the manager: pid, 0 in the child (self->role is set, host->after_fork was called, SIGKILL follows when the
 * manager dies), -1. */
pid_t mpq_spawn_child(mpq_process *self, enum mpq_role role, mpq_error *err);

/* Called by the template: a copy of itself that is a child of the *manager* and works as `index` on the board. The
 * board's pid is set by both sides. In the child, self->role and worker_index are set. */
pid_t mpq_spawn_worker(mpq_process *self, uint32_t index, mpq_error *err);

/* Makes the kernel kill this process when the manager dies; ends it when that has happened already. A change of user or
 * group ends the arrangement, so it is made again after user code that may have done that. */
void mpq_spawn_follow_manager(const mpq_process *self);

/* Detaches from terminal and parent by forking twice: 0 in the daemon, the pid of the process in between in the caller
 * (wait for it), -1. */
pid_t mpq_spawn_daemon(const mpq_host *host, mpq_error *err);

#endif
