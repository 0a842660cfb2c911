#include <stdlib.h>
#include <sys/eventfd.h>

#include "processes.h"
#include "ring_jobs.h"
#include "test.h"

enum { ARENA_BYTES = 4 << 20 };

static mpq_ring *ring;
static mpq_ring_feeder *feeder;
static int wake_fd;

static void open_ring(void)
{
    ring = mpq_ring_init(process_shared_memory(mpq_ring_bytes()), process_shared_memory(ARENA_BYTES), ARENA_BYTES);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS);
}

/* An envelope's bytes follow from its number. */
static void fill(char *to, size_t len, uint64_t number)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(number * 31 + i * 7 + (i >> 8));
    memcpy(to + MPQ_ENVELOPE_ID_OFFSET, &number, sizeof number);
    memset(to + MPQ_ENVELOPE_ID_OFFSET + 8, 0, 8);
}

static int post(uint64_t number, size_t len)
{
    char *bytes = malloc(len);
    fill(bytes, len, number);
    int status = mpq_ring_post(feeder, mpq_slice_of(bytes, len), 3, 1000 + number);
    free(bytes);
    return status;
}

static bool is_intact(uint32_t slot, uint64_t number, size_t len)
{
    mpq_slice envelope = mpq_ring_envelope(ring, slot);
    char *bytes = malloc(len);
    fill(bytes, len, number);
    bool same = ring_job_number(ring, slot) == number && envelope.len == len && memcmp(bytes, envelope.data, len) == 0;
    free(bytes);
    return same;
}

static void reopen_feeder(void)
{
    mpq_ring_feeder_close(feeder);
    feeder = NULL;
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
}

#define OPEN_RING()                                                                                                    \
    do {                                                                                                               \
        open_ring();                                                                                                   \
        if (test_failed())                                                                                             \
            return;                                                                                                    \
    } while (0)

TEST(ring_carries_a_job_there_and_back)
{
    uint32_t slots[4], worker = 0;
    OPEN_RING();
    CHECK(mpq_ring_claim(ring, 1) == MPQ_SLOT_NONE);
    CHECK_INT(post(77, 200), 0);
    CHECK_INT(mpq_ring_ready(ring), 1);
    uint32_t slot = mpq_ring_claim(ring, 5);
    CHECK(slot < MPQ_RING_SLOTS);
    CHECK_INT(mpq_ring_ready(ring), 0);
    CHECK(mpq_ring_claim(ring, 6) == MPQ_SLOT_NONE);
    CHECK(is_intact(slot, 77, 200));
    CHECK_INT(mpq_ring_slot(ring, slot)->epoch, 3);
    CHECK_INT(mpq_ring_slot(ring, slot)->reserved_at_ms, 1077);
    CHECK_INT(mpq_ring_slot(ring, slot)->end, MPQ_END_INTERRUPTED);
    CHECK_INT(mpq_ring_slot_state(ring, slot, &worker), MPQ_SLOT_RUNNING);
    CHECK_INT(worker, 5);
    CHECK_INT(mpq_ring_claimed_by(ring, 5), slot);
    CHECK_INT(mpq_ring_claimed_by(ring, 6), MPQ_SLOT_NONE);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 0);
    ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    CHECK_INT(mpq_ring_claimed_by(ring, 5), MPQ_SLOT_NONE);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 1);
    CHECK_INT(slots[0], slot);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 0);
    CHECK_INT(mpq_ring_occupied(ring, slots, 4), 1);
    mpq_ring_free(feeder, slot);
    CHECK_INT(mpq_ring_occupied(ring, slots, 4), 0);
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_is_first_in_first_out)
{
    uint32_t slots[MPQ_RING_SLOTS];
    uint64_t posted = 0, claimed = 0;
    OPEN_RING();
    srand(3);
    for (int round = 0; round < 3000; round++) {
        for (int i = rand() % 200; i > 0 && post(posted, 80) == 0; i--)
            posted++;
        for (int i = rand() % 200; i > 0; i--) {
            uint32_t slot = mpq_ring_claim(ring, 1);
            if (slot == MPQ_SLOT_NONE)
                break;
            CHECK(ring_job_number(ring, slot) == claimed);
            claimed++;
            ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
        }
        CHECK_INT(mpq_ring_ready(ring), posted - claimed);
        /* In any order: what is freed last is used first. */
        uint32_t count = mpq_ring_take_finished(feeder, slots, (uint32_t)rand() % MPQ_RING_SLOTS);
        for (uint32_t i = 0; i < count; i++)
            mpq_ring_free(feeder, slots[count - 1 - i]);
    }
    CHECK(claimed > 100000);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_is_full_after_512_and_usable_again)
{
    uint32_t slots[MPQ_RING_SLOTS + 1];
    OPEN_RING();
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < MPQ_RING_SLOTS; i++)
            CHECK_INT(post(i, 100), 0);
        CHECK_INT(post(9999, 100), 1);
        CHECK_INT(mpq_ring_ready(ring), MPQ_RING_SLOTS);
        for (uint64_t i = 0; i < MPQ_RING_SLOTS; i++) {
            uint32_t slot = mpq_ring_claim(ring, 1);
            CHECK(ring_job_number(ring, slot) == i);
            ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
        }
        CHECK_INT(mpq_ring_take_finished(feeder, slots, 100), 100);
        CHECK_INT(mpq_ring_take_finished(feeder, slots + 100, MPQ_RING_SLOTS), MPQ_RING_SLOTS - 100);
        CHECK_INT(post(9999, 100), 1);
        for (int i = 0; i < MPQ_RING_SLOTS; i++)
            mpq_ring_free(feeder, slots[i]);
    }
    mpq_ring_feeder_close(feeder);
}

TEST(ring_withdraws_what_nobody_claimed)
{
    uint32_t slots[16];
    OPEN_RING();
    for (uint64_t i = 0; i < 10; i++)
        CHECK_INT(post(i, 100), 0);
    uint32_t running = mpq_ring_claim(ring, 1);
    CHECK_INT(mpq_ring_withdraw(feeder, slots, 4), 4);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK(ring_job_number(ring, slots[i]) == i + 1);
        CHECK_INT(mpq_ring_slot_state(ring, slots[i], NULL), MPQ_SLOT_FINISHED);
        CHECK_INT(mpq_ring_slot(ring, slots[i])->end, MPQ_END_INTERRUPTED);
    }
    CHECK_INT(mpq_ring_ready(ring), 5);
    CHECK_INT(mpq_ring_take_finished(feeder, slots + 4, 10), 0);
    CHECK(ring_job_number(ring, mpq_ring_claim(ring, 2)) == 5);
    CHECK_INT(mpq_ring_withdraw(feeder, slots + 4, 12), 4);
    CHECK(mpq_ring_claim(ring, 3) == MPQ_SLOT_NONE);
    CHECK_INT(mpq_ring_withdraw(feeder, slots + 8, 8), 0);
    for (int i = 0; i < 8; i++)
        mpq_ring_free(feeder, slots[i]);
    ring_job_finish(ring, running, MPQ_END_DONE, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 16), 1);
    CHECK_INT(slots[0], running);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_never_shows_an_old_outcome_for_a_new_job)
{
    uint32_t slots[2];
    OPEN_RING();
    CHECK_INT(post(1, 100), 0);
    uint32_t slot = mpq_ring_claim(ring, 1);
    mpq_ring_slot(ring, slot)->run_us = 55;
    mpq_ring_slot(ring, slot)->report_len = 20;
    ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 2), 1);
    mpq_ring_free(feeder, slot);
    CHECK_INT(post(2, 100), 0);
    CHECK_INT(mpq_ring_claim(ring, 1), slot);
    CHECK_INT(mpq_ring_slot(ring, slot)->end, MPQ_END_INTERRUPTED);
    CHECK_INT(mpq_ring_slot(ring, slot)->report_len, 0);
    CHECK_INT(mpq_ring_slot(ring, slot)->run_us, 0);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_finish_can_be_repeated)
{
    uint32_t slots[2];
    OPEN_RING();
    CHECK_INT(post(1, 100), 0);
    uint32_t slot = mpq_ring_claim(ring, 1);
    ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    mpq_ring_finish(ring, slot, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 2), 1);
    mpq_ring_finish(ring, slot, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 2), 0);
    mpq_ring_free(feeder, slot);
    mpq_ring_finish(ring, slot, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 2), 0);
    CHECK_INT(mpq_ring_slot_state(ring, slot, NULL), MPQ_SLOT_FREE);
    CHECK_INT(post(2, 100), 0);
    mpq_ring_finish(ring, slot, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 2), 0);
    CHECK_INT(mpq_ring_claim(ring, 1), slot);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_keeps_large_envelopes_in_the_arena)
{
    uint32_t slots[8];
    size_t sizes[] = {1, 24, MPQ_SLOT_INLINE_BYTES, MPQ_SLOT_INLINE_BYTES + 1, 5000, 1 << 20, 2 << 20};
    OPEN_RING();
    CHECK_INT(mpq_ring_largest(ring), ARENA_BYTES);
    for (uint64_t i = 1; i < 7; i++)
        CHECK_INT(post(i, sizes[i]), 0);
    CHECK_INT(post(7, 1 << 20), 1); /* no room for it now */
    CHECK_INT(post(8, 100), 0);     /* small ones do not need any */
    for (uint64_t i = 1; i < 7; i++) {
        uint32_t slot = mpq_ring_claim(ring, 1);
        CHECK(is_intact(slot, i, sizes[i]));
        ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    }
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 8), 6);
    for (int i = 0; i < 6; i++)
        mpq_ring_free(feeder, slots[i]);
    CHECK_INT(post(9, ARENA_BYTES + 1), 1);
    CHECK_INT(post(10, ARENA_BYTES), 0);
    CHECK(ring_job_number(ring, mpq_ring_claim(ring, 1)) == 8);
    CHECK(is_intact(mpq_ring_claim(ring, 1), 10, ARENA_BYTES));
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS - 2);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_feeder_is_rebuilt_from_what_is_there)
{
    uint32_t slots[16];
    OPEN_RING();
    CHECK_INT(post(0, 1 << 20), 0);
    CHECK_INT(post(1, 3000), 0);
    CHECK_INT(post(2, 100), 0);
    CHECK_INT(post(3, 2 << 20), 0);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd);
    uint32_t taken = mpq_ring_claim(ring, 1), running = mpq_ring_claim(ring, 2);
    ring_job_finish(ring, taken, MPQ_END_EXIT, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 1), 1);
    mpq_ring_free(feeder, slots[0]);
    uint32_t freed = slots[0];
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 1);
    /* The next dispatcher does not know what this one has taken. */
    reopen_feeder();
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS - 3);
    CHECK_INT(mpq_ring_occupied(ring, slots, 16), 3);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 1);
    CHECK(slots[0] != freed);
    CHECK_INT(mpq_ring_take_finished(feeder, slots + 1, 4), 0);
    CHECK_INT(post(4, 2 << 20), 1);
    CHECK_INT(post(5, 900 << 10), 0);
    uint32_t slot = mpq_ring_claim(ring, 1);
    CHECK(is_intact(slot, 3, 2 << 20));
    CHECK(is_intact(mpq_ring_claim(ring, 3), 5, 900 << 10));
    CHECK(is_intact(running, 2, 100));
    ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 4), 1);
    mpq_ring_free(feeder, slots[0]);
    CHECK_INT(post(6, 2 << 20), 0);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_feeder_refuses_a_damaged_ring)
{
    mpq_error err = {0};
    OPEN_RING();
    CHECK_INT(post(1, 3000), 0);
    CHECK_INT(post(2, 3000), 0);
    mpq_ring_feeder_close(feeder);
    mpq_slot *slot = mpq_ring_slot(ring, mpq_ring_claim(ring, 1));
    uint64_t offset = slot->arena_offset;
    slot->arena_offset = UINT64_MAX - 4095;
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_STATE);
    CHECK(strstr(err.text, "damaged") != NULL);
    slot->arena_offset = offset;
    slot->envelope_len = 5000;
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, &err), -1);
    slot->envelope_len = 3000;
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, &err), 0);
    mpq_ring_feeder_close(feeder);
}

TEST(ring_wakes_the_dispatcher_at_low_water)
{
    uint32_t slots[16];
    OPEN_RING();
    for (uint64_t i = 0; i < 5; i++)
        CHECK_INT(post(i, 100), 0);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd); /* 4 ready, nobody asked */
    CHECK_INT(ring_wake_ups(wake_fd), 0);
    CHECK(!mpq_ring_sleep(ring, 4));
    CHECK(!mpq_ring_sleep(ring, UINT32_MAX));
    CHECK(mpq_ring_sleep(ring, 2));
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd); /* 3 */
    CHECK_INT(ring_wake_ups(wake_fd), 0);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd); /* 2 */
    CHECK_INT(ring_wake_ups(wake_fd), 1);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd); /* once for each sleep */
    CHECK_INT(ring_wake_ups(wake_fd), 0);
    mpq_ring_awake(ring);
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 16), 4);
    CHECK(mpq_ring_sleep(ring, 0));
    mpq_ring_awake(ring);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd); /* awake: no wake-up */
    CHECK_INT(ring_wake_ups(wake_fd), 0);
    CHECK(!mpq_ring_sleep(ring, 0));
    CHECK_INT(mpq_ring_take_finished(feeder, slots, 16), 1);
    CHECK(mpq_ring_sleep(ring, UINT32_MAX));
    CHECK_INT(post(7, 100), 0);
    CHECK_INT(post(8, 100), 0);
    ring_job_finish(ring, mpq_ring_claim(ring, 1), MPQ_END_DONE, wake_fd);
    CHECK_INT(ring_wake_ups(wake_fd), 1);
    mpq_ring_feeder_close(feeder);
}
