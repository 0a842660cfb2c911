/* The time limits of running jobs: at the limit the worker is interrupted, after the grace it is killed. And of user
 * code that runs between them. */
#ifndef MPQ_DEADLINE_H
#define MPQ_DEADLINE_H

#include "roster.h"

/* Does what is due and returns when the next thing will be (monotonic), UINT64_MAX = never. */
uint64_t mpq_deadline_enforce(mpq_roster *roster, uint64_t now_ms);

#endif
