/* Taking over from a service that was killed, broken off at every step: what was running has failed once, what only
 * waited has not, however often the take-over is begun. */
#include <string.h>

#include "codec.h"
#include "lane_rig.h"
#include "test.h"

enum { JOBS = 3, RUNNING = 1 }; /* of the killed service; the first of them was running */

/* The memory store behind a connection that breaks: after the request numbered `break_at` (counted over listing and
 * settling; -1 = never) the answer is lost, or before it nothing arrives. */
static struct {
    int requests, break_at;
    bool before;
} wire;

static bool breaks(void)
{
    return wire.requests++ == wire.break_at;
}

static int lose(mpq_error *err)
{
    return mpq_error_set(err, MPQ_ERROR_CONNECT, "the connection broke");
}

static int adopt_wire(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    bool lost = breaks();
    int rc = lost && wire.before ? -1 : mpq_broker_memory.adopt(broker, dead, out, err);
    return lost ? lose(err) : rc;
}

static int send_wire(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    bool lost = exchange->dead && breaks();
    int rc = lost && wire.before ? -1 : mpq_broker_memory.send(broker, exchange, err);
    return lost ? lose(err) : rc;
}

static void open_lane(lane_rig *rig)
{
    static mpq_broker_ops ops;
    ops = mpq_broker_memory;
    ops.adopt = adopt_wire;
    ops.send = send_wire;
    lane_rig_open_lane(rig);
    rig->lane->broker->ops = &ops;
}

static void push(lane_rig *rig)
{
    mpq_id id;
    size_t accepted;
    mpq_new_job job = {.payload = mpq_slice_of("work", 4), .fail_number = 3};
    CHECK_INT(mpq_producer_push(rig->producer, "q", &job, 1, &id, &accepted, &rig->err), 0);
}

/* A service held the jobs, and its board says which of them was running. */
static void leave_behind(lane_rig *rig)
{
    mpq_broker *dead = NULL;
    mpq_batch batch;
    mpq_buf held;
    mpq_batch_init(&batch);
    mpq_buf_init(&held);
    CHECK_INT(mpq_broker_open(&rig->config.broker, &dead, &rig->err), 0);
    CHECK_INT(dead->ops->attach(dead, "q", "killed", 60000, MPQ_ATTACH_FRESH, &held, &rig->err), 0);
    mpq_exchange all = {.want = JOBS};
    CHECK_INT(mpq_broker_exchange(dead, &all, 1000, &batch, &rig->err), 0);
    CHECK_INT(batch.count, JOBS);
    mpq_board_file *board = rig->process.board.file;
    strcpy(board->queues[0].owner, "killed");
    for (uint32_t i = 0; i < RUNNING; i++) {
        board->workers[i].queue = 0;
        board->workers[i].job = mpq_codec_id(mpq_batch_envelope(&batch, i));
        atomic_store(&board->workers[i].run_token, 1);
    }
    mpq_broker_close(dead);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&held);
}

static void check_counted_once(lane_rig *rig)
{
    uint32_t failures[JOBS] = {0}, runs = 0;
    for (int i = 0; i < 50 && runs < JOBS && !test_failed(); i++) {
        rig->lane->retry_at_ms = 0;
        lane_rig_pump(rig, 2);
        uint32_t slot = lane_rig_claim(rig);
        if (slot == MPQ_SLOT_NONE)
            continue;
        mpq_job job;
        CHECK_INT(mpq_codec_decode(mpq_ring_envelope(rig->lane->ring, slot), &job, &rig->err), 0);
        CHECK(job.failures < JOBS);
        failures[job.failures]++;
        runs++;
        lane_rig_finish(rig, slot, MPQ_END_DONE);
    }
    lane_rig_pump(rig, 3);
    CHECK_INT(failures[0], JOBS - RUNNING);
    CHECK_INT(failures[1], RUNNING);
    mpq_counts counts = lane_rig_counts(rig);
    CHECK_INT(counts.done, counts.pushed);
    CHECK_INT(counts.running, 0);
}

/* Returns how many requests there were. */
static int take_over(int break_at, bool before, bool killed)
{
    lane_rig rig;
    wire.requests = 0;
    wire.break_at = break_at;
    wire.before = before;
    lane_rig_init(&rig, 1);
    lane_rig_open(&rig);
    lane_rig_kill_lane(&rig);
    for (int i = 0; i < JOBS; i++)
        push(&rig);
    leave_behind(&rig);
    lane_rig_reopen_board(&rig);
    open_lane(&rig);
    for (int i = 0; i < 20 && wire.requests <= break_at; i++)
        lane_rig_pump(&rig, 1);
    if (killed) {
        lane_rig_kill_lane(&rig);
        open_lane(&rig);
    }
    check_counted_once(&rig);
    if (*mpq_board_inheritance(rig.process.board.file)->queue)
        test_fail(__FILE__, __LINE__, "what was inherited is not forgotten");
    lane_rig_close(&rig);
    return wire.requests;
}

TEST(lane_counts_what_a_killed_service_was_running)
{
    CHECK(take_over(-1, false, false) >= 3);
}

TEST(lane_counts_once_whatever_request_of_a_take_over_breaks)
{
    int count = take_over(-1, false, false);
    for (int i = 0; i < 4 * count && !test_failed(); i++) {
        take_over(i / 4, i & 1, i & 2);
        if (test_failed())
            printf("  request %d broke %s it, then %s\n", i / 4, i & 1 ? "before" : "after",
                   i & 2 ? "the dispatcher was replaced" : "the lane connected again");
    }
}
