/* One lane against the memory store and a real ring; the test plays workers, manager and other nodes. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "lane.h"
#include "producer.h"
#include "test.h"

typedef struct fixture {
    mpq_config config;
    mpq_queue_config queue;
    mpq_process process;
    mpq_lane *lane;
    mpq_producer *producer;
    mpq_error err;
} fixture;

static void open_lane(fixture *f)
{
    f->lane = calloc(1, sizeof *f->lane);
    if (mpq_lane_open(&f->process, 0, f->lane, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
}

/* As if the process had been killed: the broker hears nothing. */
static void kill_lane(fixture *f)
{
    mpq_lane_close(f->lane);
    free(f->lane);
    f->lane = NULL;
}

static void setup(fixture *f, uint32_t workers)
{
    memset(f, 0, sizeof *f);
    mpq_config_init(&f->config);
    mpq_queue_config_init(&f->queue);
    f->config.name = strdup("svc");
    f->config.pid_path = strdup(test_tmpdir());
    f->config.broker.driver = MPQ_DRIVER_MEMORY;
    f->config.payload_max_bytes = 1 << 20;
    f->config.lease_ms = 500;
    f->queue.name = strdup("q");
    f->queue.workers = workers;
    f->config.queues = &f->queue;
    f->config.queue_count = 1;
    f->process.config = &f->config;
    if (mpq_board_open(&f->config, &f->process.board, &f->err) < 0 ||
        mpq_producer_open(&f->config.broker, 1 << 20, &f->producer, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
    for (uint32_t i = 0; i < workers; i++) {
        int index = mpq_board_reserve_worker(&f->process.board, 0, 1);
        atomic_store(&f->process.board.file->workers[index].state, MPQ_WORKER_IDLE);
    }
    open_lane(f);
}

static void teardown(fixture *f)
{
    if (f->lane)
        kill_lane(f);
    mpq_producer_close(f->producer);
    mpq_board_close(&f->process.board, &f->config, true);
    free(f->queue.name);
    f->config.queues = NULL;
    f->config.queue_count = 0;
    mpq_config_fini(&f->config);
}

static void push(fixture *f, size_t count, uint32_t fail_number)
{
    for (size_t i = 0; i < count; i++) {
        mpq_new_job job = {.payload = mpq_slice_of("work", 4), .fail_number = fail_number};
        mpq_id id;
        size_t accepted;
        if (mpq_producer_push(f->producer, "q", &job, 1, &id, &accepted, &f->err) < 0)
            test_fail(__FILE__, __LINE__, "%s", f->err.text);
    }
}

static mpq_counts counts(fixture *f)
{
    mpq_counts out = {0};
    mpq_broker *broker = mpq_producer_broker(f->producer);
    if (broker->ops->counts(broker, "q", &out, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
    return out;
}

static void pump(fixture *f, int times)
{
    while (times-- > 0) {
        mpq_lane_pump(f->lane);
        mpq_lane_woken(f->lane);
    }
}

/* The outcome a worker would publish; reports nothing but the end. */
static void finish(fixture *f, uint32_t slot, enum mpq_end end)
{
    mpq_ring_slot(f->lane ? f->lane->ring : f->process.board.rings[0], slot)->end = (uint32_t)end;
    mpq_ring_finish(f->process.board.rings[0], slot, f->process.board.dispatcher_wake_fd);
}

static uint32_t claim(fixture *f)
{
    return mpq_ring_claim(f->process.board.rings[0], 0);
}

/* Runs whatever there is to the given end, at most `max` runs. */
static int work(fixture *f, enum mpq_end end, int max)
{
    int runs = 0;
    for (int idle = 0; idle < 3 && runs < max;) {
        pump(f, 2);
        uint32_t slot = claim(f);
        if (slot == MPQ_SLOT_NONE) {
            idle++;
            continue;
        }
        idle = 0;
        runs++;
        finish(f, slot, end);
    }
    pump(f, 3);
    return runs;
}

TEST(lane_runs_and_settles_everything)
{
    fixture f;
    setup(&f, 2);
    push(&f, 300, 3);
    CHECK_INT(work(&f, MPQ_END_DONE, 1000), 300);
    mpq_counts c = counts(&f);
    CHECK_INT(c.done, 300);
    CHECK_INT(c.ready + c.running + c.failed + c.delayed, 0);
    teardown(&f);
}

TEST(lane_does_not_reserve_without_workers)
{
    fixture f;
    setup(&f, 1);
    atomic_store(&f.process.board.file->workers[0].state, MPQ_WORKER_STARTING);
    push(&f, 5, 3);
    pump(&f, 5);
    CHECK_INT(counts(&f).running, 0);
    teardown(&f);
}

TEST(lane_hands_the_last_failure_to_the_handler_and_then_to_the_failed_records)
{
    fixture f;
    setup(&f, 1);
    push(&f, 1, 2);
    CHECK_INT(work(&f, MPQ_END_EXCEPTION, 1), 1); /* first failure: fail_expire 0, runs again */
    CHECK_INT(work(&f, MPQ_END_EXCEPTION, 1), 1); /* second: final, the handler is due */
    CHECK_INT(counts(&f).failed, 0);
    pump(&f, 3);
    uint32_t slot = claim(&f);
    CHECK(slot != MPQ_SLOT_NONE);
    mpq_job job;
    CHECK_INT(mpq_codec_decode(mpq_ring_envelope(f.lane->ring, slot), &job, &f.err), 0);
    CHECK_INT(job.phase, MPQ_PHASE_HANDLER);
    CHECK_INT(job.failures, 2);
    CHECK_INT(job.history_count, 2);
    finish(&f, slot, MPQ_END_DONE);
    pump(&f, 3);
    CHECK_INT(counts(&f).failed, 1);
    CHECK_INT(counts(&f).running, 0);
    teardown(&f);
}

TEST(lane_replaced_dispatcher_settles_what_its_predecessor_left)
{
    fixture f;
    setup(&f, 2);
    push(&f, 40, 3);
    pump(&f, 3);
    uint32_t running = claim(&f);
    uint32_t finished = claim(&f);
    CHECK(running != MPQ_SLOT_NONE && finished != MPQ_SLOT_NONE);
    finish(&f, finished, MPQ_END_DONE);
    kill_lane(&f);
    open_lane(&f);
    pump(&f, 4);
    CHECK_INT(counts(&f).done, 1);
    finish(&f, running, MPQ_END_DONE);
    CHECK_INT(work(&f, MPQ_END_DONE, 1000), 38); /* each of the others once */
    CHECK_INT(counts(&f).done, 40);
    CHECK_INT(counts(&f).running, 0);
    teardown(&f);
}

/* Another node takes everything away, as after a lease that was not renewed. */
static void steal(fixture *f, const char *as, const char *from)
{
    mpq_broker *thief = NULL;
    mpq_buf held;
    mpq_batch batch;
    mpq_buf_init(&held);
    mpq_batch_init(&batch);
    if (mpq_broker_open(&f->config.broker, &thief, &f->err) < 0 ||
        thief->ops->attach(thief, "q", as, 60000, MPQ_ATTACH_FRESH, &held, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
    while (!test_failed() && thief->ops->adopt(thief, from, &batch, &f->err) == 0)
        ;
    if (thief->ops->detach(thief, &f->err) < 0) /* hands everything back to the queue */
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
    mpq_broker_close(thief);
    mpq_buf_fini(&held);
    mpq_batch_fini(&batch);
}

TEST(lane_that_lost_its_lease_completes_nothing_of_before)
{
    fixture f;
    setup(&f, 2);
    push(&f, 10, 3);
    pump(&f, 3);
    uint32_t late = claim(&f);
    CHECK(late != MPQ_SLOT_NONE);
    char owner[MPQ_OWNER_MAX + 1];
    snprintf(owner, sizeof owner, "%s", f.process.board.file->queues[0].owner);
    steal(&f, "thief", owner);
    CHECK_INT(counts(&f).ready, 10);
    finish(&f, late, MPQ_END_DONE);
    pump(&f, 6);
    CHECK(strcmp(owner, f.process.board.file->queues[0].owner) != 0);
    CHECK_INT(counts(&f).done, 0);
    CHECK_INT(work(&f, MPQ_END_DONE, 1000), 10);
    CHECK_INT(counts(&f).done, 10);
    teardown(&f);
}

TEST(lane_takes_over_from_a_dead_node_and_counts_it)
{
    fixture f;
    setup(&f, 1);
    push(&f, 3, 1);
    mpq_broker *dead = NULL;
    mpq_batch batch;
    mpq_buf held;
    mpq_batch_init(&batch);
    mpq_buf_init(&held);
    CHECK_INT(mpq_broker_open(&f.config.broker, &dead, &f.err), 0);
    CHECK_INT(dead->ops->attach(dead, "q", "dead-node", 50, MPQ_ATTACH_FRESH, &held, &f.err), 0);
    mpq_exchange all = {.want = 3};
    CHECK_INT(mpq_broker_exchange(dead, &all, 1000, &batch, &f.err), 0);
    CHECK_INT(batch.count, 3);
    uint32_t slot = MPQ_SLOT_NONE; /* fail_number 1: the loss was the last failure, its handler is due */
    uint64_t began_at_ms = mpq_clock_monotonic_ms();
    for (int i = 0; i < 200 && slot == MPQ_SLOT_NONE; i++) {
        usleep(10000);
        pump(&f, 2);
        slot = claim(&f);
    }
    CHECK(slot != MPQ_SLOT_NONE);
    CHECK(mpq_clock_monotonic_ms() >= began_at_ms + 490); /* it may have to come back from an outage, as we may have */
    mpq_job job;
    mpq_cause cause;
    CHECK_INT(mpq_codec_decode(mpq_ring_envelope(f.lane->ring, slot), &job, &f.err), 0);
    CHECK_INT(job.phase, MPQ_PHASE_HANDLER);
    mpq_reader history = mpq_reader_of(job.history);
    CHECK_INT(mpq_codec_next_cause(&history, &cause, &f.err), 0);
    CHECK_INT(cause.end, MPQ_END_NODE_LOST);
    CHECK(cause.worker.len == strlen("dead-node"));
    finish(&f, slot, MPQ_END_DONE);
    CHECK_INT(work(&f, MPQ_END_DONE, 100), 2);
    CHECK_INT(counts(&f).failed, 3);
    mpq_broker_close(dead);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&held);
    teardown(&f);
}

TEST(lane_hands_back_what_waits_when_the_service_stops)
{
    fixture f;
    setup(&f, 1);
    push(&f, 50, 3);
    CHECK_INT(work(&f, MPQ_END_DONE, 10), 10);
    pump(&f, 2);
    atomic_store(&f.process.board.shared->stopping, 1);
    pump(&f, 4);
    CHECK(mpq_lane_settled(f.lane));
    CHECK_INT(mpq_ring_ready(f.lane->ring), 0);
    CHECK_INT(counts(&f).ready, 40);
    CHECK_INT(mpq_lane_detach(f.lane, &f.err), 0);
    CHECK_INT(counts(&f).running, 0);
    teardown(&f);
}

TEST(lane_gives_waiting_jobs_back_while_its_workers_are_stuck)
{
    fixture f;
    setup(&f, 1);
    push(&f, 100, 3);
    for (int i = 0; i < 20; i++) { /* measured as tiny: prefetches many */
        pump(&f, 2);
        uint32_t slot = claim(&f);
        CHECK(slot != MPQ_SLOT_NONE);
        mpq_ring_slot(f.lane->ring, slot)->run_us = 5;
        finish(&f, slot, MPQ_END_DONE);
    }
    pump(&f, 2);
    CHECK(mpq_ring_ready(f.lane->ring) > 50);
    CHECK(claim(&f) != MPQ_SLOT_NONE);
    mpq_board_worker *worker = &f.process.board.file->workers[0];
    atomic_store(&worker->state, MPQ_WORKER_BUSY);
    atomic_store(&worker->run_started_at_ms, mpq_clock_monotonic_ms() - 5000);
    atomic_store(&worker->run_token, 1);
    pump(&f, 3);
    CHECK(mpq_ring_ready(f.lane->ring) <= 1);
    CHECK(counts(&f).ready >= 78);
    teardown(&f);
}

static void push_large(fixture *f, size_t count)
{
    static char payload[900 << 10];
    for (size_t i = 0; i < count; i++) {
        mpq_new_job job = {.payload = mpq_slice_of(payload, sizeof payload), .fail_number = 1};
        mpq_id id;
        size_t accepted;
        if (mpq_producer_push(f->producer, "q", &job, 1, &id, &accepted, &f->err) < 0)
            test_fail(__FILE__, __LINE__, "%s", f->err.text);
    }
}

/* Prefetches many, as after many tiny jobs, until the ring has no room for what was reserved. */
static void overflow(fixture *f)
{
    setup(f, 1);
    for (int i = 0; i < 3; i++)
        mpq_prefetch_measure(&f->lane->prefetch, 5);
    push_large(f, 150);
    pump(f, 6);
    CHECK(f->lane->overflow.count > 0);
    CHECK(mpq_ring_ready(f->lane->ring) > 50);
}

TEST(lane_runs_what_the_ring_had_no_room_for)
{
    fixture f;
    overflow(&f);
    CHECK_INT(work(&f, MPQ_END_DONE, 1000), 150);
    CHECK_INT(counts(&f).done, 150);
    CHECK_INT(f.lane->overflow.count, 0);
    teardown(&f);
}

TEST(lane_hands_back_what_the_ring_had_no_room_for)
{
    fixture f;
    overflow(&f);
    atomic_store(&f.process.board.shared->stopping, 1);
    pump(&f, 6);
    CHECK(mpq_lane_settled(f.lane));
    CHECK_INT(f.lane->overflow.count, 0);
    CHECK_INT(counts(&f).ready, 150);
    CHECK_INT(counts(&f).running, 0);
    teardown(&f);
}

/* It is still held under our name, and only the attach knows. */
TEST(lane_that_is_cut_off_forgets_nothing_it_had_no_room_for)
{
    fixture f;
    overflow(&f);
    mpq_lane_down(f.lane, &(mpq_error){.text = "cut off"});
    f.lane->retry_at_ms = 0;
    CHECK_INT(work(&f, MPQ_END_DONE, 1000), 150);
    CHECK_INT(counts(&f).done, 150);
    teardown(&f);
}
