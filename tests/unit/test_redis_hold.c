/* Where held jobs lie, and how their settlements are put to the server. */
#include "redis_hold.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static mpq_redis_hold hold;
static mpq_redis_plan plan;
static mpq_settle settles[MPQ_EXCHANGE_MAX];
static size_t settle_count;
static uint64_t next_chunk;

static mpq_id id_of(uint32_t number)
{
    mpq_id id = {{1, 2, 3}};
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

/* Jobs `first` and following. */
static void reserve(uint64_t number, uint32_t first, uint32_t count)
{
    mpq_redis_chunk *chunk = mpq_redis_hold_add(&hold, number, count);
    for (uint32_t i = 0; i < count; i++) {
        mpq_id id = id_of(first + i);
        mpq_redis_chunk_put(chunk, i, &id);
    }
}

static void begin(void)
{
    mpq_redis_hold_clear(&hold);
    settle_count = 0;
    next_chunk = 100;
}

static void settle(enum mpq_settle_kind kind, uint32_t number)
{
    settles[settle_count++] = (mpq_settle){.kind = kind, .id = id_of(number)};
}

static void done(uint32_t first, uint32_t last)
{
    for (uint32_t number = first; number <= last; number++)
        settle(MPQ_SETTLE_DONE, number);
}

static uint32_t number_of(const mpq_id *id)
{
    uint32_t number;
    memcpy(&number, id->bytes + 12, sizeof number);
    return number;
}

static size_t chunks_left(void)
{
    mpq_redis_hold_tidy(&hold);
    return hold.count;
}

/* "single 3@1.2" is job 3 at place 2 of chunk 1, "split 1.0+4=3" four places of chunk 1 with 3 jobs, "trim 1+9=8" nine
 * places with 8 that are done. */
static const char *planned(bool shared)
{
    static char text[4096];
    mpq_exchange exchange = {.settles = settles, .settle_count = settle_count};
    mpq_redis_hold_tidy(&hold);
    mpq_redis_hold_plan(&hold, &exchange, shared ? NULL : &next_chunk, &plan);
    size_t len = (size_t)snprintf(text, sizeof text, "refused %zu", plan.refused);
    for (size_t i = 0; i < plan.single_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", %s %u@%llu.%u",
                                plan.singles[i].settle ? "single" : "done", number_of(plan.singles[i].id),
                                (unsigned long long)plan.singles[i].chunk, plan.singles[i].place);
    for (size_t i = 0; i < plan.split_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", split %llu.%u+%u=%u",
                                (unsigned long long)plan.splits[i].chunk, plan.splits[i].place, plan.splits[i].places,
                                plan.splits[i].left);
    for (size_t i = 0; i < plan.trim_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", trim %llu+%u=%u",
                                (unsigned long long)plan.trims[i].chunk, plan.trims[i].places, plan.trims[i].done);
    settle_count = 0;
    return text;
}

TEST(what_is_done_in_order_is_one_trim)
{
    begin();
    reserve(1, 1, 10);
    done(1, 4);
    CHECK_STR(planned(false), "refused 0, trim 1+4=4");
    done(5, 10);
    CHECK_STR(planned(false), "refused 0, trim 1+6=6");
    CHECK_INT(chunks_left(), 0);
    CHECK_INT(next_chunk, 100);
    mpq_redis_hold_clear(&hold);
}

TEST(a_job_is_settled_once_and_only_if_it_is_held)
{
    begin();
    reserve(1, 1, 3);
    done(2, 2);
    done(2, 2);
    settle(MPQ_SETTLE_RETRY, 2);
    done(9, 9);
    CHECK_STR(planned(false), "refused 3, done 2@1.1");
    done(2, 2);
    CHECK_STR(planned(false), "refused 1");
    mpq_redis_hold_clear(&hold);
}

TEST(a_job_that_others_have_overtaken_becomes_a_chunk_of_its_own)
{
    begin();
    reserve(1, 1, 20);
    done(1, 3);
    done(5, 12);
    CHECK_STR(planned(false), "refused 0, split 1.3+1=1, trim 1+12=11");
    mpq_redis_hold_clear(&hold);
}

TEST(many_jobs_that_are_held_stay_and_what_is_done_behind_them_is_single)
{
    begin();
    reserve(1, 1, 100);
    done(99, 100);
    CHECK_STR(planned(false), "refused 0, done 99@1.98, done 100@1.99");
    CHECK_INT(next_chunk, 100);
    done(1, 1);
    CHECK_STR(planned(false), "refused 0, trim 1+1=1");
    done(2, 98);
    CHECK_STR(planned(false), "refused 0, trim 1+99=97");
    CHECK_INT(chunks_left(), 0);
}

TEST(other_settlements_leave_places_that_a_trim_takes_along)
{
    begin();
    reserve(1, 1, 5);
    settle(MPQ_SETTLE_FAILED, 2);
    done(1, 1);
    done(3, 3);
    CHECK_STR(planned(false), "refused 0, single 2@1.1, trim 1+3=2");
    settle(MPQ_SETTLE_RETURN, 4);
    CHECK_STR(planned(false), "refused 0, single 4@1.0");
    done(5, 5);
    CHECK_STR(planned(false), "refused 0, trim 1+2=1");
    CHECK_INT(chunks_left(), 0);
}

TEST(what_others_may_settle_too_is_looked_for_job_by_job)
{
    begin();
    reserve(1, 1, 3);
    reserve(2, 4, 3);
    done(1, 4);
    CHECK_STR(planned(true), "refused 0, done 1@1.0, done 2@1.1, done 3@1.2, done 4@2.0");
    CHECK_INT(chunks_left(), 1);
    mpq_redis_hold_clear(&hold);
}

/* A server that does as it is told, against a plain list of what is held. */
enum { JOBS = 3000, CHUNKS = 4096 };

static struct {
    uint32_t jobs[300]; /* 0 = empty */
    uint32_t count;
    int left; /* -1 = there is no such chunk */
} stored[CHUNKS];

static bool held[JOBS + 1];

static void forget_if_empty(uint64_t number)
{
    if (stored[number].left == 0)
        stored[number].left = -1;
}

static void carry_out_singles(void)
{
    for (size_t i = 0; i < plan.single_count; i++) {
        uint64_t number = plan.singles[i].chunk;
        uint32_t job = number_of(plan.singles[i].id), *at = &stored[number].jobs[plan.singles[i].place];
        CHECK(stored[number].left > 0 && plan.singles[i].place < stored[number].count);
        CHECK_INT(*at, job);
        *at = 0;
        stored[number].left--;
        forget_if_empty(number);
    }
}

static void carry_out_splits(uint64_t number)
{
    for (size_t i = 0; i < plan.split_count; i++, number++) {
        const mpq_redis_split *split = &plan.splits[i];
        CHECK(stored[split->chunk].left > 0 && split->place + split->places <= stored[split->chunk].count);
        memcpy(stored[number].jobs, stored[split->chunk].jobs + split->place, split->places * sizeof(uint32_t));
        stored[number].count = split->places;
        stored[number].left = (int)split->left;
        stored[split->chunk].left -= (int)split->left;
    }
}

static void carry_out_trims(void)
{
    for (size_t i = 0; i < plan.trim_count; i++) {
        const mpq_redis_trim *trim = &plan.trims[i];
        uint32_t rest = stored[trim->chunk].count - trim->places;
        CHECK(stored[trim->chunk].left >= (int)trim->done && trim->places <= stored[trim->chunk].count);
        memmove(stored[trim->chunk].jobs, stored[trim->chunk].jobs + trim->places, rest * sizeof(uint32_t));
        stored[trim->chunk].count = rest;
        stored[trim->chunk].left -= (int)trim->done;
        forget_if_empty(trim->chunk);
    }
}

static void check_stored(void)
{
    static bool seen[JOBS + 1];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < CHUNKS; i++) {
        int left = 0;
        for (uint32_t at = 0; stored[i].left >= 0 && at < stored[i].count; at++) {
            left += stored[i].jobs[at] != 0;
            seen[stored[i].jobs[at]] = true;
        }
        CHECK(stored[i].left < 0 || stored[i].left == left);
    }
    for (uint32_t job = 1; job <= JOBS && !test_failed(); job++)
        CHECK(seen[job] == held[job]);
}

static uint32_t reserve_some(uint32_t next)
{
    uint32_t count = 1 + (uint32_t)rand() % 250, number = (uint32_t)next_chunk++;
    count = count < JOBS + 1 - next ? count : JOBS + 1 - next;
    if (count == 0)
        return next;
    reserve(number, next, count);
    stored[number].count = count;
    stored[number].left = (int)count;
    for (uint32_t i = 0; i < count; i++) {
        stored[number].jobs[i] = next + i;
        held[next + i] = true;
    }
    return next + count;
}

/* Mostly the oldest ones, as workers do it. */
static void settle_some(uint32_t next)
{
    uint32_t skip = (uint32_t)rand() % 20;
    for (uint32_t job = 1; job < next && settle_count < 200; job++) {
        if (!held[job] || (uint32_t)rand() % 20 < skip)
            continue;
        settle(rand() % 50 ? MPQ_SETTLE_DONE : MPQ_SETTLE_RETRY, job);
        held[job] = false;
    }
}

TEST(the_server_ends_up_with_what_is_held)
{
    srand(7);
    for (int round = 0; round < 20 && !test_failed(); round++) {
        uint32_t next = 1;
        begin();
        next_chunk = 1;
        memset(held, 0, sizeof held);
        for (size_t i = 0; i < CHUNKS; i++)
            stored[i].left = -1;
        for (int step = 0; step < 120 && !test_failed(); step++) {
            if (rand() % 3)
                next = reserve_some(next);
            settle_some(next);
            uint64_t first = next_chunk;
            planned(false);
            CHECK_INT(plan.refused, 0);
            carry_out_singles();
            carry_out_splits(first);
            carry_out_trims();
            check_stored();
        }
    }
    mpq_redis_hold_clear(&hold);
}
