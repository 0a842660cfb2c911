/* Jobs that BLMOVE delivered to an owner that died before it claimed them: nobody else knows whether they had begun. */
#include "redis_fixture.h"

enum { SHORT_LEASE_MS = 150 };

/* Delivers what is at the head of the queue, and lets the lease end. */
static void die_with_a_job_delivered(const char *owner)
{
    mpq_broker *dying = consumer(owner, SHORT_LEASE_MS);
    CHECK(dying->ops->wait_arm(dying, &error) == 0);
    CHECK_INT(collect(dying, 2000), 0);
    CHECK_INT(batch.count, 1);
    usleep((SHORT_LEASE_MS + 50) * 1000);
}

static mpq_job job_at(size_t index)
{
    mpq_job job = {.flags = UINT32_MAX, .failures = UINT32_MAX};
    mpq_codec_decode(mpq_batch_envelope(&batch, index), &job, &error);
    return job;
}

TEST(who_names_the_owner_decides)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *b = consumer("b:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    CHECK(push(p, 2) == 0);
    die_with_a_job_delivered("a:1");
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(job_at(0).flags, 0);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
    mpq_settle one = {.kind = MPQ_SETTLE_RETURN, .id = id_of(1)};
    mpq_exchange exchange = {.settles = &one, .settle_count = 1, .dead = "a:1"};
    CHECK_INT(mpq_broker_exchange(b, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:nodes"), 1);
    CHECK_INT(take(b, 9), 2);
    CHECK_INT(number_at(0), 1);
}

/* Or a job that ends its owner at once could end one after the other. */
TEST(the_second_time_it_is_taken_for_begun)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *b = consumer("b:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    CHECK(push(p, 2) == 0);
    die_with_a_job_delivered("a:1");
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_STR(batch.from, "a:1");
    CHECK_INT(batch.count, 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    die_with_a_job_delivered("a:2");
    CHECK_INT(number_at(0), 1); /* at the head of the queue */
    CHECK_INT(job_at(0).flags, MPQ_JOB_IN_DOUBT);
    CHECK_INT(job_at(0).failures, 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_STR(batch.from, "a:2");
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:2:1"), 0);
}

/* What it held has numbers already. */
TEST(a_job_in_doubt_is_listed_beside_those_that_were_held)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 2), 2);
    for (int i = 0; i < 2; i++)
        freeReplyObject(redis_command(&server, "LMOVE mpq:{q}:ready mpq:{q}:stage:a:1:1 LEFT RIGHT"));
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 4);
    uint32_t seen = 0;
    for (size_t i = 0; i < 4; i++)
        seen |= 1u << number_at(i);
    CHECK_INT(seen, 30);
}

TEST(what_is_no_job_goes_back_unchanged)
{
    NEED_SERVER(NULL);
    mpq_broker *b = consumer("b:1", LEASE_MS);
    CHECK(consumer("a:1", LEASE_MS) != NULL);
    CHECK(consumer("a:2", SHORT_LEASE_MS) != NULL);
    static const char *const junk[] = {"", "short", "MQ\1 but much too short for a header of an envelope"};
    for (size_t i = 0; i < 3; i++) {
        freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:stage:a:1:1 %s", junk[i]));
        freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:stage:a:2:1 %s", junk[i]));
    }
    usleep((SHORT_LEASE_MS + 50) * 1000);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 6);
    CHECK_INT(take(b, 9), 0);
    CHECK_INT(batch.garbage, 6);
}

/* Settling is what makes room again, and a job is found before it is settled. */
TEST(a_full_redis_takes_note_of_it_all_the_same)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *b = consumer("b:1", LEASE_MS);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(push(p, i) == 0);
    die_with_a_job_delivered("a:1");
    die_with_a_job_delivered("a:2");
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_STR(batch.from, "a:1");
    CHECK_INT(batch.count, 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    CHECK_INT(b->ops->adopt(b, "a:2", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 2);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1 mpq:{q}:stage:a:2:1"), 0);
}

/* The first one dies before it has settled anything, or both ask at once. */
TEST(who_asks_again_is_told_the_same)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *b = consumer("b:1", LEASE_MS), *c = consumer("c:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    die_with_a_job_delivered("a:1");
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(c->ops->adopt(c, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    mpq_settle one = {.kind = MPQ_SETTLE_RETURN, .id = id_of(1)};
    mpq_exchange exchange = {.settles = &one, .settle_count = 1, .dead = "a:1"};
    CHECK_INT(mpq_broker_exchange(b, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(mpq_broker_exchange(c, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK_INT(batch.refused, 1);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:run:a:1"), 0);
}
