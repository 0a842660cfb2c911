/* One lane against the memory store and a real ring; the test plays workers, manager and other nodes. */
#include <unistd.h>

#include "clock.h"
#include "lane_rig.h"
#include "test.h"

static void setup(lane_rig *rig, uint32_t workers)
{
    lane_rig_init(rig, workers);
    rig->config.lease_ms = 500;
    lane_rig_open(rig);
}

static void push(lane_rig *rig, size_t count, uint32_t fail_number)
{
    for (size_t i = 0; i < count; i++) {
        mpq_new_job job = {.payload = mpq_slice_of("work", 4), .fail_number = fail_number};
        mpq_id id;
        size_t accepted;
        if (mpq_producer_push(rig->producer, "q", &job, 1, &id, &accepted, &rig->err) < 0)
            test_fail(__FILE__, __LINE__, "%s", rig->err.text);
    }
}

/* Runs whatever there is to the given end, at most `max` runs. */
static int work(lane_rig *rig, enum mpq_end end, int max)
{
    int runs = 0;
    for (int idle = 0; idle < 3 && runs < max;) {
        lane_rig_pump(rig, 2);
        uint32_t slot = lane_rig_claim(rig);
        if (slot == MPQ_SLOT_NONE) {
            idle++;
            continue;
        }
        idle = 0;
        runs++;
        lane_rig_finish(rig, slot, end);
    }
    lane_rig_pump(rig, 3);
    return runs;
}

TEST(lane_runs_and_settles_everything)
{
    lane_rig rig;
    setup(&rig, 2);
    push(&rig, 300, 3);
    CHECK_INT(work(&rig, MPQ_END_DONE, 1000), 300);
    mpq_counts c = lane_rig_counts(&rig);
    CHECK_INT(c.done, 300);
    CHECK_INT(c.ready + c.running + c.failed + c.delayed, 0);
    lane_rig_close(&rig);
}

TEST(lane_does_not_reserve_without_workers)
{
    lane_rig rig;
    setup(&rig, 1);
    atomic_store(&rig.process.board.file->workers[0].state, MPQ_WORKER_STARTING);
    push(&rig, 5, 3);
    lane_rig_pump(&rig, 5);
    CHECK_INT(lane_rig_counts(&rig).running, 0);
    lane_rig_close(&rig);
}

TEST(lane_hands_the_last_failure_to_the_handler_and_then_to_the_failed_records)
{
    lane_rig rig;
    setup(&rig, 1);
    push(&rig, 1, 2);
    CHECK_INT(work(&rig, MPQ_END_EXCEPTION, 1), 1); /* first failure: fail_expire 0, runs again */
    CHECK_INT(work(&rig, MPQ_END_EXCEPTION, 1), 1); /* second: final, the handler is due */
    CHECK_INT(lane_rig_counts(&rig).failed, 0);
    lane_rig_pump(&rig, 3);
    uint32_t slot = lane_rig_claim(&rig);
    CHECK(slot != MPQ_SLOT_NONE);
    mpq_job job;
    CHECK_INT(mpq_codec_decode(mpq_ring_envelope(rig.lane->ring, slot), &job, &rig.err), 0);
    CHECK_INT(job.phase, MPQ_PHASE_HANDLER);
    CHECK_INT(job.failures, 2);
    CHECK_INT(job.history_count, 2);
    lane_rig_finish(&rig, slot, MPQ_END_DONE);
    lane_rig_pump(&rig, 3);
    CHECK_INT(lane_rig_counts(&rig).failed, 1);
    CHECK_INT(lane_rig_counts(&rig).running, 0);
    lane_rig_close(&rig);
}

TEST(lane_replaced_dispatcher_settles_what_its_predecessor_left)
{
    lane_rig rig;
    setup(&rig, 2);
    push(&rig, 40, 3);
    lane_rig_pump(&rig, 3);
    uint32_t running = lane_rig_claim(&rig);
    uint32_t finished = lane_rig_claim(&rig);
    CHECK(running != MPQ_SLOT_NONE && finished != MPQ_SLOT_NONE);
    lane_rig_finish(&rig, finished, MPQ_END_DONE);
    lane_rig_kill_lane(&rig);
    lane_rig_open_lane(&rig);
    lane_rig_pump(&rig, 4);
    CHECK_INT(lane_rig_counts(&rig).done, 1);
    lane_rig_finish(&rig, running, MPQ_END_DONE);
    CHECK_INT(work(&rig, MPQ_END_DONE, 1000), 38); /* each of the others once */
    CHECK_INT(lane_rig_counts(&rig).done, 40);
    CHECK_INT(lane_rig_counts(&rig).running, 0);
    lane_rig_close(&rig);
}

TEST(lane_that_lost_its_lease_completes_nothing_of_before)
{
    lane_rig rig;
    setup(&rig, 2);
    push(&rig, 10, 3);
    lane_rig_pump(&rig, 3);
    uint32_t late = lane_rig_claim(&rig);
    CHECK(late != MPQ_SLOT_NONE);
    char owner[MPQ_OWNER_MAX + 1];
    snprintf(owner, sizeof owner, "%s", rig.process.board.file->queues[0].owner);
    lane_rig_steal(&rig, "thief");
    CHECK_INT(lane_rig_counts(&rig).ready, 10);
    lane_rig_finish(&rig, late, MPQ_END_DONE);
    lane_rig_pump(&rig, 6);
    CHECK(strcmp(owner, rig.process.board.file->queues[0].owner) != 0);
    CHECK_INT(lane_rig_counts(&rig).done, 0);
    CHECK_INT(work(&rig, MPQ_END_DONE, 1000), 10);
    CHECK_INT(lane_rig_counts(&rig).done, 10);
    lane_rig_close(&rig);
}

TEST(lane_takes_over_from_a_dead_node_and_counts_it)
{
    lane_rig rig;
    setup(&rig, 1);
    push(&rig, 3, 1);
    mpq_broker *dead = NULL;
    mpq_batch batch;
    mpq_buf held;
    mpq_batch_init(&batch);
    mpq_buf_init(&held);
    CHECK_INT(mpq_broker_open(&rig.config.broker, &dead, &rig.err), 0);
    CHECK_INT(dead->ops->attach(dead, "q", "dead-node", 50, MPQ_ATTACH_FRESH, &held, &rig.err), 0);
    mpq_exchange all = {.want = 3};
    CHECK_INT(mpq_broker_exchange(dead, &all, 1000, &batch, &rig.err), 0);
    CHECK_INT(batch.count, 3);
    uint32_t slot = MPQ_SLOT_NONE; /* fail_number 1: the loss was the last failure, its handler is due */
    uint64_t began_at_ms = mpq_clock_monotonic_ms();
    for (int i = 0; i < 200 && slot == MPQ_SLOT_NONE; i++) {
        usleep(10000);
        lane_rig_pump(&rig, 2);
        slot = lane_rig_claim(&rig);
    }
    CHECK(slot != MPQ_SLOT_NONE);
    CHECK(mpq_clock_monotonic_ms() >= began_at_ms + 490); /* it may have to come back from an outage, as we may have */
    mpq_job job;
    mpq_cause cause;
    CHECK_INT(mpq_codec_decode(mpq_ring_envelope(rig.lane->ring, slot), &job, &rig.err), 0);
    CHECK_INT(job.phase, MPQ_PHASE_HANDLER);
    mpq_reader history = mpq_reader_of(job.history);
    CHECK_INT(mpq_codec_next_cause(&history, &cause, &rig.err), 0);
    CHECK_INT(cause.end, MPQ_END_NODE_LOST);
    CHECK(cause.worker.len == strlen("dead-node"));
    lane_rig_finish(&rig, slot, MPQ_END_DONE);
    CHECK_INT(work(&rig, MPQ_END_DONE, 100), 2);
    CHECK_INT(lane_rig_counts(&rig).failed, 3);
    mpq_broker_close(dead);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&held);
    lane_rig_close(&rig);
}

TEST(lane_hands_back_what_waits_when_the_service_stops)
{
    lane_rig rig;
    setup(&rig, 1);
    push(&rig, 50, 3);
    CHECK_INT(work(&rig, MPQ_END_DONE, 10), 10);
    lane_rig_pump(&rig, 2);
    atomic_store(&rig.process.board.shared->stopping, 1);
    lane_rig_pump(&rig, 4);
    CHECK(mpq_lane_settled(rig.lane));
    CHECK_INT(mpq_ring_ready(rig.lane->ring), 0);
    CHECK_INT(lane_rig_counts(&rig).ready, 40);
    CHECK_INT(mpq_lane_detach(rig.lane, &rig.err), 0);
    CHECK_INT(lane_rig_counts(&rig).running, 0);
    lane_rig_close(&rig);
}

TEST(lane_gives_waiting_jobs_back_while_its_workers_are_stuck)
{
    lane_rig rig;
    setup(&rig, 1);
    push(&rig, 100, 3);
    for (int i = 0; i < 20; i++) { /* measured as tiny: prefetches many */
        lane_rig_pump(&rig, 2);
        uint32_t slot = lane_rig_claim(&rig);
        CHECK(slot != MPQ_SLOT_NONE);
        mpq_ring_slot(rig.lane->ring, slot)->run_us = 5;
        lane_rig_finish(&rig, slot, MPQ_END_DONE);
    }
    lane_rig_pump(&rig, 2);
    CHECK(mpq_ring_ready(rig.lane->ring) > 50);
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    mpq_board_worker *worker = &rig.process.board.file->workers[0];
    atomic_store(&worker->state, MPQ_WORKER_BUSY);
    atomic_store(&worker->run_started_at_ms, mpq_clock_monotonic_ms() - 5000);
    atomic_store(&worker->run_token, 1);
    lane_rig_pump(&rig, 3);
    CHECK(mpq_ring_ready(rig.lane->ring) <= 1);
    CHECK(lane_rig_counts(&rig).ready >= 78);
    lane_rig_close(&rig);
}

static void push_large(lane_rig *rig, size_t count)
{
    static char payload[900 << 10];
    for (size_t i = 0; i < count; i++) {
        mpq_new_job job = {.payload = mpq_slice_of(payload, sizeof payload), .fail_number = 1};
        mpq_id id;
        size_t accepted;
        if (mpq_producer_push(rig->producer, "q", &job, 1, &id, &accepted, &rig->err) < 0)
            test_fail(__FILE__, __LINE__, "%s", rig->err.text);
    }
}

/* Prefetches many, as after many tiny jobs, until the ring has no room for what was reserved. */
static void overflow(lane_rig *rig)
{
    setup(rig, 1);
    for (int i = 0; i < 3; i++)
        mpq_prefetch_measure(&rig->lane->prefetch, 5);
    push_large(rig, 150);
    lane_rig_pump(rig, 6);
    CHECK(rig->lane->overflow.count > 0);
    CHECK(mpq_ring_ready(rig->lane->ring) > 50);
}

TEST(lane_runs_what_the_ring_had_no_room_for)
{
    lane_rig rig;
    overflow(&rig);
    CHECK_INT(work(&rig, MPQ_END_DONE, 1000), 150);
    CHECK_INT(lane_rig_counts(&rig).done, 150);
    CHECK_INT(rig.lane->overflow.count, 0);
    lane_rig_close(&rig);
}

TEST(lane_hands_back_what_the_ring_had_no_room_for)
{
    lane_rig rig;
    overflow(&rig);
    atomic_store(&rig.process.board.shared->stopping, 1);
    lane_rig_pump(&rig, 6);
    CHECK(mpq_lane_settled(rig.lane));
    CHECK_INT(rig.lane->overflow.count, 0);
    CHECK_INT(lane_rig_counts(&rig).ready, 150);
    CHECK_INT(lane_rig_counts(&rig).running, 0);
    lane_rig_close(&rig);
}

/* It is still held under our name, and only the attach knows. */
TEST(lane_that_is_cut_off_forgets_nothing_it_had_no_room_for)
{
    lane_rig rig;
    overflow(&rig);
    mpq_lane_down(rig.lane, &(mpq_error){.text = "cut off"});
    rig.lane->retry_at_ms = 0;
    CHECK_INT(work(&rig, MPQ_END_DONE, 1000), 150);
    CHECK_INT(lane_rig_counts(&rig).done, 150);
    lane_rig_close(&rig);
}
