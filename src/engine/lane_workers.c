/* What the workers of a queue are doing, and so how many jobs and how many of them are wanted. */
#include "lane.h"

#include <sched.h>

enum {
    LONG_ASIDE_MS = 100,
    LONG_RUN_MS = 2,   /* not another short job */
    NEWS_MS = 8,       /* so long it says something of the jobs behind it */
    SHORT_JOB_US = 100 /* on the average: waking a worker takes about as long */
};

uint32_t mpq_lane_count_processors(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    return count > 0 ? (uint32_t)count : UINT32_MAX;
}

/* It is busy with what jobs have left behind. The manager sets that a limit, once it has been told. */
static bool is_aside(const mpq_lane *lane, const mpq_board_worker *worker, uint64_t now, uint64_t *since)
{
    struct mpq_board_shared *shared = lane->process->board.shared;
    uint64_t aside_since = atomic_load_explicit(&worker->aside_since_ms, memory_order_relaxed);
    if (aside_since == 0 || now < aside_since + LONG_ASIDE_MS)
        return false;
    if (lane->config->timeout_ms && aside_since + lane->config->timeout_ms < atomic_load(&shared->manager_wakes_at_ms))
        mpq_board_wake(lane->process->board.manager_wake_fd);
    *since = aside_since;
    return true;
}

/* What the limit of those that are woken depends on. */
typedef struct sight {
    uint32_t competing;   /* for a processor: neither asleep nor leaving nor in a long job */
    uint32_t long_lately; /* turned out to be in a long job, lately */
} sight;

static sight count_workers(mpq_lane *lane, uint64_t now)
{
    mpq_board_file *board = lane->process->board.file;
    uint64_t youngest = UINT64_MAX;
    sight seen = {0};
    lane->workers = lane->idle = 0;
    for (uint32_t i = 0; i < board->worker_capacity; i++) {
        mpq_board_worker *worker = &board->workers[i];
        int32_t state = atomic_load_explicit(&worker->state, memory_order_relaxed);
        if ((state != MPQ_WORKER_IDLE && state != MPQ_WORKER_BUSY) || worker->queue != lane->index ||
            atomic_load_explicit(&worker->retire, memory_order_relaxed))
            continue;
        /* The token is even before the result is published, so whoever is woken by a result sees an idle worker. */
        uint64_t since = atomic_load_explicit(&worker->run_started_at_ms, memory_order_relaxed);
        bool running = (atomic_load(&worker->run_token) & 1) || is_aside(lane, worker, now, &since);
        uint64_t for_ms = running && now > since ? now - since : 0;
        lane->workers++;
        lane->idle += !running;
        bool leaving = atomic_load_explicit(&worker->leaving_at_ms, memory_order_relaxed) != 0;
        seen.competing += for_ms < LONG_RUN_MS && !leaving && !mpq_ring_is_asleep(lane->ring, i);
        seen.long_lately += for_ms >= LONG_RUN_MS && for_ms < NEWS_MS;
        if (for_ms < youngest)
            youngest = for_ms;
    }
    lane->youngest_running_us = lane->workers ? youngest * 1000 : 0;
    lane->target = mpq_prefetch_target(&lane->prefetch, lane->workers, lane->idle, lane->youngest_running_us);
    return seen;
}

/* Of short jobs each processor can be kept busy by one worker. How long those take that are ready nobody knows: where
 * some turn out to be long, more may be. Without the broker nothing comes that is worth the waiting, and the attempts
 * to reach it would keep us from waking anyone. */
static uint32_t awake_limit(const mpq_lane *lane, uint32_t long_lately)
{
    bool short_jobs = lane->prefetch.measured && lane->prefetch.average_us < SHORT_JOB_US;
    bool too_many = lane->workers > lane->processors;
    if (!short_jobs || !too_many || lane->state != MPQ_LANE_UP || mpq_lane_is_stopping(lane))
        return UINT32_MAX;
    return lane->processors + long_lately;
}

void mpq_lane_look_at_workers(mpq_lane *lane, uint64_t now_us)
{
    uint64_t naps = mpq_ring_naps(lane->ring);
    sight seen = count_workers(lane, now_us / 1000);
    mpq_ring_pace(lane->feeder, naps, seen.competing, awake_limit(lane, seen.long_lately), now_us);
}
