/* One lane whose broker fails again and again: what it says, when it tries again, what it leaves alone meanwhile. */
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "lane_rig.h"
#include "log_lines.h"
#include "test.h"

static char directory[128]; /* of the log */

static void open_log(lane_rig *rig)
{
    snprintf(directory, sizeof directory, "%s/%ld", test_tmpdir(), (long)getpid());
    if (mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &rig->process.log, &rig->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", rig->err.text);
}

/* Attaching works, what follows does not: a full disk, a key of the wrong type, too many clients. */
static void fail_often(lane_rig *rig, bool *fault)
{
    *fault = true;
    for (int i = 0; i < 50; i++) {
        rig->lane->retry_at_ms = 0;
        lane_rig_pump(rig, 2);
    }
}

TEST(lane_complains_once_about_a_broker_that_fails_again_and_again)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    open_log(&rig);
    fail_often(&rig, &rig.broker->send_fails);
    fail_often(&rig, &rig.broker->attach_fails);
    rig.broker->send_fails = rig.broker->attach_fails = false;
    fail_often(&rig, &rig.broker->arm_fails);
    CHECK(rig.lane->retry_at_ms >= mpq_clock_monotonic_ms() + 200);
    CHECK_INT(log_lines(directory, "running jobs go on"), 1);
    CHECK_INT(log_lines(directory, "connected again"), 1);
    rig.lane->complain_at_ms = 1; /* a minute later */
    fail_often(&rig, &rig.broker->arm_fails);
    CHECK_INT(log_lines(directory, "running jobs go on"), 2);
    rig.broker->arm_fails = false;
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 3);
    CHECK_INT(rig.lane->state, MPQ_LANE_UP);
    rig.lane->up_since_ms -= 10000;
    rig.broker->hint = rig.broker->send_fails = true;
    lane_rig_pump(&rig, 3);
    CHECK_INT(log_lines(directory, "running jobs go on"), 3);
    CHECK(rig.lane->retry_at_ms <= mpq_clock_monotonic_ms() + 50);
    lane_rig_close(&rig);
}

/* However often its settlement has to be sent. */
TEST(lane_reports_a_failed_job_once)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    open_log(&rig);
    fake_broker_put(&rig.broker->reserved, 7, 4);
    lane_rig_pump(&rig, 2);
    uint32_t slot = lane_rig_claim(&rig);
    mpq_ring_slot(rig.lane->ring, slot)->run_us = 1000;
    fake_broker_hold(rig.broker, 7);
    lane_rig_finish(&rig, slot, MPQ_END_EXCEPTION);
    fail_often(&rig, &rig.broker->send_fails);
    rig.broker->send_fails = false;
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 2);
    CHECK(fake_broker_settled(rig.broker, 7, MPQ_SETTLE_RETRY));
    CHECK_INT(log_lines(directory, "failed, run"), 1);
    fake_broker_put(&rig.broker->reserved, 8, 4);
    rig.broker->hint = true;
    lane_rig_pump(&rig, 3);
    CHECK_INT(lane_rig_claim(&rig), slot);
    lane_rig_finish(&rig, slot, MPQ_END_EXCEPTION);
    lane_rig_pump(&rig, 2);
    CHECK_INT(log_lines(directory, "failed, run"), 2);
    lane_rig_close(&rig);
}

/* Its connection is gone then, and only another attach makes it possible to try again. */
TEST(lane_attaches_again_when_it_could_not_detach)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 2);
    atomic_store(&rig.process.board.shared->stopping, 2);
    lane_rig_pump(&rig, 2);
    rig.broker->detach_fails = true;
    CHECK_INT(mpq_lane_detach(rig.lane, &rig.err), -1);
    CHECK_INT(rig.lane->state, MPQ_LANE_DOWN);
    rig.broker->detach_fails = false;
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 2);
    CHECK(mpq_lane_settled(rig.lane));
    CHECK_INT(mpq_lane_detach(rig.lane, &rig.err), 0);
    CHECK_INT(rig.lane->state, MPQ_LANE_CLOSED);
    CHECK_INT(rig.broker->attaches, 2);
    lane_rig_close(&rig);
}

/* The first to come back after an outage of the broker finds everybody's lease ended. */
TEST(lane_lets_others_come_back_before_it_takes_over)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    for (int outage = 0; outage < 2; outage++) {
        unsigned before = rig.broker->adopted;
        for (int i = 0; i < 5; i++) {
            rig.lane->renew_at_ms = 0;
            lane_rig_pump(&rig, 2);
        }
        CHECK_INT(rig.broker->adopted, before);
        CHECK(rig.lane->adopt_at_ms <= mpq_clock_monotonic_ms() + rig.config.lease_ms);
        rig.lane->adopt_at_ms = rig.lane->renew_at_ms = 0;
        lane_rig_pump(&rig, 2);
        CHECK(rig.broker->adopted > before);
        mpq_lane_down(rig.lane, &(mpq_error){.text = "an outage"});
        rig.lane->retry_at_ms = 0;
    }
    lane_rig_close(&rig);
}

static uint64_t sleep_of(lane_rig *rig)
{
    uint64_t now_us = mpq_clock_monotonic_us(), next_at_us = 0;
    bool may_sleep = mpq_lane_sleep(rig->lane, now_us, &next_at_us);
    mpq_ring_awake(rig->lane->ring);
    return may_sleep && next_at_us > now_us ? (next_at_us - now_us) / 1000 : 0;
}

static void maintain_now(lane_rig *rig)
{
    lane_rig_pump(rig, 1);
    rig->lane->adopt_at_ms = rig->lane->renew_at_ms = 0;
    lane_rig_pump(rig, 2);
}

/* With a lease of an hour the lane still hears within two seconds of a node that came and died since. */
TEST(lane_looks_for_dead_nodes_often)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 3600000;
    maintain_now(&rig);
    CHECK(rig.lane->renew_at_ms <= mpq_clock_monotonic_ms() + 2000);
    rig.config.lease_ms = 1000;
    maintain_now(&rig);
    CHECK(rig.lane->renew_at_ms <= mpq_clock_monotonic_ms() + 200);
    lane_rig_close(&rig);
}

/* The store knows when the next lease ends: not before, and not long after. */
TEST(lane_looks_for_a_dead_node_when_its_lease_ends)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 60000;
    rig.broker->look_in_ms = 300;
    uint64_t before = mpq_clock_monotonic_ms();
    maintain_now(&rig);
    CHECK(rig.lane->renew_at_ms > before + 300);
    CHECK(rig.lane->renew_at_ms < mpq_clock_monotonic_ms() + 350);
    CHECK(sleep_of(&rig) <= 350);
    unsigned adopted = rig.broker->adopted;
    lane_rig_pump(&rig, 3);
    CHECK_INT(rig.broker->adopted, adopted);
    rig.lane->renew_at_ms = mpq_clock_monotonic_ms(); /* the time has come */
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->adopted, adopted + 1);
    lane_rig_close(&rig);
}

/* One call in a round: the look renews the lease, and the workers are told of it. */
TEST(lane_renews_its_lease_with_the_look_for_the_dead)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 60000;
    lane_rig_pump(&rig, 3);
    _Atomic uint64_t *until = &rig.process.board.shared->lease_until_ms[0];
    atomic_store(until, 0);
    unsigned sent = rig.broker->sent;
    maintain_now(&rig);
    CHECK_INT(rig.broker->sent, sent);
    CHECK(atomic_load(until) > mpq_clock_monotonic_ms() + 59000);
    lane_rig_close(&rig);
}

/* While something is held a lease that ends costs a run, so it is renewed more often. */
TEST(lane_renews_more_often_while_a_job_runs)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 60000;
    fake_broker_put(&rig.broker->reserved, 1, 4);
    lane_rig_pump(&rig, 2);
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    maintain_now(&rig);
    CHECK(sleep_of(&rig) <= 500);
    unsigned adopted = rig.broker->adopted;
    rig.lane->renewed_at_ms -= 500;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->adopted, adopted + 1);
    lane_rig_close(&rig);
}

/* Where our own lease has ended the store was away: it is renewed, and the others get time to do the same. */
TEST(lane_lets_others_renew_when_its_own_lease_had_ended)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 60000;
    lane_rig_pump(&rig, 3);
    rig.broker->ended = true;
    unsigned sent = rig.broker->sent, adopted = rig.broker->adopted;
    maintain_now(&rig);
    CHECK_INT(rig.broker->sent, sent + 1);
    CHECK_INT(rig.broker->adopted, adopted + 1);
    rig.broker->ended = false;
    rig.lane->renew_at_ms = 0;
    lane_rig_pump(&rig, 2);
    CHECK_INT(rig.broker->adopted, adopted + 1);
    CHECK(rig.lane->adopt_at_ms > mpq_clock_monotonic_ms() + 2000);
    CHECK(rig.lane->adopt_at_ms <= mpq_clock_monotonic_ms() + 2500);
    lane_rig_close(&rig);
}

/* Nothing of it is rounded to milliseconds. */
TEST(lane_sleeps_until_a_job_is_due)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.broker->reserved.next_due_us = 123456;
    uint64_t before_us = mpq_clock_monotonic_us(), at_us;
    lane_rig_pump(&rig, 2);
    uint64_t due_at_us = rig.lane->due_at_us;
    CHECK(due_at_us >= before_us + 123456 && due_at_us <= mpq_clock_monotonic_us() + 123456);
    CHECK(mpq_lane_sleep(rig.lane, due_at_us - 1, &at_us));
    CHECK(at_us == due_at_us);
    mpq_ring_awake(rig.lane->ring);
    CHECK(!mpq_lane_sleep(rig.lane, due_at_us, &at_us));
    mpq_ring_awake(rig.lane->ring);
    lane_rig_close(&rig);
}

/* Words get lost; and a store may not be able to give its word. */
TEST(lane_looks_for_jobs_rarely_only_where_it_is_told_of_them)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    rig.config.lease_ms = 60000;
    rig.queue.sleep_ms = 50;
    rig.lane->adopt_at_ms = UINT64_MAX;
    lane_rig_pump(&rig, 3);
    CHECK(rig.lane->waiting);
    unsigned sent = rig.broker->sent;
    rig.lane->look_at_ms = mpq_clock_monotonic_ms();
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, sent);
    rig.lane->look_at_ms -= 5000;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, sent + 1);
    rig.broker->head.blind = true;
    CHECK(sleep_of(&rig) <= 50);
    rig.lane->look_at_ms = mpq_clock_monotonic_ms();
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, sent + 2);
    lane_rig_close(&rig);
}
