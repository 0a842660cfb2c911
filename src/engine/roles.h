/* The mains of the two roles that work for the broker. Both are called with every signal unblocked, SIGINT, SIGTERM and
 * SIGHUP without effect (see signals.h), no event loop and no foreign descriptors, and return the process's exit
 * status. Each role's process ends by itself when the manager dies. */
#ifndef MPQ_ROLES_H
#define MPQ_ROLES_H

#include "process.h"

/* Returns 0 only after everything was settled and detached (shared->stopping was 2); anything else makes the manager
 * start another one. When it fails before it was ever ready, err->text is shown to whoever starts the service. */
int mpq_dispatcher_run(struct mpq_process *self, mpq_error *err);

/* Returns 0 when it leaves as wanted (retire, stopping, SIGTERM, recycling). When worker_start fails: not 0, the board
 * state still STARTING and err->text set. */
int mpq_worker_run(struct mpq_process *self, uint32_t worker_index, mpq_error *err);

#endif
