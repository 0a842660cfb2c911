/* Who sleeps is woken: under load, after deaths, and with the other side acting between any two instructions. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "processes.h"
#include "ring_jobs.h"
#include "test.h"

/* Sanitized code takes more instructions than this from one access to shared memory to the next. */
enum { STRIDE = 3 };

enum { ARENA_BYTES = 1 << 20, FOREVER_MS = 3600000 };

static mpq_ring *ring;
static mpq_ring_feeder *feeder;
static int wake_fd;

static void open_ring(void)
{
    ring = mpq_ring_init(process_shared_memory(mpq_ring_bytes()), process_shared_memory(ARENA_BYTES), ARENA_BYTES);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
}

#define OPEN_RING()                                                                                                    \
    do {                                                                                                               \
        open_ring();                                                                                                   \
        if (test_failed())                                                                                             \
            return;                                                                                                    \
    } while (0)

static int post(uint64_t number)
{
    char bytes[80] = {0};
    memcpy(bytes + MPQ_ENVELOPE_ID_OFFSET, &number, sizeof number);
    return mpq_ring_post(feeder, mpq_slice_of(bytes, sizeof bytes), 1, 1);
}

static void finish_next(uint32_t worker)
{
    ring_job_finish(ring, mpq_ring_claim(ring, worker), MPQ_END_DONE, wake_fd);
}

static uint32_t free_finished(void)
{
    uint32_t slots[MPQ_RING_SLOTS], count = mpq_ring_take_finished(feeder, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < count; i++)
        mpq_ring_free(feeder, slots[i]);
    return count;
}

static void run_until_killed(uint32_t worker)
{
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(ring);
        uint32_t slot = mpq_ring_claim(ring, worker);
        if (slot == MPQ_SLOT_NONE)
            mpq_ring_wait(ring, 0, kicks, FOREVER_MS);
        else
            ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    }
}

static void die_when_woken(uint32_t worker)
{
    (void)worker;
    mpq_ring_wait(ring, 0, mpq_ring_kicks(ring), FOREVER_MS);
    raise(SIGKILL);
}

/* Sleeps as a dispatcher does; false when nobody wakes it within 10 seconds. */
static bool sleep_until_woken(uint32_t low_water)
{
    struct pollfd poll_fd = {.fd = wake_fd, .events = POLLIN};
    bool woken = true;
    if (mpq_ring_sleep(ring, low_water))
        woken = poll(&poll_fd, 1, 10000) == 1;
    mpq_ring_awake(ring);
    ring_wake_ups(wake_fd);
    return woken;
}

static void spin(int at_most)
{
    for (volatile int left = rand() % at_most; left > 0; left--)
        ;
}

/* One job at a time, so that both sides fall asleep all the time: a missed wake-up would stop everything. */
static void exchange_rounds(int workers, uint64_t rounds, uint32_t batch)
{
    pid_t pids[4];
    for (int i = 0; i < workers; i++)
        pids[i] = process_spawn(run_until_killed, (uint32_t)i);
    srand(11);
    for (uint64_t round = 0; round < rounds; round++) {
        uint32_t slots[MPQ_RING_SLOTS], left = batch;
        for (uint32_t i = 0; i < batch; i++)
            CHECK_INT(post(round), 0);
        while (left > 0) {
            uint32_t count = mpq_ring_take_finished(feeder, slots, MPQ_RING_SLOTS);
            for (uint32_t i = 0; i < count; i++)
                mpq_ring_free(feeder, slots[i]);
            left -= count;
            if (left > 0 && count == 0)
                CHECK(sleep_until_woken(batch == 1 && round % 2 ? 0 : UINT32_MAX));
        }
        spin(3000);
    }
    for (int i = 0; i < workers; i++)
        process_stop(pids[i]);
}

TEST(ring_misses_no_wake_up_in_20000_rounds)
{
    OPEN_RING();
    exchange_rounds(1, 20000, 1);
    if (!test_failed())
        exchange_rounds(3, 8000, 1);
    if (!test_failed())
        exchange_rounds(3, 4000, 5);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_wakes_another_worker_when_a_sleeper_was_killed)
{
    OPEN_RING();
    for (int i = 0; i < 5; i++) {
        pid_t first = process_spawn(run_until_killed, 1);
        CHECK(process_wait_for_sleep(first));
        pid_t second = process_spawn(run_until_killed, 2);
        CHECK(process_wait_for_sleep(second));
        process_stop(first);
        CHECK_INT(post(1), 0);
        CHECK(sleep_until_woken(UINT32_MAX));
        uint32_t slot;
        CHECK_INT(mpq_ring_take_finished(feeder, &slot, 1), 1);
        mpq_ring_free(feeder, slot);
        process_stop(second);
    }
    mpq_ring_feeder_close(feeder);
}

TEST(ring_passes_a_dead_workers_wake_up_on)
{
    OPEN_RING();
    pid_t first = process_spawn(die_when_woken, 1);
    CHECK(process_wait_for_sleep(first));
    pid_t second = process_spawn(run_until_killed, 2);
    CHECK(process_wait_for_sleep(second));
    CHECK_INT(post(1), 0); /* wakes the first, which sleeps longest */
    waitpid(first, NULL, 0);
    CHECK_INT(mpq_ring_claimed_by(ring, 1), MPQ_SLOT_NONE);
    CHECK(sleep_until_woken(UINT32_MAX));
    CHECK_INT(mpq_ring_ready(ring), 0);
    process_stop(second);
    mpq_ring_feeder_close(feeder);
}

static void exit_when_kicked(uint32_t worker)
{
    (void)worker;
    uint32_t first = mpq_ring_kicks(ring);
    while (mpq_ring_kicks(ring) == first)
        mpq_ring_wait(ring, 0, first, FOREVER_MS);
}

TEST(ring_kick_reaches_every_worker)
{
    pid_t pids[4];
    OPEN_RING();
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 4; i++)
            pids[i] = process_spawn(exit_when_kicked, i);
        for (int i = 0; i < 4; i++)
            CHECK(process_wait_for_sleep(pids[i]));
        mpq_ring_kick(ring);
        for (int i = 0; i < 4; i++)
            CHECK_INT(waitpid(pids[i], NULL, 0), pids[i]);
    }
    /* A kick before the sleep counts, too. */
    uint32_t kicks = mpq_ring_kicks(ring);
    mpq_ring_kick(ring);
    mpq_ring_wait(ring, 0, kicks, FOREVER_MS);
    mpq_ring_wait(ring, 0, mpq_ring_kicks(ring), 20);
    mpq_ring_feeder_close(feeder);
}

/* What is withdrawn was not run, what was run is not withdrawn, and together it is everything. */
TEST(ring_withdraws_against_claiming_workers)
{
    enum { ROUNDS = 3000, BATCH = 16 };
    static unsigned char ended[ROUNDS * BATCH];
    uint32_t slots[MPQ_RING_SLOTS], withdrawn = 0, run = 0;
    OPEN_RING();
    pid_t pids[2] = {process_spawn(run_until_killed, 1), process_spawn(run_until_killed, 2)};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < BATCH; i++)
            CHECK_INT(post(round * BATCH + i), 0);
        uint32_t left = BATCH, back = mpq_ring_withdraw(feeder, slots, MPQ_RING_SLOTS);
        for (uint32_t i = 0; i < back; i++)
            CHECK_INT(mpq_ring_slot(ring, slots[i])->end, MPQ_END_INTERRUPTED);
        withdrawn += back;
        for (;;) {
            for (uint32_t i = 0; i < back; i++) {
                CHECK(ended[ring_job_number(ring, slots[i])]++ == 0);
                mpq_ring_free(feeder, slots[i]);
            }
            left -= back;
            if (left == 0)
                break;
            back = mpq_ring_take_finished(feeder, slots, MPQ_RING_SLOTS);
            for (uint32_t i = 0; i < back; i++)
                CHECK_INT(mpq_ring_slot(ring, slots[i])->end, MPQ_END_DONE);
            run += back;
            if (back == 0)
                CHECK(sleep_until_woken(UINT32_MAX));
        }
    }
    CHECK(withdrawn > 0 && run > 0);
    CHECK_INT(withdrawn + run, ROUNDS * BATCH);
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS);
    process_stop(pids[0]);
    process_stop(pids[1]);
    mpq_ring_feeder_close(feeder);
}

/* -- between any two instructions ------------------------------------------------------------------------------ */

/* Runs `operation` in a process of its own, `act` here after each of its instructions (a new process for each), then
 * lets it go on and calls `check`. `prepare` makes the same situation each time. */
typedef struct race {
    void (*prepare)(void);
    void (*operation)(void);
    void (*act)(void);
    void (*check)(pid_t pid);
} race;

static bool step_times(pid_t pid, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        if (!process_step(pid))
            return false;
    return true;
}

static void run_race(const race *the, unsigned stride)
{
    bool is_over = false;
    unsigned steps = 0;
    for (; !is_over && !test_failed(); steps += stride) {
        the->prepare();
        pid_t pid = process_trace(NULL, the->operation);
        if (pid < 0)
            SKIP("processes can't be traced here");
        is_over = !step_times(pid, steps);
        the->act();
        process_release(pid);
        the->check(pid);
    }
    if (!test_failed())
        CHECK(steps > 30);
}

static void open_empty(void)
{
    if (feeder)
        mpq_ring_feeder_close(feeder);
    open_ring();
}

static void wait_for_a_job(void)
{
    uint32_t kicks = mpq_ring_kicks(ring);
    if (mpq_ring_ready(ring) == 0)
        mpq_ring_wait(ring, 0, kicks, FOREVER_MS);
}

static void post_one(void)
{
    CHECK_INT(post(1), 0);
}

static void expect_end(pid_t pid)
{
    CHECK(process_wait_for_end(pid));
}

TEST(ring_worker_going_to_sleep_sees_every_posting)
{
    run_race(&(race){open_empty, wait_for_a_job, post_one, expect_end}, STRIDE);
}

/* The posting before has found nobody to wake, so the dispatcher believes that everyone is awake. */
static void open_believing_nobody_sleeps(void)
{
    open_empty();
    if (test_failed())
        return;
    CHECK_INT(post(1), 0);
    finish_next(1);
    CHECK_INT(free_finished(), 1);
}

TEST(ring_worker_going_to_sleep_sees_a_posting_of_a_busy_dispatcher)
{
    run_race(&(race){open_believing_nobody_sleeps, wait_for_a_job, post_one, expect_end}, STRIDE);
}

static void wait_for_a_kick(void)
{
    uint32_t kicks = mpq_ring_kicks(ring);
    if (kicks == 0)
        mpq_ring_wait(ring, 0, kicks, FOREVER_MS);
}

static void kick(void)
{
    mpq_ring_kick(ring);
}

TEST(ring_worker_going_to_sleep_sees_every_kick)
{
    run_race(&(race){open_empty, wait_for_a_kick, kick, expect_end}, STRIDE);
}

static pid_t sleeper;

/* The worker falls asleep, if there is nothing for it, while the dispatcher is in the middle of a posting. */
static void let_a_worker_sleep(void)
{
    sleeper = process_spawn(run_until_killed, 3);
    for (int i = 0; i < 40 && mpq_ring_ready(ring) == 0 && !process_is_asleep(sleeper); i++)
        usleep(100);
}

static void expect_result(pid_t pid)
{
    uint32_t found = 0;
    CHECK(process_wait_for_end(pid));
    uint32_t slots[4];
    mpq_ring_feeder *other;
    CHECK_INT(mpq_ring_occupied(ring, slots, 4), 1);
    for (int i = 0; i < 20000 && found == 0; i++) {
        found = mpq_ring_slot_state(ring, slots[0], NULL) == MPQ_SLOT_FINISHED;
        usleep(found ? 0 : 100);
    }
    process_stop(sleeper);
    CHECK_INT(found, 1);
    CHECK_INT(mpq_ring_feeder_open(ring, &other, NULL), 0);
    mpq_ring_feeder_close(other);
}

TEST(ring_posting_wakes_a_worker_that_falls_asleep_meanwhile)
{
    run_race(&(race){open_believing_nobody_sleeps, post_one, let_a_worker_sleep, expect_result}, 2 * STRIDE);
}

static uint32_t running;
static bool may_sleep;
static uint32_t taken;

static void open_with_a_running_job(void)
{
    open_empty();
    if (test_failed())
        return;
    CHECK_INT(post(1), 0);
    running = mpq_ring_claim(ring, 1);
    taken = 0;
}

static void finish_running(void)
{
    ring_job_finish(ring, running, MPQ_END_DONE, wake_fd);
}

static void take_and_sleep(void)
{
    taken = free_finished();
    may_sleep = mpq_ring_sleep(ring, 0);
}

/* Either it was told not to sleep, or it is woken; then the result is there. */
static void expect_wake_up(pid_t pid)
{
    struct pollfd poll_fd = {.fd = wake_fd, .events = POLLIN};
    CHECK(process_wait_for_end(pid));
    if (taken == 0 && may_sleep)
        CHECK_INT(poll(&poll_fd, 1, 0), 1);
    mpq_ring_awake(ring);
    CHECK_INT(taken + free_finished(), 1);
    close(wake_fd);
}

TEST(ring_dispatcher_going_to_sleep_hears_of_every_finish)
{
    run_race(&(race){open_with_a_running_job, finish_running, take_and_sleep, expect_wake_up}, STRIDE);
}

static bool *slept; /* shared */

static void open_with_a_sleeping_dispatcher(void)
{
    open_with_a_running_job();
    if (!slept)
        slept = process_shared_memory(sizeof *slept);
    *slept = false;
}

static void sleep_in_child(void)
{
    *slept = mpq_ring_sleep(ring, 0);
}

static void expect_wake_up_of_child(pid_t pid)
{
    CHECK(process_wait_for_end(pid));
    may_sleep = *slept;
    taken = 0;
    CHECK(!may_sleep || ring_wake_ups(wake_fd) == 1);
    CHECK_INT(free_finished(), 1);
    close(wake_fd);
}

TEST(ring_finish_is_heard_by_a_dispatcher_falling_asleep)
{
    run_race(&(race){open_with_a_sleeping_dispatcher, sleep_in_child, finish_running, expect_wake_up_of_child}, STRIDE);
}

static void claim_as_two(void)
{
    mpq_ring_claim(ring, 2);
}

/* A worker that stops between claiming and moving the head must not count as a job that is ready. */
TEST(ring_counts_a_claimed_job_as_claimed_at_once)
{
    open_with_a_running_job();
    if (!test_failed())
        CHECK_INT(post(2), 0);
    pid_t pid = process_trace(NULL, claim_as_two);
    if (pid < 0)
        SKIP("processes can't be traced here");
    while (mpq_ring_claimed_by(ring, 2) == MPQ_SLOT_NONE)
        CHECK(process_step(pid));
    CHECK(mpq_ring_sleep(ring, 0));
    finish_running();
    CHECK_INT(ring_wake_ups(wake_fd), 1);
    CHECK(mpq_ring_claim(ring, 3) == MPQ_SLOT_NONE);
    process_release(pid);
    CHECK(process_wait_for_end(pid));
    CHECK(ring_job_number(ring, mpq_ring_claimed_by(ring, 2)) == 2);
}
