#include "prefetch.h"

void mpq_prefetch_measure(mpq_prefetch *prefetch, uint32_t run_us)
{
    if (!prefetch->measured) {
        prefetch->average_us = run_us;
        prefetch->measured = true;
        return;
    }
    /* Grows at once and falls slowly: too little prefetch costs throughput, too much holds jobs back for seconds. */
    if (run_us > prefetch->average_us)
        prefetch->average_us += (run_us - prefetch->average_us + 1) / 2;
    else
        prefetch->average_us -= (prefetch->average_us - run_us) / 16;
}

uint32_t mpq_prefetch_target(const mpq_prefetch *prefetch, uint32_t workers, uint32_t idle,
                             uint64_t youngest_running_us)
{
    if (workers == 0)
        return 0;
    uint64_t extra = 0;
    uint64_t each_us = prefetch->average_us > youngest_running_us ? prefetch->average_us : youngest_running_us;
    if (prefetch->measured)
        extra = (uint64_t)workers * MPQ_PREFETCH_WINDOW_US / (each_us + 1);
    if (extra > MPQ_PREFETCH_MAX)
        extra = MPQ_PREFETCH_MAX;
    uint64_t target = idle + extra;
    return target > MPQ_PREFETCH_MAX ? MPQ_PREFETCH_MAX : (uint32_t)target;
}
