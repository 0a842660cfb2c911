#include "ring_wake.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NAPS_UNKNOWN UINT64_MAX
#define NO_LIMIT UINT32_MAX

enum {
    COMING_FOR_US = 200, /* a worker takes so long to arrive, if it finds a processor */
    STALLED_US = 2000
};

/* -- shared --------------------------------------------------------------------------------------------------- */

/* The bell is changed first, so that a worker on its way to sleep does not. */
long mpq_ring_bell_ring(mpq_ring_bell *bell, int how_many)
{
    atomic_fetch_add(&bell->strokes, 1);
    return syscall(SYS_futex, &bell->strokes, FUTEX_WAKE, how_many, NULL, NULL, 0);
}

uint32_t mpq_ring_bell_count_nap(mpq_ring_bell *bell)
{
    uint32_t strokes = atomic_load(&bell->strokes);
    atomic_fetch_add(&bell->naps, 1);
    return strokes;
}

void mpq_ring_bell_wait(mpq_ring_bell *bell, uint32_t strokes, uint32_t timeout_ms)
{
    struct timespec limit = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
    syscall(SYS_futex, &bell->strokes, FUTEX_WAIT, strokes, &limit, NULL, 0);
}

/* -- the dispatcher's ------------------------------------------------------------------------------------------ */

void mpq_ring_waker_init(mpq_ring_waker *waker, mpq_ring_bell *bell)
{
    memset(waker, 0, sizeof *waker);
    waker->bell = bell;
    waker->nobody_sleeps = NAPS_UNKNOWN;
    waker->budget = NO_LIMIT;
}

/* False when nobody sleeps: then everyone counted in `naps` so far is awake and will look at the ring before it sleeps
 * again, so there is nobody to wake until the count changes. */
static bool wake_one(mpq_ring_waker *waker, uint64_t naps)
{
    if (mpq_ring_bell_ring(waker->bell, 1) <= 0) {
        waker->nobody_sleeps = naps;
        return false;
    }
    waker->coming++;
    if (waker->budget != NO_LIMIT && waker->budget > 0)
        waker->budget--;
    return true;
}

/* Who has gone to sleep since the last look is neither among those that were seen to be awake nor on its way. */
static void count_naps(mpq_ring_waker *waker, uint64_t naps)
{
    uint64_t napped = naps - waker->naps_counted, budget = waker->budget + napped;
    waker->naps_counted = naps;
    waker->coming -= napped < waker->coming ? (uint32_t)napped : waker->coming;
    if (waker->budget != NO_LIMIT)
        waker->budget = budget < NO_LIMIT ? (uint32_t)budget : NO_LIMIT - 1;
}

static bool may_wake(mpq_ring_waker *waker, uint64_t naps)
{
    count_naps(waker, naps);
    return waker->budget > 0;
}

void mpq_ring_waker_wake(mpq_ring_waker *waker)
{
    uint64_t naps = atomic_load(&waker->bell->naps);
    if (naps == waker->nobody_sleeps)
        return;
    if (may_wake(waker, naps))
        wake_one(waker, naps);
    else
        waker->held_back = true;
}

/* Who seems to compete may be stopped, or busy with something that is no job: one more for each time that nothing was
 * claimed for a while. */
static void notice_stall(mpq_ring_waker *waker, const mpq_ring_sight *sight)
{
    bool moves = !waker->held_back || sight->head != waker->stalled_at_head;
    if (!moves && sight->now_us - waker->stalled_since_us < STALLED_US)
        return;
    waker->beyond = moves ? 0 : waker->beyond + 1;
    waker->stalled_at_head = sight->head;
    waker->stalled_since_us = sight->now_us;
}

static void set_budget(mpq_ring_waker *waker, const mpq_ring_sight *sight)
{
    count_naps(waker, sight->naps);
    if (sight->now_us - waker->coming_since_us > COMING_FOR_US) {
        waker->coming = 0;
        waker->coming_since_us = sight->now_us;
    }
    uint64_t limit = (uint64_t)sight->limit + waker->beyond, awake = (uint64_t)sight->awake + waker->coming;
    if (sight->limit == NO_LIMIT)
        waker->budget = NO_LIMIT;
    else
        waker->budget = limit > awake ? (uint32_t)(limit - awake) : 0;
}

void mpq_ring_waker_pace(mpq_ring_waker *waker, const mpq_ring_sight *sight)
{
    uint32_t left = sight->ready;
    uint64_t naps = atomic_load(&waker->bell->naps);
    waker->held_back = waker->held_back && left > 0;
    notice_stall(waker, sight);
    set_budget(waker, sight);
    if (!waker->held_back)
        return;
    while (left > 0 && naps != waker->nobody_sleeps && may_wake(waker, naps) && wake_one(waker, naps))
        left--;
    waker->held_back = left > 0 && naps != waker->nobody_sleeps;
}
