/* How many jobs a node should have waiting for its workers. Pure. */
#ifndef MPQ_PREFETCH_H
#define MPQ_PREFETCH_H

#include "base.h"

#define MPQ_PREFETCH_MAX 384         /* measured drain: 64 costs 45 %, 256 15 % */
#define MPQ_PREFETCH_WINDOW_US 50000 /* a waiting job should not wait longer than this behind others */

/* Moving average of run times. Zero-initialised = nothing measured yet. */
typedef struct mpq_prefetch {
    uint64_t average_us;
    bool measured;
} mpq_prefetch;

void mpq_prefetch_measure(mpq_prefetch *prefetch, uint32_t run_us);

/*
 * Jobs that should be posted and unclaimed: one for each idle worker, and as many more as `workers` get through
 * within the window, so that tiny jobs come in large batches and a long job holds nothing back behind it.
 * `youngest_running_us` is how long the youngest of the running jobs has been running already: while every worker is
 * busy with something long, the average of the past says nothing.
 */
uint32_t mpq_prefetch_target(const mpq_prefetch *prefetch, uint32_t workers, uint32_t idle,
                             uint64_t youngest_running_us);

#endif
