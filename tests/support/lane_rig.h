/* One lane with a board, a real ring and idle workers, in the test's own process: the test plays everybody else. */
#ifndef MPQ_TEST_LANE_RIG_H
#define MPQ_TEST_LANE_RIG_H

#include "fake_broker.h"
#include "lane.h"
#include "producer.h"

typedef struct lane_rig {
    mpq_config config; /* of a memory store with one queue, "q"; change it before the lane is opened */
    mpq_queue_config queue;
    mpq_process process;
    mpq_lane *lane;
    mpq_producer *producer; /* of the memory store */
    fake_broker *broker;    /* when it has one */
    mpq_error err;
} lane_rig;

/* All of these fail the test when they can't. */
void lane_rig_init(lane_rig *rig, uint32_t workers);
void lane_rig_open(lane_rig *rig);
/* init and open, with a fake broker instead of the store. payload_max_bytes 0 = 1 MB. */
void lane_rig_open_with_fake_broker(lane_rig *rig, uint32_t workers, uint64_t payload_max_bytes);
void lane_rig_close(lane_rig *rig);
/* The whole service was killed, and starts again. Without a lane. */
void lane_rig_reopen_board(lane_rig *rig);
/* The lane alone, as if the dispatcher had been killed (the broker hears nothing of it) and replaced. */
void lane_rig_open_lane(lane_rig *rig);
void lane_rig_kill_lane(lane_rig *rig);

void lane_rig_pump(lane_rig *rig, int times);
/* Another node, attached as `thief`, takes away what the lane holds, as after the end of its lease, and hands it back.
 */
void lane_rig_steal(lane_rig *rig, const char *thief);
/* A job for a worker: its slot, or MPQ_SLOT_NONE. */
uint32_t lane_rig_claim(lane_rig *rig);
/* The outcome a worker would publish; reports nothing but the end. */
void lane_rig_finish(lane_rig *rig, uint32_t slot, enum mpq_end end);
/* What the memory store says. */
mpq_counts lane_rig_counts(lane_rig *rig);

#endif
