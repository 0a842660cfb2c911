/* Numbered jobs in a ring, for tests that play both of its sides. */
#ifndef MPQ_TEST_RING_JOBS_H
#define MPQ_TEST_RING_JOBS_H

#include "ring.h"

/* Posts the job of that number. The length and the bytes of its envelope follow from it; every fourth lies in the
 * arena. 0, or 1 when there is no room. */
int ring_job_post(mpq_ring_feeder *feeder, uint64_t number);
/* The slot has the job of its number as it was posted by ring_job_post. */
bool ring_job_is_intact(mpq_ring *ring, uint32_t slot);
/* Of the job in the slot: the first bytes of its id. */
uint64_t ring_job_number(mpq_ring *ring, uint32_t slot);
/* As a worker does; reports nothing but the end. */
void ring_job_finish(mpq_ring *ring, uint32_t slot, enum mpq_end end, int wake_fd);
/* How often the dispatcher was woken since the last call; wake_fd does not block. */
uint64_t ring_wake_ups(int wake_fd);

#endif
