/* A worker leads a process group, in which the programs that its job starts are, too, unless they make a group or
 * session of their own. So a job can be ended with all that it is about to leave running. */
#ifndef MPQ_GROUP_H
#define MPQ_GROUP_H

#include <sys/types.h>

#include "base.h"

/* Manager, when the worker has been reaped: kills what is left of its group and waits, not for long, until it is gone.
 */
void mpq_group_end(pid_t leader);
/* Worker: the same for everybody in its group but itself. How many there were. */
size_t mpq_group_end_others(void);
/* Next start, for a worker of a service that was killed: kills what is left of its group; nobody's that has got the
 * same number since. How many still live. */
size_t mpq_group_end_orphans(pid_t leader, uint64_t leader_born);

#endif
