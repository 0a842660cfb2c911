/* Taking over from many, over a slow connection, or from a store that contradicts itself: the queue goes on meanwhile.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "lane_rig.h"
#include "test.h"

enum { DEAD = 40, SLOW_MS = 10, PUMP_MS = 400 };

/* The memory store, but: */
static struct {
    int slow_ms;  /* for each request of a take-over */
    bool refuses; /* whatever is settled of the dead */
    bool haunted; /* there is always one more dead owner, who holds nothing */
    int listed;
} store;

static int adopt_slowly(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    store.listed++;
    usleep((useconds_t)store.slow_ms * 1000);
    int rc = mpq_broker_memory.adopt(broker, dead, out, err);
    if (rc == 0 || !store.haunted)
        return rc;
    strcpy(out->from, "ghost");
    return 0;
}

static int send_slowly(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    mpq_exchange asked = *exchange;
    if (exchange->dead)
        usleep((useconds_t)store.slow_ms * 1000);
    if (exchange->dead && store.refuses)
        asked.dead = "somebody else";
    return mpq_broker_memory.send(broker, &asked, err);
}

static void open_lane(lane_rig *rig)
{
    static mpq_broker_ops ops;
    ops = mpq_broker_memory;
    ops.adopt = adopt_slowly;
    ops.send = send_slowly;
    lane_rig_open_lane(rig);
    rig->lane->broker->ops = &ops;
}

/* Without a lane. */
static void open_rig(lane_rig *rig, uint32_t workers)
{
    memset(&store, 0, sizeof store);
    lane_rig_init(rig, workers);
    lane_rig_open(rig);
    lane_rig_kill_lane(rig);
}

static void push(lane_rig *rig)
{
    mpq_id id;
    size_t accepted;
    mpq_new_job job = {.payload = mpq_slice_of("work", 4), .fail_number = 3};
    CHECK_INT(mpq_producer_push(rig->producer, "q", &job, 1, &id, &accepted, &rig->err), 0);
}

/* Somebody takes a job and is heard of no more. */
static void die_with_a_job(lane_rig *rig, const char *owner, uint32_t lease_ms)
{
    mpq_exchange one = {.want = 1};
    mpq_broker *dead = NULL;
    mpq_batch batch;
    mpq_buf held;
    mpq_batch_init(&batch);
    mpq_buf_init(&held);
    push(rig);
    CHECK_INT(mpq_broker_open(&rig->config.broker, &dead, &rig->err), 0);
    CHECK_INT(dead->ops->attach(dead, "q", owner, lease_ms, MPQ_ATTACH_FRESH, &held, &rig->err), 0);
    CHECK_INT(mpq_broker_exchange(dead, &one, 1000, &batch, &rig->err), 0);
    CHECK_INT(batch.count, 1);
    mpq_broker_close(dead);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&held);
}

/* One for each worker on the board. */
static void let_all_die(lane_rig *rig, enum mpq_worker_state state)
{
    for (uint32_t i = 0; i < DEAD && !test_failed(); i++) {
        mpq_board_worker *worker = &rig->process.board.file->workers[i];
        snprintf(worker->owner, sizeof worker->owner, "dead:%u", i);
        die_with_a_job(rig, worker->owner, 60000);
        atomic_store(&worker->state, state);
    }
}

static void stop(lane_rig *rig)
{
    atomic_store(&rig->process.board.shared->stopping, 2);
    store.slow_ms = SLOW_MS;
    open_lane(rig);
    lane_rig_pump(rig, 1);
    for (int i = 0; i < 1000 && !mpq_lane_settled(rig->lane); i++)
        lane_rig_pump(rig, 1);
    CHECK_INT(mpq_lane_detach(rig->lane, &rig->err), 0);
    CHECK_INT(lane_rig_counts(rig).ready, DEAD);
}

/* All jobs are run, soon, and no call takes long. */
static void run_all(lane_rig *rig, uint64_t limit_ms)
{
    uint64_t began_ms = mpq_clock_monotonic_ms(), now = began_ms, next;
    while (lane_rig_counts(rig).done < DEAD && now < began_ms + limit_ms && !test_failed()) {
        lane_rig_pump(rig, 1);
        uint64_t pumped_ms = mpq_clock_monotonic_ms() - now;
        if (pumped_ms > PUMP_MS)
            test_fail(__FILE__, __LINE__, "the lane was away for %d ms", (int)pumped_ms);
        for (uint32_t slot; (slot = lane_rig_claim(rig)) != MPQ_SLOT_NONE;)
            lane_rig_finish(rig, slot, MPQ_END_DONE);
        if (mpq_lane_sleep(rig->lane, 1000 * now, &next))
            usleep(1000);
        now = mpq_clock_monotonic_ms();
    }
    CHECK_INT(lane_rig_counts(rig).done, DEAD);
}

TEST(lane_goes_on_while_it_takes_over_from_many)
{
    lane_rig rig;
    char owner[32];
    open_rig(&rig, 2);
    for (int i = 0; i < DEAD; i++) {
        snprintf(owner, sizeof owner, "dead:%d", i);
        die_with_a_job(&rig, owner, 1);
    }
    store.slow_ms = SLOW_MS;
    open_lane(&rig);
    lane_rig_pump(&rig, 1);
    rig.lane->adopt_at_ms = rig.lane->renew_at_ms = 0;
    run_all(&rig, 3 * DEAD * 2 * SLOW_MS);
    lane_rig_close(&rig);
}

TEST(lane_goes_on_while_it_takes_over_what_was_inherited)
{
    lane_rig rig;
    open_rig(&rig, DEAD);
    let_all_die(&rig, MPQ_WORKER_IDLE);
    lane_rig_reopen_board(&rig);
    store.slow_ms = SLOW_MS;
    open_lane(&rig);
    run_all(&rig, 3 * DEAD * 3 * SLOW_MS);
    lane_rig_close(&rig);
}

TEST(lane_goes_on_when_the_store_never_runs_out_of_dead)
{
    lane_rig rig;
    open_rig(&rig, 1);
    for (int i = 0; i < DEAD; i++)
        push(&rig);
    store.haunted = true;
    open_lane(&rig);
    lane_rig_pump(&rig, 1);
    rig.lane->adopt_at_ms = rig.lane->renew_at_ms = 0;
    run_all(&rig, 5000);
    lane_rig_close(&rig);
}

TEST(lane_does_not_spin_when_a_dead_worker_can_not_be_taken_over)
{
    lane_rig rig;
    uint64_t next;
    open_rig(&rig, 1);
    rig.queue.mode = MPQ_MODE_GRAB;
    die_with_a_job(&rig, "dead", 60000);
    mpq_board_worker *worker = &rig.process.board.file->workers[0];
    strcpy(worker->owner, "dead");
    atomic_store(&worker->state, MPQ_WORKER_DEAD);
    store.refuses = true;
    open_lane(&rig);
    for (uint64_t end = mpq_clock_monotonic_ms() + 300; mpq_clock_monotonic_ms() < end;) {
        lane_rig_pump(&rig, 1);
        if (mpq_lane_sleep(rig.lane, mpq_clock_monotonic_us(), &next))
            usleep(1000);
    }
    CHECK(store.listed >= 1 && store.listed <= 6);
    CHECK_INT(atomic_load(&worker->state), MPQ_WORKER_DEAD);
    store.refuses = false;
    for (int i = 0; i < 1000 && atomic_load(&worker->state) == MPQ_WORKER_DEAD; i++) {
        lane_rig_pump(&rig, 1);
        usleep(1000);
    }
    CHECK_INT(atomic_load(&worker->state), MPQ_WORKER_EMPTY);
    CHECK_INT(lane_rig_counts(&rig).ready, 1);
    lane_rig_close(&rig);
}

/* Else what they held would wait for the end of their leases, and count as lost with the node. */
TEST(lane_is_not_settled_as_long_as_dead_workers_are_not)
{
    lane_rig rig;
    open_rig(&rig, DEAD);
    rig.queue.mode = MPQ_MODE_GRAB;
    let_all_die(&rig, MPQ_WORKER_DEAD);
    stop(&rig);
    lane_rig_close(&rig);
}

TEST(lane_is_not_settled_as_long_as_what_it_inherited_is_not)
{
    lane_rig rig;
    open_rig(&rig, DEAD);
    let_all_die(&rig, MPQ_WORKER_IDLE);
    lane_rig_reopen_board(&rig);
    stop(&rig);
    lane_rig_close(&rig);
}
