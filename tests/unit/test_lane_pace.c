/* Which workers a lane takes for those that get on with short jobs. */
#include <unistd.h>

#include "clock.h"
#include "lane_rig.h"
#include "processes.h"
#include "test.h"

enum { FOREVER_MS = 3600000, WORKERS = 8 };

static mpq_ring *ring;
static pid_t sleepers[WORKERS];

/* Claims one job, and never gets ready with it. */
static void run(uint32_t worker)
{
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(ring);
        if (mpq_ring_claim(ring, worker) != MPQ_SLOT_NONE)
            for (;;)
                pause();
        mpq_ring_wait(ring, worker, kicks, FOREVER_MS);
    }
}

/* On one processor, short jobs known: the first worker is awake, all others sleep. */
static void setup(lane_rig *rig, uint32_t workers)
{
    lane_rig_init(rig, workers);
    lane_rig_open(rig);
    rig->lane->processors = 1;
    mpq_prefetch_measure(&rig->lane->prefetch, 1);
    ring = rig->lane->ring;
    for (uint32_t i = 1; i < workers; i++) {
        sleepers[i] = process_spawn(run, i);
        CHECK(process_wait_for_sleep(sleepers[i]));
    }
}

/* Until they are in the ring, and not one look longer: with time, more are woken for what nobody gets on with. Without
 * the broker's hint, which wakes one in any case. */
static void push(lane_rig *rig, uint32_t count)
{
    mpq_new_job job = {.payload = mpq_slice_of("work", 4), .fail_number = 3};
    mpq_id id;
    size_t accepted;
    for (uint32_t i = 0; i < count; i++)
        CHECK_INT(mpq_producer_push(rig->producer, "q", &job, 1, &id, &accepted, &rig->err), 0);
    for (int i = 0; i < 10 && mpq_ring_ready(ring) == 0; i++)
        mpq_lane_pump(rig->lane);
}

/* Without a further look of the dispatcher. */
static bool ready_becomes(uint32_t count)
{
    for (int i = 0; i < 10000 && mpq_ring_ready(ring) != count; i++)
        usleep(1000);
    return mpq_ring_ready(ring) == count;
}

static mpq_board_worker *worker(lane_rig *rig, uint32_t index)
{
    return &rig->process.board.file->workers[index];
}

TEST(who_is_awake_is_left_to_get_on)
{
    lane_rig rig;
    setup(&rig, 2);
    push(&rig, 1);
    CHECK(mpq_ring_holds_back(rig.lane->feeder));
    CHECK(process_is_asleep(sleepers[1]));
    CHECK_INT(mpq_ring_ready(ring), 1);
    process_stop(sleepers[1]);
    lane_rig_close(&rig);
}

/* It may take its time: user code runs at its end. */
TEST(who_leaves_gets_on_with_nothing)
{
    lane_rig rig;
    setup(&rig, 2);
    atomic_store(&worker(&rig, 0)->leaving_at_ms, mpq_clock_monotonic_ms());
    push(&rig, 1);
    CHECK(!mpq_ring_holds_back(rig.lane->feeder));
    CHECK(ready_becomes(0));
    process_stop(sleepers[1]);
    lane_rig_close(&rig);
}

TEST(nothing_is_held_back_while_the_broker_is_away)
{
    lane_rig rig;
    setup(&rig, 3);
    push(&rig, 2);
    CHECK(mpq_ring_holds_back(rig.lane->feeder));
    mpq_error_set(&rig.err, MPQ_ERROR_CONNECT, "away");
    mpq_lane_down(rig.lane, &rig.err);
    rig.lane->retry_at_ms = UINT64_MAX;
    mpq_lane_pump(rig.lane);
    CHECK(!mpq_ring_holds_back(rig.lane->feeder));
    CHECK(ready_becomes(0));
    for (uint32_t i = 1; i < 3; i++)
        process_stop(sleepers[i]);
    lane_rig_close(&rig);
}

static void set_running(lane_rig *rig, uint32_t index, uint64_t for_ms)
{
    atomic_store(&worker(rig, index)->run_token, 1);
    atomic_store(&worker(rig, index)->run_started_at_ms, mpq_clock_monotonic_ms() - for_ms);
}

/* Else a burst of long jobs behind short ones would begin one by one: each time as many more are woken as there were
 * surprises. */
TEST(long_jobs_among_short_ones_make_room_for_as_many_more)
{
    lane_rig rig;
    setup(&rig, WORKERS);
    push(&rig, WORKERS);
    CHECK(mpq_ring_holds_back(rig.lane->feeder));
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    set_running(&rig, 0, 4);
    mpq_lane_look_at_workers(rig.lane, mpq_clock_monotonic_us());
    CHECK(ready_becomes(WORKERS - 3)); /* one for the processor, one for the surprise */
    for (uint32_t i = 0; i < WORKERS; i++)
        if (!mpq_ring_is_asleep(ring, i))
            set_running(&rig, i, i == 0 ? 1000 : 4);
    usleep(1000);
    mpq_lane_look_at_workers(rig.lane, mpq_clock_monotonic_us());
    CHECK(ready_becomes(WORKERS - 6)); /* one for the processor, two for the two */
    for (uint32_t i = 1; i < WORKERS; i++)
        process_stop(sleepers[i]);
    lane_rig_close(&rig);
}
