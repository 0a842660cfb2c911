/* How many workers are woken for short jobs, and that nobody waits for long because of it. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "processes.h"
#include "ring_jobs.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 20, FOREVER_MS = 3600000, WORKERS = 4 };

static mpq_ring *ring;
static mpq_ring_feeder *feeder;
static int wake_fd;
static pid_t workers[WORKERS];
static _Atomic uint32_t *go; /* so many jobs may end */
static uint64_t now_us = 1000000;

/* Claims a job, and holds on to it until it may end. */
static void run(uint32_t worker)
{
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(ring);
        uint32_t slot = mpq_ring_claim(ring, worker);
        if (slot == MPQ_SLOT_NONE) {
            mpq_ring_wait(ring, worker, kicks, FOREVER_MS);
            continue;
        }
        while (ring_job_number(ring, slot) >= atomic_load(go))
            usleep(1000);
        ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    }
}

static void open_ring(void)
{
    ring = mpq_ring_init(process_shared_memory(mpq_ring_bytes()), process_shared_memory(ARENA_BYTES), ARENA_BYTES);
    go = process_shared_memory(sizeof *go);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = process_spawn(run, i);
        CHECK(process_wait_for_sleep(workers[i]));
    }
}

#define OPEN_RING()                                                                                                    \
    do {                                                                                                               \
        open_ring();                                                                                                   \
        if (test_failed())                                                                                             \
            return;                                                                                                    \
    } while (0)

static uint32_t awake(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WORKERS; i++)
        count += !mpq_ring_is_asleep(ring, i);
    return count;
}

/* A look of the dispatcher, so much later than the one before: true when it has to look again. */
static bool look(uint32_t competing, uint32_t limit, uint64_t later_us)
{
    now_us += later_us;
    mpq_ring_pace(feeder, mpq_ring_naps(ring), competing, limit, now_us);
    return mpq_ring_holds_back(feeder);
}

static void post(uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++)
        if (ring_job_post(feeder, i) != 0)
            test_fail(__FILE__, __LINE__, "no room");
}

/* Until so many jobs are ready, and who was woken for others holds them. */
static bool ready_becomes(uint32_t count)
{
    for (int i = 0; i < 10000 && mpq_ring_ready(ring) != count; i++)
        usleep(1000);
    usleep(20000); /* whoever is on the way */
    if (mpq_ring_ready(ring) != count)
        printf("  %u ready, %u awake\n", mpq_ring_ready(ring), awake());
    return mpq_ring_ready(ring) == count;
}

TEST(without_a_limit_each_posting_wakes_one)
{
    OPEN_RING();
    post(0, WORKERS);
    CHECK(ready_becomes(0));
    CHECK_INT(awake(), WORKERS);
    CHECK(!look(0, UINT32_MAX, 1000));
    mpq_ring_feeder_close(feeder);
}

TEST(no_more_are_woken_than_the_limit_says)
{
    OPEN_RING();
    CHECK(!look(0, 2, 1000));
    post(0, 10);
    CHECK(ready_becomes(8));
    CHECK_INT(awake(), 2);
    CHECK(look(2, 2, 1000));
    CHECK_INT(awake(), 2);
    mpq_ring_feeder_close(feeder);
}

TEST(who_is_seen_in_a_long_job_is_replaced)
{
    OPEN_RING();
    look(0, 1, 1000);
    post(0, 10);
    CHECK(ready_becomes(9));
    CHECK(look(1, 1, 1000));
    CHECK(ready_becomes(9));
    CHECK(look(0, 1, 1000));
    CHECK(ready_becomes(8));
    CHECK(look(0, 2, 1000));
    CHECK(ready_becomes(6));
    CHECK(!look(0, 1, 1000)); /* nobody is left to be woken */
    mpq_ring_feeder_close(feeder);
}

TEST(when_nothing_gets_on_more_are_woken_one_after_the_other)
{
    OPEN_RING();
    look(0, 1, 1000);
    post(0, 10);
    CHECK(ready_becomes(9));
    look(1, 1, 1000); /* sees where the ring stands */
    for (uint32_t left = 8; left >= 6; left--) {
        CHECK(look(1, 1, 3000));
        CHECK(ready_becomes(left));
        look(1, 1, 1000);
    }
    mpq_ring_feeder_close(feeder);
}

TEST(while_it_gets_on_nobody_else_is_woken)
{
    OPEN_RING();
    look(0, 1, 1000);
    post(0, 20);
    CHECK(ready_becomes(19));
    for (uint32_t done = 1; done < 10; done++) {
        atomic_store(go, done);
        CHECK(ready_becomes(19 - done));
        CHECK(look(1, 1, 3000));
        CHECK_INT(awake(), 1);
    }
    atomic_store(go, 20);
    CHECK(ready_becomes(0));
    CHECK(!look(1, 1, 3000));
    mpq_ring_feeder_close(feeder);
}

/* Seen awake, it had nothing to do any more and has gone to sleep since. */
TEST(who_falls_asleep_after_the_look_makes_room_for_a_wake_up)
{
    OPEN_RING();
    atomic_store(go, 1);
    look(1, 1, 1000);
    post(0, 1);
    CHECK(mpq_ring_holds_back(feeder));
    CHECK_INT(mpq_ring_ready(ring), 1); /* nobody was woken: one seemed to be awake */
    CHECK(!look(0, 1, 1000));           /* and is not: that one is woken */
    CHECK(ready_becomes(0));
    CHECK(process_wait_for_sleep(workers[0]) && process_wait_for_sleep(workers[1]));
    CHECK_INT(awake(), 0);
    atomic_store(go, 2);
    post(1, 1); /* that one has napped since the look */
    CHECK(ready_becomes(0));
    mpq_ring_feeder_close(feeder);
}

/* Woken a moment ago, it has already gone to sleep again: nothing is to be expected of it. */
TEST(who_has_come_and_gone_makes_room_for_a_wake_up)
{
    OPEN_RING();
    atomic_store(go, 2);
    look(0, 1, 1000);
    post(0, 1);
    CHECK(ready_becomes(0));
    for (int i = 0; i < WORKERS; i++)
        CHECK(process_wait_for_sleep(workers[i]));
    look(0, 1, 50);
    post(1, 1);
    CHECK(!mpq_ring_holds_back(feeder));
    CHECK(ready_becomes(0));
    mpq_ring_feeder_close(feeder);
}

TEST(a_new_dispatcher_wakes_all_for_what_was_held_back)
{
    OPEN_RING();
    look(0, 1, 1000);
    post(0, WORKERS);
    CHECK(ready_becomes(WORKERS - 1));
    mpq_ring_feeder_close(feeder);
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
    CHECK(ready_becomes(0));
    mpq_ring_feeder_close(feeder);
}

TEST(one_that_died_asleep_is_not_taken_for_awake)
{
    OPEN_RING();
    process_stop(workers[0]);
    CHECK_INT(mpq_ring_claimed_by(ring, 0), MPQ_SLOT_NONE);
    CHECK(!mpq_ring_is_asleep(ring, 0)); /* the next one of that number begins awake */
    look(0, 1, 1000);
    post(0, 2);
    CHECK(ready_becomes(1));
    mpq_ring_feeder_close(feeder);
}
