/* One lane with as many workers, or jobs as large, as there may be. */
#include "lane_rig.h"
#include "test.h"

/* A command of more than a gigabyte ends the connection to Redis, and would do so again and again. */
TEST(lane_settles_large_jobs_in_portions)
{
    enum { JOBS = 24, BYTES = 5 << 20, PORTION_MAX = 48 << 20 };
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, JOBS, 64 << 20);
    for (uint32_t i = 0; i < JOBS; i++)
        fake_broker_put(&rig.broker->reserved, i, BYTES);
    lane_rig_pump(&rig, 2);
    uint32_t slot, count = 0;
    while ((slot = lane_rig_claim(&rig)) != MPQ_SLOT_NONE) {
        lane_rig_finish(&rig, slot, MPQ_END_EXCEPTION);
        count++;
    }
    CHECK_INT(count, JOBS);
    unsigned before = rig.broker->sent;
    lane_rig_pump(&rig, 8);
    CHECK(mpq_lane_settled(rig.lane));
    for (unsigned i = before; i < rig.broker->sent; i++)
        CHECK(rig.broker->sends[i % FAKE_BROKER_SENDS_KEPT].bytes <= PORTION_MAX);
    for (uint32_t i = 0; i < JOBS; i++)
        CHECK(fake_broker_settled(rig.broker, i, MPQ_SETTLE_RETRY));
    lane_rig_close(&rig);
}

/* Every one of the most workers that can be configured has a job at the same time. */
TEST(lane_keeps_the_most_workers_busy)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, MPQ_WORKERS_MAX, 0);
    uint32_t claimed = 0, number = 0;
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 200; j++)
            fake_broker_put(&rig.broker->reserved, number++, 4);
        rig.broker->hint = true;
        mpq_lane_woken(rig.lane);
        lane_rig_pump(&rig, 2);
        for (uint32_t slot; claimed < MPQ_WORKERS_MAX && (slot = lane_rig_claim(&rig)) != MPQ_SLOT_NONE; claimed++) {
            mpq_board_worker *worker = &rig.process.board.file->workers[claimed];
            atomic_store(&worker->state, MPQ_WORKER_BUSY);
            atomic_store(&worker->run_token, 1);
        }
    }
    CHECK_INT(claimed, MPQ_WORKERS_MAX);
    lane_rig_close(&rig);
}

/* However large the jobs are. */
TEST(lane_keeps_all_workers_busy_with_large_jobs)
{
    enum { WORKERS = 80, BYTES = 1 << 20 };
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, WORKERS, BYTES);
    uint32_t claimed = 0, number = 0;
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < WORKERS / 5; j++)
            fake_broker_put(&rig.broker->reserved, number++, BYTES);
        rig.broker->hint = true;
        mpq_lane_woken(rig.lane);
        lane_rig_pump(&rig, 2);
        for (uint32_t slot; claimed < WORKERS && (slot = lane_rig_claim(&rig)) != MPQ_SLOT_NONE; claimed++) {
            mpq_board_worker *worker = &rig.process.board.file->workers[claimed];
            atomic_store(&worker->state, MPQ_WORKER_BUSY);
            atomic_store(&worker->run_token, 1);
        }
    }
    CHECK_INT(claimed, WORKERS);
    lane_rig_close(&rig);
}
