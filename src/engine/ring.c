#include "ring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "ring_wake.h"

/*
 * How it works.
 *
 * Every posting has a position, counted from 0. index[position % SLOTS] is its slot, whose state word repeats the
 * position: READY(position). `tail` is the next position to post, `head` the oldest that may be unclaimed. Claiming is
 * one compare-and-swap of the state word, from READY(head) to RUNNING(head, worker): it takes the job and names its
 * owner at once. Only then does `head` move on, and whoever finds it pointing at something claimed moves it. A state
 * never returns to READY(position) once it has left it, so "not READY(head)" is final and anyone may act on it.
 *
 * Publishing order of a posting: slot, index, READY, tail. A dispatcher that dies before READY leaves a free slot; one
 * that dies between READY and tail leaves a slot at position `tail`, which the next dispatcher publishes.
 *
 * Finishing: outcome, FINISHED, a bit in `done`, perhaps a wake-up. The bits only say where to look. A worker that dies
 * before its bit is set leaves its name in the state word: mpq_ring_claimed_by sets the bit for it. A bit that comes
 * late, when the slot has been used again, is ignored because the state is not FINISHED or the slot is already taken.
 *
 * Two pairs must not miss each other, both "I write, then look at what you wrote" with sequential consistency:
 *  - a worker counts itself in `naps`, then looks at `tail`; the dispatcher moves `tail`, then looks at `naps`;
 *  - the dispatcher writes `wanted`, then looks at `done`; a worker sets `done`, then looks at `wanted`.
 */

#define POSITION_SHIFT 16
#define WORKER_SHIFT 2
#define WORKER_MASK 0x3fffu
#define STATE_MASK 3u

#define DONE_WORDS (MPQ_RING_SLOTS / 64)

_Static_assert(MPQ_RING_SLOTS % 64 == 0 && MPQ_RING_SLOTS <= MPQ_ARENA_ALLOCATIONS, "slots fill the bitmap's words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "a dead process must not leave a lock");

struct mpq_ring {
    char *arena;
    uint64_t arena_bytes;
    _Alignas(64) _Atomic uint64_t tail; /* written by the dispatcher */
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) mpq_ring_bell bell;
    _Atomic uint32_t kicks;
    _Atomic uint32_t used; /* slots from here on were never posted: nobody touches their memory */
    _Alignas(64) _Atomic uint64_t done[DONE_WORDS];
    _Alignas(64) _Atomic uint64_t wanted; /* number of the dispatcher's sleep << 32 | low water + 1, 0 = awake */
    _Alignas(64) _Atomic uint32_t index[MPQ_RING_SLOTS];
    mpq_slot slots[MPQ_RING_SLOTS];
    atomic_bool asleep[WORKER_MASK + 1]; /* by worker */
};

struct mpq_ring_feeder {
    mpq_ring *ring;
    mpq_ring_waker waker;
    uint32_t free_count;
    uint32_t free[MPQ_RING_SLOTS]; /* used as a stack: the slots used last are still in the cache */
    uint64_t found[DONE_WORDS];    /* to be returned by take_finished */
    bool taken[MPQ_RING_SLOTS];
    mpq_arena arena;
};

static uint64_t state_word(enum mpq_slot_state state, uint64_t position, uint32_t worker)
{
    return position << POSITION_SHIFT | (uint64_t)(worker & WORKER_MASK) << WORKER_SHIFT | (uint64_t)state;
}

static enum mpq_slot_state state_of(uint64_t word)
{
    return (enum mpq_slot_state)(word & STATE_MASK);
}

static uint32_t worker_of(uint64_t word)
{
    return (uint32_t)(word >> WORKER_SHIFT) & WORKER_MASK;
}

static uint64_t with_state(uint64_t word, enum mpq_slot_state state)
{
    return (word & ~(uint64_t)STATE_MASK) | (uint64_t)state;
}

static uint64_t load_state(const mpq_ring *ring, uint32_t slot)
{
    return atomic_load_explicit(&ring->slots[slot].state, memory_order_acquire);
}

size_t mpq_ring_bytes(void)
{
    return sizeof(mpq_ring);
}

mpq_ring *mpq_ring_init(void *memory, void *arena, uint64_t arena_bytes)
{
    mpq_ring *ring = memory;
    ring->arena = arena;
    ring->arena_bytes = mpq_arena_capacity(arena_bytes);
    return ring;
}

mpq_slot *mpq_ring_slot(mpq_ring *ring, uint32_t slot)
{
    return &ring->slots[slot];
}

mpq_slice mpq_ring_envelope(const mpq_ring *ring, uint32_t slot)
{
    const mpq_slot *at = &ring->slots[slot];
    bool is_inline = at->envelope_len <= MPQ_SLOT_INLINE_BYTES;
    return mpq_slice_of(is_inline ? at->bytes : ring->arena + at->arena_offset, at->envelope_len);
}

uint64_t mpq_ring_largest(const mpq_ring *ring)
{
    return ring->arena_bytes > MPQ_SLOT_INLINE_BYTES ? ring->arena_bytes : MPQ_SLOT_INLINE_BYTES;
}

enum mpq_slot_state mpq_ring_slot_state(const mpq_ring *ring, uint32_t slot, uint32_t *worker)
{
    uint64_t word = load_state(ring, slot);
    if (worker)
        *worker = worker_of(word);
    return state_of(word);
}

uint32_t mpq_ring_occupied(const mpq_ring *ring, uint32_t *slots, uint32_t max)
{
    uint32_t count = 0, used = atomic_load(&ring->used);
    for (uint32_t slot = 0; slot < used && count < max; slot++)
        if (state_of(load_state(ring, slot)) != MPQ_SLOT_FREE)
            slots[count++] = slot;
    return count;
}

/* tail before head: a posting that happened before the call is never overlooked, unless it was claimed as well. */
static uint32_t count_ready(const mpq_ring *ring)
{
    uint64_t tail = atomic_load(&ring->tail);
    uint64_t head = atomic_load(&ring->head);
    return tail > head ? (uint32_t)(tail - head) : 0;
}

uint32_t mpq_ring_ready(const mpq_ring *ring)
{
    return count_ready(ring);
}

/* Moves the oldest ready slot to `state`, owned by `worker`; its state word names the new owner in the same step. */
static uint32_t take_oldest(mpq_ring *ring, enum mpq_slot_state state, uint32_t worker)
{
    for (;;) {
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (head >= atomic_load(&ring->tail))
            return MPQ_SLOT_NONE;
        uint32_t slot = atomic_load_explicit(&ring->index[head % MPQ_RING_SLOTS], memory_order_relaxed);
        uint64_t ready = state_word(MPQ_SLOT_READY, head, 0);
        uint64_t seen = ready;
        bool is_ours = load_state(ring, slot) == ready &&
                       atomic_compare_exchange_strong(&ring->slots[slot].state, &seen, state_word(state, head, worker));
        uint64_t at = head;
        atomic_compare_exchange_strong(&ring->head, &at, head + 1);
        if (is_ours)
            return slot;
    }
}

/* Moves `head` over what is claimed already. Without it a worker that stopped between claiming and moving the head
 * would be counted as a ready job. */
static void advance_head(mpq_ring *ring)
{
    for (;;) {
        uint64_t head = atomic_load(&ring->head);
        if (head >= atomic_load(&ring->tail))
            return;
        uint32_t slot = atomic_load_explicit(&ring->index[head % MPQ_RING_SLOTS], memory_order_relaxed);
        if (load_state(ring, slot) == state_word(MPQ_SLOT_READY, head, 0))
            return;
        atomic_compare_exchange_strong(&ring->head, &head, head + 1);
    }
}

static void announce(mpq_ring *ring, uint32_t slot)
{
    atomic_fetch_or(&ring->done[slot / 64], UINT64_C(1) << slot % 64);
}

/* -- the dispatcher's side ------------------------------------------------------------------------------------ */

static int restore_slot(mpq_ring_feeder *feeder, uint32_t slot)
{
    const mpq_slot *at = &feeder->ring->slots[slot];
    bool is_used = slot < atomic_load(&feeder->ring->used);
    enum mpq_slot_state state = is_used ? state_of(load_state(feeder->ring, slot)) : MPQ_SLOT_FREE;
    if (state == MPQ_SLOT_FREE) {
        feeder->free[feeder->free_count++] = slot;
        return 0;
    }
    if (state == MPQ_SLOT_FINISHED)
        feeder->found[slot / 64] |= UINT64_C(1) << slot % 64;
    if (at->envelope_len <= MPQ_SLOT_INLINE_BYTES)
        return 0;
    return mpq_arena_restore(&feeder->arena, at->arena_offset, at->envelope_len);
}

/* A predecessor may have died inside a posting, or before it woke anyone for it. */
static void complete_posting(mpq_ring *ring)
{
    uint64_t tail = atomic_load(&ring->tail);
    uint32_t slot = atomic_load(&ring->index[tail % MPQ_RING_SLOTS]);
    if (load_state(ring, slot) == state_word(MPQ_SLOT_READY, tail, 0))
        atomic_store(&ring->tail, tail + 1);
    if (count_ready(ring) > 0)
        mpq_ring_bell_ring(&ring->bell, INT_MAX);
}

int mpq_ring_feeder_open(mpq_ring *ring, mpq_ring_feeder **out, mpq_error *err)
{
    mpq_ring_feeder *feeder = calloc(1, sizeof *feeder);
    if (!feeder)
        return mpq_error_set_memory(err);
    feeder->ring = ring;
    mpq_ring_waker_init(&feeder->waker, &ring->bell);
    mpq_arena_init(&feeder->arena, ring->arena, ring->arena_bytes);
    for (uint32_t i = MPQ_RING_SLOTS; i-- > 0;) {
        if (restore_slot(feeder, i) == 0)
            continue;
        free(feeder);
        return mpq_error_set(
            err, MPQ_ERROR_STATE, "the shared memory of a queue is damaged (slot %u claims %llu bytes at %llu)", i,
            (unsigned long long)ring->slots[i].envelope_len, (unsigned long long)ring->slots[i].arena_offset);
    }
    mpq_arena_trim(&feeder->arena);
    complete_posting(ring);
    *out = feeder;
    return 0;
}

void mpq_ring_feeder_close(mpq_ring_feeder *feeder)
{
    free(feeder);
}

uint32_t mpq_ring_free_slots(const mpq_ring_feeder *feeder)
{
    return feeder->free_count;
}

static int store_envelope(mpq_ring_feeder *feeder, mpq_slot *slot, mpq_slice envelope)
{
    char *to = slot->bytes;
    if (envelope.len > MPQ_SLOT_INLINE_BYTES) {
        uint64_t offset = mpq_arena_take(&feeder->arena, envelope.len);
        if (offset == MPQ_ARENA_NONE)
            return 1;
        slot->arena_offset = offset;
        to = feeder->ring->arena + offset;
    }
    slot->envelope_len = envelope.len;
    if (envelope.len > 0)
        memcpy(to, envelope.data, envelope.len);
    return 0;
}

static void store_id(mpq_slot *slot, mpq_slice envelope)
{
    memset(&slot->id, 0, sizeof slot->id);
    if (envelope.len >= MPQ_ENVELOPE_ID_OFFSET + MPQ_ID_BYTES)
        memcpy(slot->id.bytes, envelope.data + MPQ_ENVELOPE_ID_OFFSET, MPQ_ID_BYTES);
}

void mpq_ring_pace(mpq_ring_feeder *feeder, uint64_t naps, uint32_t awake, uint32_t limit, uint64_t now_us)
{
    advance_head(feeder->ring);
    mpq_ring_sight sight = {.now_us = now_us,
                            .naps = naps,
                            .awake = awake,
                            .limit = limit,
                            .head = atomic_load(&feeder->ring->head),
                            .ready = count_ready(feeder->ring)};
    mpq_ring_waker_pace(&feeder->waker, &sight);
}

bool mpq_ring_holds_back(const mpq_ring_feeder *feeder)
{
    return feeder->waker.held_back && count_ready(feeder->ring) > 0;
}

int mpq_ring_post(mpq_ring_feeder *feeder, mpq_slice envelope, uint32_t epoch, uint64_t reserved_at_ms)
{
    mpq_ring *ring = feeder->ring;
    if (feeder->free_count == 0)
        return 1;
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t number = feeder->free[feeder->free_count - 1];
    mpq_slot *slot = &ring->slots[number];
    if (store_envelope(feeder, slot, envelope) != 0)
        return 1;
    feeder->free_count--;
    if (number >= atomic_load_explicit(&ring->used, memory_order_relaxed))
        atomic_store(&ring->used, number + 1);
    store_id(slot, envelope);
    slot->epoch = epoch;
    slot->reserved_at_ms = reserved_at_ms;
    slot->end = MPQ_END_INTERRUPTED;
    slot->run_us = 0;
    slot->report_len = 0;
    /* The entry's previous position is claimed: what is ready lies in one run before tail, and this slot is not. */
    atomic_store_explicit(&ring->index[tail % MPQ_RING_SLOTS], number, memory_order_relaxed);
    atomic_store_explicit(&slot->state, state_word(MPQ_SLOT_READY, tail, 0), memory_order_release);
    atomic_store(&ring->tail, tail + 1);
    mpq_ring_waker_wake(&feeder->waker);
    return 0;
}

static bool is_fresh_result(const mpq_ring_feeder *feeder, uint32_t slot)
{
    return !feeder->taken[slot] && state_of(load_state(feeder->ring, slot)) == MPQ_SLOT_FINISHED;
}

uint32_t mpq_ring_take_finished(mpq_ring_feeder *feeder, uint32_t *slots, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < DONE_WORDS; word++) {
        _Atomic uint64_t *done = &feeder->ring->done[word];
        if (atomic_load_explicit(done, memory_order_relaxed) != 0)
            feeder->found[word] |= atomic_exchange(done, 0);
        while (feeder->found[word] != 0 && count < max) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(feeder->found[word]);
            feeder->found[word] &= feeder->found[word] - 1;
            if (!is_fresh_result(feeder, slot))
                continue;
            feeder->taken[slot] = true;
            slots[count++] = slot;
        }
    }
    return count;
}

uint32_t mpq_ring_withdraw(mpq_ring_feeder *feeder, uint32_t *slots, uint32_t max)
{
    uint32_t count = 0;
    while (count < max) {
        uint32_t slot = take_oldest(feeder->ring, MPQ_SLOT_FINISHED, WORKER_MASK);
        if (slot == MPQ_SLOT_NONE)
            break;
        feeder->taken[slot] = true;
        slots[count++] = slot;
    }
    return count;
}

void mpq_ring_free(mpq_ring_feeder *feeder, uint32_t slot)
{
    mpq_slot *at = &feeder->ring->slots[slot];
    /* First of all: the envelope of a slot that is not FREE has to be whole. */
    atomic_store_explicit(&at->state, state_word(MPQ_SLOT_FREE, 0, 0), memory_order_release);
    if (at->envelope_len > MPQ_SLOT_INLINE_BYTES)
        mpq_arena_release(&feeder->arena, at->arena_offset, at->envelope_len);
    feeder->taken[slot] = false;
    feeder->free[feeder->free_count++] = slot;
}

static bool is_anything_done(const mpq_ring *ring)
{
    for (uint32_t word = 0; word < DONE_WORDS; word++)
        if (atomic_load(&ring->done[word]) != 0)
            return true;
    return false;
}

static bool is_low(mpq_ring *ring, uint32_t low_water)
{
    if (low_water == UINT32_MAX - 1)
        return true;
    advance_head(ring);
    return count_ready(ring) <= low_water;
}

bool mpq_ring_sleep(mpq_ring *ring, uint32_t low_water)
{
    uint64_t number = (atomic_load_explicit(&ring->wanted, memory_order_relaxed) >> 32) + 1;
    if (low_water > UINT32_MAX - 1)
        low_water = UINT32_MAX - 1;
    atomic_store(&ring->wanted, number << 32 | (low_water + 1));
    if (!is_anything_done(ring) || !is_low(ring, low_water))
        return true;
    mpq_ring_awake(ring);
    return false;
}

void mpq_ring_awake(mpq_ring *ring)
{
    uint64_t wanted = atomic_load_explicit(&ring->wanted, memory_order_relaxed);
    atomic_store_explicit(&ring->wanted, wanted >> 32 << 32, memory_order_relaxed);
}

/* -- a worker's side ------------------------------------------------------------------------------------------ */

uint32_t mpq_ring_claim(mpq_ring *ring, uint32_t worker)
{
    return take_oldest(ring, MPQ_SLOT_RUNNING, worker);
}

/* Counted as another nap: from now on it is not one of those that are awake. */
void mpq_ring_pass_on(mpq_ring *ring)
{
    mpq_ring_bell_count_nap(&ring->bell);
    if (count_ready(ring) > 0)
        mpq_ring_bell_ring(&ring->bell, 1);
}

uint32_t mpq_ring_kicks(const mpq_ring *ring)
{
    return atomic_load(&ring->kicks);
}

void mpq_ring_wait(mpq_ring *ring, uint32_t worker, uint32_t kicks, uint32_t timeout_ms)
{
    atomic_store(&ring->asleep[worker & WORKER_MASK], true);
    uint32_t strokes = mpq_ring_bell_count_nap(&ring->bell);
    if (atomic_load(&ring->kicks) == kicks && count_ready(ring) == 0)
        mpq_ring_bell_wait(&ring->bell, strokes, timeout_ms);
    atomic_store(&ring->asleep[worker & WORKER_MASK], false);
}

uint64_t mpq_ring_naps(const mpq_ring *ring)
{
    return atomic_load(&ring->bell.naps);
}

bool mpq_ring_is_asleep(const mpq_ring *ring, uint32_t worker)
{
    return atomic_load_explicit(&ring->asleep[worker & WORKER_MASK], memory_order_relaxed);
}

/* Writes before it takes the wish back: killed in between, the dispatcher is woken once too often, not once too
 * seldom. The number of the sleep keeps the wish of a later sleep. */
static bool wake_dispatcher(mpq_ring *ring, int wake_fd)
{
    uint64_t wanted = atomic_load(&ring->wanted);
    uint32_t limit = (uint32_t)wanted;
    uint64_t one = 1;
    if (limit == 0 || !is_low(ring, limit - 1))
        return true;
    /* When the counter is full the dispatcher is being woken already. */
    if (write(wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        return false;
    atomic_compare_exchange_strong(&ring->wanted, &wanted, wanted >> 32 << 32);
    return true;
}

bool mpq_ring_finish(mpq_ring *ring, uint32_t slot, int wake_fd)
{
    uint64_t word = load_state(ring, slot);
    if (state_of(word) == MPQ_SLOT_RUNNING)
        atomic_compare_exchange_strong(&ring->slots[slot].state, &word, with_state(word, MPQ_SLOT_FINISHED));
    announce(ring, slot);
    return wake_dispatcher(ring, wake_fd);
}

/* -- the manager's side --------------------------------------------------------------------------------------- */

void mpq_ring_kick(mpq_ring *ring)
{
    atomic_fetch_add(&ring->kicks, 1);
    mpq_ring_bell_ring(&ring->bell, INT_MAX);
}

uint32_t mpq_ring_claimed_by(mpq_ring *ring, uint32_t worker)
{
    uint32_t claimed = MPQ_SLOT_NONE, used = atomic_load(&ring->used);
    for (uint32_t slot = 0; slot < used; slot++) {
        uint64_t word = load_state(ring, slot);
        if (worker_of(word) != worker)
            continue;
        if (state_of(word) == MPQ_SLOT_RUNNING)
            claimed = slot;
        else if (state_of(word) == MPQ_SLOT_FINISHED)
            announce(ring, slot);
    }
    atomic_store(&ring->asleep[worker & WORKER_MASK], false);
    mpq_ring_pass_on(ring);
    return claimed;
}
