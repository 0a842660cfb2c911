#include "lane_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "test.h"

enum { PAYLOAD_MAX_BYTES = 1 << 20 };

static void check(const lane_rig *rig, int rc)
{
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "%s", rig->err.text);
}

void lane_rig_init(lane_rig *rig, uint32_t workers)
{
    memset(rig, 0, sizeof *rig);
    mpq_config_init(&rig->config);
    mpq_queue_config_init(&rig->queue);
    rig->config.name = strdup("svc");
    rig->config.pid_path = strdup(test_tmpdir());
    rig->config.broker.driver = MPQ_DRIVER_MEMORY;
    rig->config.payload_max_bytes = PAYLOAD_MAX_BYTES;
    rig->queue.name = strdup("q");
    rig->queue.workers = workers;
    rig->config.queues = &rig->queue;
    rig->config.queue_count = 1;
    rig->process.config = &rig->config;
}

static void open_board(lane_rig *rig)
{
    check(rig, mpq_board_open(&rig->config, &rig->process.board, &rig->err));
    for (uint32_t i = 0; i < rig->queue.workers; i++) {
        int index = mpq_board_reserve_worker(&rig->process.board, 0, 1);
        atomic_store(&rig->process.board.file->workers[index].state, MPQ_WORKER_IDLE);
    }
}

void lane_rig_reopen_board(lane_rig *rig)
{
    mpq_board_close(&rig->process.board, &rig->config, false);
    open_board(rig);
}

void lane_rig_open(lane_rig *rig)
{
    open_board(rig);
    check(rig, mpq_producer_open(&rig->config.broker, PAYLOAD_MAX_BYTES, &rig->producer, &rig->err));
    lane_rig_open_lane(rig);
}

void lane_rig_open_with_fake_broker(lane_rig *rig, uint32_t workers, uint64_t payload_max_bytes)
{
    lane_rig_init(rig, workers);
    if (payload_max_bytes > 0)
        rig->config.payload_max_bytes = payload_max_bytes;
    lane_rig_open(rig);
    rig->broker = fake_broker_open();
    mpq_broker_close(rig->lane->broker);
    rig->lane->broker = &rig->broker->head;
}

void lane_rig_close(lane_rig *rig)
{
    if (rig->lane)
        lane_rig_kill_lane(rig);
    mpq_producer_close(rig->producer);
    mpq_log_close(rig->process.log);
    mpq_board_close(&rig->process.board, &rig->config, true);
    free(rig->queue.name);
    rig->config.queues = NULL;
    rig->config.queue_count = 0;
    mpq_config_fini(&rig->config);
}

void lane_rig_open_lane(lane_rig *rig)
{
    rig->lane = calloc(1, sizeof *rig->lane);
    check(rig, mpq_lane_open(&rig->process, 0, rig->lane, &rig->err));
}

void lane_rig_kill_lane(lane_rig *rig)
{
    mpq_lane_close(rig->lane);
    free(rig->lane);
    rig->lane = NULL;
}

static void return_all(lane_rig *rig, mpq_broker *thief, mpq_batch *jobs)
{
    mpq_settle settles[MPQ_ADOPT_MAX];
    mpq_exchange exchange = {.settles = settles, .settle_count = jobs->count, .dead = jobs->from};
    for (size_t i = 0; i < jobs->count; i++)
        settles[i] = (mpq_settle){.kind = MPQ_SETTLE_RETURN, .id = mpq_codec_id(mpq_batch_envelope(jobs, i))};
    check(rig, mpq_broker_exchange(thief, &exchange, 1000, jobs, &rig->err));
}

void lane_rig_steal(lane_rig *rig, const char *name)
{
    char owner[MPQ_OWNER_MAX + 1];
    mpq_broker *thief = NULL;
    mpq_buf held;
    mpq_batch batch;
    mpq_buf_init(&held);
    mpq_batch_init(&batch);
    snprintf(owner, sizeof owner, "%s", rig->process.board.file->queues[0].owner);
    check(rig, mpq_broker_open(&rig->config.broker, &thief, &rig->err));
    check(rig, thief->ops->attach(thief, "q", name, 60000, MPQ_ATTACH_FRESH, &held, &rig->err));
    while (owner[0] && !test_failed() && thief->ops->adopt(thief, owner, &batch, &rig->err) == 0)
        return_all(rig, thief, &batch);
    check(rig, thief->ops->detach(thief, &rig->err));
    mpq_broker_close(thief);
    mpq_buf_fini(&held);
    mpq_batch_fini(&batch);
}

void lane_rig_pump(lane_rig *rig, int times)
{
    while (times-- > 0) {
        mpq_lane_pump(rig->lane);
        mpq_lane_woken(rig->lane);
    }
}

uint32_t lane_rig_claim(lane_rig *rig)
{
    return mpq_ring_claim(rig->process.board.rings[0], 0);
}

void lane_rig_finish(lane_rig *rig, uint32_t slot, enum mpq_end end)
{
    mpq_ring *ring = rig->process.board.rings[0];
    mpq_ring_slot(ring, slot)->end = (uint32_t)end;
    mpq_ring_finish(ring, slot, rig->process.board.dispatcher_wake_fd);
}

mpq_counts lane_rig_counts(lane_rig *rig)
{
    mpq_counts counts = {0};
    mpq_broker *broker = mpq_producer_broker(rig->producer);
    check(rig, broker->ops->counts(broker, "q", &counts, &rig->err));
    return counts;
}
