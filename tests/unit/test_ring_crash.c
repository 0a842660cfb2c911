/* The ring under SIGKILL: after every single instruction of every operation. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "processes.h"
#include "ring_jobs.h"
#include "test.h"

enum { ARENA_BYTES = 8 << 20, DEAD_WORKER = 7 };

typedef struct shared_ring {
    mpq_ring *ring;
    char *arena;
} shared_ring;

static int wake_fd;

static shared_ring new_ring(void)
{
    shared_ring shared;
    shared.arena = process_shared_memory(ARENA_BYTES);
    shared.ring = mpq_ring_init(process_shared_memory(mpq_ring_bytes()), shared.arena, ARENA_BYTES);
    return shared;
}

/* Before the operation: job 1 finished and announced, 2 claimed by the worker that will die, 3 to 6 ready (3 in the
 * arena). The operation is one of a dispatcher's or of worker DEAD_WORKER's. */
typedef struct operation {
    void (*run)(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots);
    bool posts;       /* job 7 may be there or not */
    bool frees;       /* job 1 may be gone */
    bool is_workers;  /* the dispatcher lives on */
    bool claims;      /* the dead worker has not claimed 2, but perhaps 3 */
    uint32_t readies; /* how many of 3 to 6 it may take out of the ready ones */
} operation;

static void run_post(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    ring_job_post(feeder, 7);
}

static void run_free(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring;
    mpq_ring_free(feeder, slots[0]);
}

static void run_take(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    uint32_t taken[4];
    mpq_ring_take_finished(feeder, taken, 4);
}

static void run_withdraw(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    uint32_t taken[3];
    mpq_ring_withdraw(feeder, taken, 3);
}

static void run_open(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_feeder *other;
    mpq_ring_feeder_open(ring, &other, NULL);
}

static void run_sleep(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_sleep(ring, 100);
    mpq_ring_awake(ring);
}

static void run_claim(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_claim(ring, DEAD_WORKER);
}

static void run_finish(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder;
    ring_job_finish(ring, slots[1], MPQ_END_DONE, wake_fd);
}

static void prepare(mpq_ring *ring, mpq_ring_feeder **feeder, uint32_t *slots, const operation *op)
{
    CHECK_INT(mpq_ring_feeder_open(ring, feeder, NULL), 0);
    for (uint64_t number = op->claims ? 2 : 1; number <= 6; number++)
        CHECK_INT(ring_job_post(*feeder, op->claims && number == 2 ? 1 : number), 0);
    slots[0] = mpq_ring_claim(ring, 1);
    ring_job_finish(ring, slots[0], MPQ_END_DONE, wake_fd);
    if (op->claims)
        return;
    slots[1] = mpq_ring_claim(ring, DEAD_WORKER);
    CHECK(ring_job_number(ring, slots[1]) == 2);
}

static void expect_end(enum mpq_end end, uint64_t number, const operation *op)
{
    bool was_withdrawn = number >= 3 && number < 3 + op->readies;
    if (number == 1)
        CHECK_INT(end, MPQ_END_DONE);
    if (number == 2)
        CHECK(end == MPQ_END_SIGNAL || (op->run == run_finish && end == MPQ_END_DONE));
    if (number == 3 && op->claims)
        CHECK(end == MPQ_END_SIGNAL || end == MPQ_END_EXIT);
    else if (was_withdrawn)
        CHECK(end == MPQ_END_INTERRUPTED || end == MPQ_END_EXIT);
    else if (number >= 3)
        CHECK_INT(end, MPQ_END_EXIT);
}

/* Takes everything; each job must be there once, intact, and end as it must. Returns a bit for each job. */
static void take_all(mpq_ring *ring, mpq_ring_feeder *feeder, const operation *op, unsigned *jobs)
{
    uint32_t slots[16], count = mpq_ring_take_finished(feeder, slots, 16);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = ring_job_number(ring, slots[i]);
        CHECK(number >= 1 && number <= 8);
        CHECK(!(*jobs & 1u << number));
        CHECK(ring_job_is_intact(ring, slots[i]));
        expect_end((enum mpq_end)mpq_ring_slot(ring, slots[i])->end, number, op);
        if (test_failed())
            return;
        *jobs |= 1u << number;
        mpq_ring_free(feeder, slots[i]);
    }
}

/* What the manager, a dispatcher and another worker do after the death. */
static void recover(mpq_ring *ring, mpq_ring_feeder *feeder, const operation *op)
{
    unsigned jobs = 0;
    uint64_t last = 0;
    if (op->is_workers)
        take_all(ring, feeder, op, &jobs);
    uint32_t held = mpq_ring_claimed_by(ring, DEAD_WORKER);
    if (held != MPQ_SLOT_NONE)
        ring_job_finish(ring, held, MPQ_END_SIGNAL, wake_fd);
    CHECK(mpq_ring_claimed_by(ring, DEAD_WORKER) == MPQ_SLOT_NONE);
    if (!op->is_workers)
        CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
    CHECK_INT(ring_job_post(feeder, 8), 0);
    for (uint32_t slot; (slot = mpq_ring_claim(ring, 2)) != MPQ_SLOT_NONE;) {
        CHECK(ring_job_number(ring, slot) > last);
        last = ring_job_number(ring, slot);
        ring_job_finish(ring, slot, MPQ_END_EXIT, wake_fd);
    }
    CHECK_INT(mpq_ring_ready(ring), 0);
    take_all(ring, feeder, op, &jobs);
    if (test_failed())
        return;
    unsigned optional = (op->posts ? 1u << 7 : 0) | (op->frees ? 1u << 1 : 0);
    unsigned expected = op->claims ? 0x17a : 0x17e;
    CHECK_INT(jobs & ~optional, expected & ~optional);
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS);
    mpq_ring_feeder_close(feeder);
}

/* The slots in use are the first ones; comparing and copying more of the ring would only take time. */
static size_t watched_bytes(mpq_ring *ring)
{
    return (size_t)((char *)mpq_ring_slot(ring, 12) - (char *)ring);
}

static void copy_ring(shared_ring *to, const void *ring, const char *arena)
{
    memcpy(to->ring, ring, watched_bytes(to->ring));
    memcpy(to->arena, arena, 64 << 10);
    mpq_ring_init(to->ring, to->arena, ARENA_BYTES);
}

/* A copy of the ring as a death right now would leave it; the dispatcher knows what was there at first. */
static void recover_copy(shared_ring *live, const void *at_first, const operation *op)
{
    shared_ring copy = new_ring();
    mpq_ring_feeder *feeder = NULL;
    copy_ring(&copy, at_first, live->arena);
    if (op->is_workers)
        CHECK_INT(mpq_ring_feeder_open(copy.ring, &feeder, NULL), 0);
    copy_ring(&copy, live->ring, live->arena);
    recover(copy.ring, feeder, op);
    munmap(copy.ring, mpq_ring_bytes());
    munmap(copy.arena, ARENA_BYTES);
}

static shared_ring live;
static operation traced;
static mpq_ring_feeder *live_feeder;
static uint32_t live_slots[2];

static void prepare_live(void)
{
    prepare(live.ring, &live_feeder, live_slots, &traced);
}

static void run_live(void)
{
    traced.run(live.ring, live_feeder, live_slots);
}

/* Lets the child take one instruction after the other; whenever that has changed the ring, recovery is tried. */
static void step_through(pid_t pid, unsigned *states)
{
    size_t bytes = watched_bytes(live.ring);
    char *at_first = malloc(bytes), *before = malloc(bytes);
    memcpy(at_first, live.ring, bytes);
    memcpy(before, live.ring, bytes);
    recover_copy(&live, at_first, &traced);
    for (*states = 1; !test_failed() && process_step(pid);) {
        if (memcmp(before, live.ring, bytes) == 0)
            continue;
        memcpy(before, live.ring, bytes);
        recover_copy(&live, at_first, &traced);
        ++*states;
    }
    if (!test_failed())
        recover_copy(&live, at_first, &traced);
    free(at_first);
    free(before);
}

static void survive(operation op, unsigned least_states)
{
    unsigned states = 0;
    live = new_ring();
    traced = op;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pid_t pid = process_trace(prepare_live, run_live);
    if (pid < 0)
        SKIP("processes can't be traced here");
    step_through(pid, &states);
    process_release(pid);
    CHECK(process_wait_for_end(pid));
    if (!test_failed())
        CHECK(states >= least_states);
}

TEST(ring_survives_death_anywhere_in_post)
{
    survive((operation){.run = run_post, .posts = true}, 8);
}

TEST(ring_survives_death_anywhere_in_free)
{
    survive((operation){.run = run_free, .frees = true}, 2);
}

TEST(ring_survives_death_anywhere_in_take_finished)
{
    survive((operation){.run = run_take}, 2);
}

TEST(ring_survives_death_anywhere_in_withdraw)
{
    survive((operation){.run = run_withdraw, .readies = 3}, 7);
}

TEST(ring_survives_death_anywhere_in_feeder_open)
{
    survive((operation){.run = run_open}, 2);
}

TEST(ring_survives_death_anywhere_in_sleep)
{
    survive((operation){.run = run_sleep}, 3);
}

TEST(ring_survives_death_anywhere_in_claim)
{
    survive((operation){.run = run_claim, .is_workers = true, .claims = true}, 3);
}

TEST(ring_survives_death_anywhere_in_finish)
{
    survive((operation){.run = run_finish, .is_workers = true}, 4);
}
