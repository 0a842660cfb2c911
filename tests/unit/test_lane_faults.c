/* One lane with a broker that answers late or never, loses answers and takes leases away; and with damaged jobs. */
#include <unistd.h>

#include "clock.h"
#include "death.h"
#include "lane_rig.h"
#include "test.h"

/* -- sleeping -------------------------------------------------------------------------------------------------- */

/* The moments at which it would look at the broker pass by while it waits for an answer: it is the answer that wakes
 * it, and a broker that is frozen costs no processor time. */
TEST(lane_sleeps_while_an_answer_is_late)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 3, 0);
    rig.lane->due_at_us = 0;
    lane_rig_pump(&rig, 2);
    rig.broker->answers_late = true;
    rig.broker->hint = true;
    lane_rig_pump(&rig, 2);
    CHECK_INT(rig.lane->flight_count, 1);
    rig.lane->due_at_us = 1;
    for (uint64_t late_ms = 0; late_ms < 60000; late_ms += 500) {
        uint64_t now = mpq_clock_monotonic_us() + 1000 * late_ms, next;
        CHECK(mpq_lane_sleep(rig.lane, now, &next));
        CHECK(next >= now + 200000);
        CHECK(next <= now + 1000000); /* to ask whether the broker has failed */
        mpq_ring_awake(rig.lane->ring);
    }
    rig.broker->answers_late = false;
    lane_rig_pump(&rig, 2);
    CHECK_INT(rig.lane->flight_count, 0);
    lane_rig_close(&rig);
}

/* -- hints ----------------------------------------------------------------------------------------------------- */

/* The hint is newer than what the broker knew when it wrote the answer that comes after it. */
TEST(lane_remembers_a_hint_that_overtakes_an_answer)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 3);
    CHECK(rig.lane->empty && rig.lane->waiting);
    rig.broker->answers_late = true;
    rig.lane->look_at_ms = 1;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.lane->flight_count, 1);
    rig.broker->hint = true; /* a new due time, say */
    mpq_lane_woken(rig.lane);
    rig.broker->reserved.next_due_us = -1; /* what was known before */
    rig.broker->answers_late = false;
    unsigned before = rig.broker->sent;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, before + 1);
    CHECK(rig.broker->sends[before % FAKE_BROKER_SENDS_KEPT].want > 0);
    lane_rig_close(&rig);
}

static void deliver(lane_rig *rig, uint32_t number)
{
    fake_broker_put(&rig->broker->hinted, number, 4);
    rig->broker->hint = true;
    mpq_lane_woken(rig->lane);
}

static void end_quiet(lane_rig *rig)
{
    rig->lane->quiet_until_us = 0;
    lane_rig_pump(rig, 1);
}

/* Telling the server first would let it have the processor that the worker needs. */
TEST(lane_gives_out_what_a_hint_delivers_before_it_says_anything)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 2, 0);
    lane_rig_pump(&rig, 2);
    unsigned before = rig.broker->sent;
    deliver(&rig, 7);
    rig.lane->quiet_until_us = UINT64_MAX;
    lane_rig_pump(&rig, 3);
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    CHECK_INT(rig.broker->sent, before);
    CHECK_INT(rig.broker->claimed, 0);
    uint64_t next_at_us;
    rig.lane->quiet_until_us = mpq_clock_monotonic_us() + 500;
    CHECK(mpq_lane_sleep(rig.lane, mpq_clock_monotonic_us(), &next_at_us));
    CHECK(next_at_us <= rig.lane->quiet_until_us);
    end_quiet(&rig);
    CHECK_INT(rig.broker->sent, before + 1);
    lane_rig_close(&rig);
}

/* Where the others of the last hint's job were pushed with it, those of the next one would have to wait. */
TEST(lane_asks_at_once_where_jobs_do_not_come_alone)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 2, 0);
    lane_rig_pump(&rig, 2);
    for (uint32_t round = 0; round < 4; round++) {
        bool company = round % 2 == 0;
        CHECK_INT(rig.lane->comes_alone, company); /* as it was the last time */
        rig.lane->hinted_at_us = 0;
        deliver(&rig, 10 * round);
        unsigned before = rig.broker->sent;
        if (company)
            fake_broker_put(&rig.broker->reserved, 10 * round + 1, 4);
        company ? end_quiet(&rig) : lane_rig_pump(&rig, 1);
        CHECK_INT(rig.broker->sent, before + 1);
        for (uint32_t slot; (slot = lane_rig_claim(&rig)) != MPQ_SLOT_NONE;)
            lane_rig_finish(&rig, slot, MPQ_END_DONE);
        lane_rig_pump(&rig, 3);
        CHECK(rig.lane->empty);
    }
    lane_rig_close(&rig);
}

TEST(lane_asks_at_once_where_there_is_something_to_do)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 2, 0);
    lane_rig_pump(&rig, 2);
    rig.lane->hinted_at_us = mpq_clock_monotonic_us() + 60000000; /* not long ago, however slow this test is */
    unsigned before = rig.broker->sent;
    deliver(&rig, 7);
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, before + 1);
    lane_rig_close(&rig);
}

/* It is overdue to look at the broker then, as always when a job comes after a while: that has to wait, too, or the
 * dispatcher would itself keep the processor from the worker. */
TEST(lane_sleeps_until_the_quiet_is_over)
{
    lane_rig rig;
    uint64_t next_at_us;
    lane_rig_open_with_fake_broker(&rig, 2, 0);
    lane_rig_pump(&rig, 2);
    deliver(&rig, 7);
    rig.lane->look_at_ms = rig.lane->due_at_us = 1;
    rig.lane->quiet_until_us = mpq_clock_monotonic_us() + 50000;
    lane_rig_pump(&rig, 1);
    CHECK(mpq_lane_sleep(rig.lane, mpq_clock_monotonic_us(), &next_at_us));
    CHECK(next_at_us == rig.lane->quiet_until_us);
    lane_rig_close(&rig);
}

/* It ends between the look whether a claim is due and the one how long to sleep, and there is nothing else to do. */
TEST(lane_does_not_sleep_with_a_claim_to_be_sent)
{
    lane_rig rig;
    uint64_t next_at_us;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 2);
    rig.lane->prefetch = (mpq_prefetch){.measured = true, .average_us = 1000000};
    rig.broker->answers_late = true; /* should it ask for something */
    deliver(&rig, 7);
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    atomic_fetch_add(&rig.process.board.file->workers[0].run_token, 1);
    rig.lane->quiet_until_us = UINT64_MAX;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->claimed, 0);
    CHECK_INT(rig.lane->flight_count, 0);
    rig.lane->quiet_until_us = mpq_clock_monotonic_us() - 1;
    CHECK(!mpq_lane_sleep(rig.lane, mpq_clock_monotonic_us(), &next_at_us));
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->claimed, 1);
    CHECK(mpq_lane_sleep(rig.lane, mpq_clock_monotonic_us(), &next_at_us));
    lane_rig_close(&rig);
}

TEST(lane_settles_and_claims_a_short_job_with_one_exchange)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 2, 0);
    lane_rig_pump(&rig, 2);
    unsigned before = rig.broker->sent;
    deliver(&rig, 7);
    rig.lane->quiet_until_us = UINT64_MAX;
    lane_rig_finish(&rig, lane_rig_claim(&rig), MPQ_END_DONE);
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->sent, before + 1);
    CHECK_INT(rig.broker->sends[before % FAKE_BROKER_SENDS_KEPT].settles, 1);
    lane_rig_close(&rig);
}

/* A job comes while the answer to an exchange is late. */
static void deliver_during_exchange(lane_rig *rig)
{
    rig->broker->answers_late = true;
    rig->lane->look_at_ms = 1;
    lane_rig_pump(rig, 1);
    CHECK_INT(rig->lane->flight_count, 1);
    deliver(rig, 7);
}

TEST(lane_claims_without_an_exchange_when_there_is_none)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 2);
    deliver_during_exchange(&rig);
    end_quiet(&rig);
    CHECK_INT(rig.broker->claimed, 1);
    CHECK(lane_rig_claim(&rig) != MPQ_SLOT_NONE);
    lane_rig_close(&rig);
}

/* It runs: the broker is told so by the next attach. */
TEST(lane_keeps_a_job_whose_claim_got_lost)
{
    for (int alone = 0; alone < 2; alone++) {
        lane_rig rig;
        lane_rig_open_with_fake_broker(&rig, 1, 0);
        lane_rig_pump(&rig, 2);
        alone ? deliver_during_exchange(&rig) : deliver(&rig, 7);
        uint32_t slot = lane_rig_claim(&rig);
        CHECK(slot != MPQ_SLOT_NONE);
        rig.broker->claim_fails = alone;
        rig.broker->send_fails = !alone;
        end_quiet(&rig);
        CHECK_INT(rig.lane->state, MPQ_LANE_DOWN);
        rig.broker->claim_fails = rig.broker->send_fails = rig.broker->answers_late = false;
        rig.broker->held[0] = mpq_ring_slot(rig.lane->ring, slot)->id;
        rig.broker->held_count = 1;
        rig.lane->retry_at_ms = 0;
        lane_rig_pump(&rig, 1);
        CHECK_INT(rig.lane->state, MPQ_LANE_UP);
        CHECK_INT(rig.broker->given_count, 1);
        lane_rig_finish(&rig, slot, MPQ_END_DONE);
        unsigned before = rig.broker->sent;
        lane_rig_pump(&rig, 1);
        CHECK_INT(rig.broker->sends[before % FAKE_BROKER_SENDS_KEPT].settles, 1);
        lane_rig_close(&rig);
    }
}

/* -- who holds what -------------------------------------------------------------------------------------------- */

/* A job whose lease was lost still runs here when it is reserved again and that answer gets lost: it is in a slot, but
 * not in one that will ever be settled. */
TEST(lane_hands_back_what_only_a_forgotten_slot_has)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    fake_broker_put(&rig.broker->reserved, 7, 4);
    lane_rig_pump(&rig, 2);
    uint32_t slot = lane_rig_claim(&rig);
    CHECK(slot != MPQ_SLOT_NONE);
    rig.broker->reserved.lost = true;
    rig.lane->look_at_ms = 1;
    lane_rig_pump(&rig, 1);
    CHECK(mpq_ring_slot(rig.lane->ring, slot)->epoch != rig.process.board.file->queues[0].epoch);
    mpq_batch_clear(&rig.broker->reserved);
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.lane->state, MPQ_LANE_UP);
    fake_broker_hold(rig.broker, 7);
    mpq_lane_down(rig.lane, &(mpq_error){.text = "an answer was lost"});
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 2);
    CHECK(fake_broker_settled(rig.broker, 7, MPQ_SETTLE_RETURN));
    lane_rig_finish(&rig, slot, MPQ_END_DONE);
    lane_rig_pump(&rig, 2);
    CHECK(!fake_broker_settled(rig.broker, 7, MPQ_SETTLE_DONE));
    CHECK_INT(mpq_ring_slot_state(rig.lane->ring, slot, NULL), MPQ_SLOT_FREE);
    lane_rig_close(&rig);
}

/* The claim of what a hint has delivered may have been lost with the connection. */
TEST(lane_tells_what_it_has_given_out_when_it_resumes)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 2);
    fake_broker_put(&rig.broker->hinted, 7, 4);
    rig.broker->hint = true;
    lane_rig_pump(&rig, 2);
    uint32_t slot = lane_rig_claim(&rig);
    CHECK(slot != MPQ_SLOT_NONE);
    fake_broker_hold(rig.broker, 7);
    mpq_lane_down(rig.lane, &(mpq_error){.text = "the connection broke"});
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 2);
    CHECK_INT(rig.broker->given_count, 1);
    mpq_id id = fake_broker_id(7);
    CHECK(mpq_id_equal(&rig.broker->given[0], &id));
    lane_rig_finish(&rig, slot, MPQ_END_DONE);
    lane_rig_pump(&rig, 2);
    CHECK(fake_broker_settled(rig.broker, 7, MPQ_SETTLE_DONE));
    lane_rig_close(&rig);
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

/* What there is no memory for is still held under our name: only the next attach can hand it back. */
TEST(lane_attaches_again_when_it_had_no_memory_for_a_job)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    lane_rig_pump(&rig, 2);
    rig.broker->hint = true;
    for (uint32_t i = 0; i < MPQ_RING_SLOTS + 1; i++)
        fake_broker_put(&rig.broker->hinted, i, 4);
    rig.lane->overflow.bytes.failed = true; /* as if realloc had failed */
    mpq_lane_woken(rig.lane);
    mpq_lane_pump(rig.lane);
    CHECK_INT(rig.lane->state, MPQ_LANE_DOWN);
    fake_broker_hold(rig.broker, MPQ_RING_SLOTS);
    rig.lane->retry_at_ms = 0;
    lane_rig_pump(&rig, 1);
    CHECK_INT(rig.broker->attaches, 2);
    CHECK(fake_broker_settled(rig.broker, MPQ_RING_SLOTS, MPQ_SETTLE_RETURN));
    lane_rig_close(&rig);
}

/* -- settling --------------------------------------------------------------------------------------------------- */

/* One slot that can't be settled as it should must not hold back the others, nor keep the lane busy. */
TEST(lane_hands_a_job_back_whose_slot_is_damaged)
{
    lane_rig rig;
    lane_rig_open_with_fake_broker(&rig, 3, 0);
    for (uint32_t i = 0; i < 3; i++)
        fake_broker_put(&rig.broker->reserved, i, 4);
    lane_rig_pump(&rig, 2);
    uint32_t slots[3];
    for (int i = 0; i < 3; i++)
        slots[i] = lane_rig_claim(&rig);
    memset(mpq_ring_slot(rig.lane->ring, slots[0])->bytes, 'x', 8);
    lane_rig_finish(&rig, slots[0], MPQ_END_EXCEPTION);
    lane_rig_finish(&rig, slots[1], MPQ_END_DONE);
    lane_rig_pump(&rig, 3);
    lane_rig_finish(&rig, slots[2], MPQ_END_DONE);
    lane_rig_pump(&rig, 3);
    CHECK(fake_broker_settled(rig.broker, 0, MPQ_SETTLE_RETURN));
    CHECK(fake_broker_settled(rig.broker, 1, MPQ_SETTLE_DONE));
    CHECK(fake_broker_settled(rig.broker, 2, MPQ_SETTLE_DONE));
    CHECK(mpq_lane_settled(rig.lane));
    lane_rig_close(&rig);
}

/* -- workers --------------------------------------------------------------------------------------------------- */

/* Its result may be in the ring without anybody knowing, and what waited for it is to be handed back. */
TEST(death_of_a_worker_wakes_the_dispatcher)
{
    lane_rig rig;
    mpq_id id;
    uint64_t wakes = 0;
    lane_rig_open_with_fake_broker(&rig, 1, 0);
    mpq_death death = {.status_known = true};
    CHECK(!mpq_death_settle(&rig.process, &death, &id));
    CHECK_INT(read(rig.process.board.dispatcher_wake_fd, &wakes, sizeof wakes), sizeof wakes);
    lane_rig_close(&rig);
}
