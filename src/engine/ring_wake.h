/*
 * Which of a ring's sleeping workers are woken, and when. Part of the ring, see ring.h.
 *
 * Every posting wakes one worker as long as any sleeps. That costs both sides some microseconds, so with jobs that are
 * shorter than that, more workers than processors only get into each other's way. So the dispatcher may limit how many
 * compete; then it has to come back soon, to see whether those get on.
 */
#ifndef MPQ_RING_WAKE_H
#define MPQ_RING_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* In shared memory, zero-filled. */
typedef struct mpq_ring_bell {
    _Atomic uint64_t naps;    /* how often a worker went to sleep, or left */
    _Atomic uint32_t strokes; /* the futex workers sleep on: changes with every wake-up */
} mpq_ring_bell;

/* Wakes up to `how_many`; returns how many were woken. */
long mpq_ring_bell_ring(mpq_ring_bell *bell, int how_many);
/* A worker that wants to sleep counts itself, then looks whether there is still nothing to do, and then waits. */
uint32_t mpq_ring_bell_count_nap(mpq_ring_bell *bell);
void mpq_ring_bell_wait(mpq_ring_bell *bell, uint32_t strokes, uint32_t timeout_ms);

/* The dispatcher's own. */
typedef struct mpq_ring_waker {
    mpq_ring_bell *bell;
    uint64_t nobody_sleeps; /* as long as bell->naps is this */
    uint32_t budget;        /* so many more may be woken, and one for each nap since; UINT32_MAX = any number */
    uint64_t naps_counted;
    uint32_t coming; /* woken lately: perhaps they are not seen to be awake yet */
    uint64_t coming_since_us;
    bool held_back; /* something was posted, and nobody woken for it */
    uint64_t stalled_at_head, stalled_since_us;
    uint32_t beyond; /* so many more than the limit, because nothing got on */
} mpq_ring_waker;

/* What the dispatcher has seen of the workers and the ring. */
typedef struct mpq_ring_sight {
    uint64_t now_us; /* monotonic */
    uint64_t naps;   /* read before looking who is awake */
    uint32_t awake;  /* workers that compete for a processor */
    uint32_t limit;  /* and so many should; UINT32_MAX = any number */
    uint64_t head;   /* of the ring */
    uint32_t ready;
} mpq_ring_sight;

void mpq_ring_waker_init(mpq_ring_waker *waker, mpq_ring_bell *bell);
/* Something was posted. */
void mpq_ring_waker_wake(mpq_ring_waker *waker);
/* Sets the budget, and wakes whom it allows for what is ready. */
void mpq_ring_waker_pace(mpq_ring_waker *waker, const mpq_ring_sight *sight);

#endif
