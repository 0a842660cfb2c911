/* The Redis driver against answers that no script of ours gives, put in front of the true ones. */
#include "redis_fixture.h"

/* {refused, earliest due time, now, ready, reserved}; what was reserved follows as an answer of its own. */
#define RESERVED(count) "*5\r\n:0\r\n:-1\r\n:1800000000000\r\n:0\r\n:" count "\r\n"

static void put_in_front(mpq_redis_conn *conn, const char *answer)
{
    redisReaderFeed(conn->context->reader, answer, strlen(answer));
}

static mpq_redis_consumer *consumer_of(mpq_broker *broker)
{
    return &((mpq_redis *)broker)->consumer;
}

/* What an exchange makes of the answer: 0, or -1 after which the name was taken up again. */
static int exchange_answered(mpq_broker *a, const char *answer)
{
    if (send_wanting(a, 1) != 0)
        return -2;
    put_in_front(&consumer_of(a)->work, answer);
    int rc = receive(a);
    mpq_error why = error;
    if (attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL) != 0)
        return -2;
    error = why;
    return rc;
}

TEST(what_an_exchange_brings_has_an_id)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {
        RESERVED("1") "*1\r\n$16\r\n0123456789abcdef\r\n",
        RESERVED("1") "*1\r\n$3\r\nMQ\x01\r\n",
        RESERVED(
            "1") "*1\r\n$80\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        RESERVED("1") "*1\r\n$0\r\n\r\n",
        RESERVED("1") "*1\r\n:7\r\n",
    };
    mpq_broker *a = consumer("a:1", LEASE_MS);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK_INT(exchange_answered(a, answers[i]), 0);
        CHECK_INT(batch.count, 0);
        CHECK_INT(batch.garbage, 1);
    }
}

TEST(what_is_reserved_and_gone_is_not_given_out)
{
    NEED_SERVER(NULL);
    mpq_slice job = envelope(1, mpq_slice_of("work", 4));
    mpq_buf answer = {0};
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_buf_printf(&answer, RESERVED("2") "*1\r\n$%zu\r\n", job.len);
    mpq_buf_append_slice(&answer, job);
    mpq_buf_append_str(&answer, "\r\n");
    CHECK(send_wanting(a, 2) == 0);
    redisReaderFeed(consumer_of(a)->work.context->reader, answer.data, answer.len);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 0);
    mpq_buf_fini(&answer);
}

TEST(what_is_taken_over_has_a_name_and_numbers)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {
        "*3\r\n$4\r\ndead\r\n:1\r\n$0\r\n\r\n",
        "*3\r\n$4\r\ndead\r\n:0\r\n:5\r\n",
        "*2\r\n$4\r\ndead\r\n:-7\r\n",
        "*3\r\n$4\r\ndead\r\n:-7\r\n:1\r\n",
        "*5\r\n$4\r\ndead\r\n:5\r\n:1\r\n:5\r\n:1\r\n",
        "*5\r\n$4\r\ndead\r\n:5\r\n:1\r\n:4\r\n:1\r\n",
        "*2\r\n$5\r\nde\0ad\r\n:1\r\n",
        "*1\r\n:1\r\n",
    };
    mpq_broker *a = consumer("a:1", LEASE_MS);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK(a->ops->ping(a, &error) == 0); /* connects */
        /* Nothing may be there to read when the call begins, so the answer comes as one that was read already. */
        put_in_front(&((mpq_redis *)a)->calls, answers[i]);
        CHECK_INT(a->ops->adopt(a, NULL, &batch, &error), -1);
        CHECK_INT(batch.count, 0);
        CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    }
}

TEST(numbers_that_make_no_sense_are_refused)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {
        "*5\r\n:0\r\n:9223372036854775807\r\n:-9223372036854775808\r\n:0\r\n:0\r\n*0\r\n",
        "*5\r\n:-1\r\n:-1\r\n:1800000000000\r\n:0\r\n:0\r\n*0\r\n",
        "*5\r\n:0\r\n:-2\r\n:1800000000000\r\n:0\r\n:0\r\n*0\r\n",
        "*5\r\n:0\r\n:-1\r\n:1800000000000\r\n:-1\r\n:0\r\n*0\r\n",
        "*5\r\n:0\r\n:-1\r\n:1800000000000\r\n:0\r\n:-1\r\n*0\r\n",
        "*5\r\n:0\r\n:-1\r\n:1800000000000\r\n:0\r\n:0\r\n:0\r\n",
        "*7\r\n:0\r\n:-1\r\n:1800000000000\r\n:0\r\n:0\r\n:1\r\n:1\r\n*0\r\n",
    };
    mpq_broker *a = consumer("a:1", LEASE_MS);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK_INT(exchange_answered(a, answers[i]), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    }
    CHECK_INT(exchange_answered(a, "*5\r\n:0\r\n:9223372036854775807\r\n:0\r\n:0\r\n:0\r\n*0\r\n"), 0);
    CHECK(batch.next_due_us == INT64_MAX);
}

TEST(more_jobs_than_can_be_asked_for_are_refused)
{
    NEED_SERVER(NULL);
    mpq_buf answer = {0};
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_slice job = envelope(1, mpq_slice_of("work", 4));
    mpq_buf_printf(&answer, RESERVED("%d") "*%d\r\n", MPQ_EXCHANGE_MAX + 1, MPQ_EXCHANGE_MAX + 1);
    for (int i = 0; i <= MPQ_EXCHANGE_MAX; i++) {
        mpq_buf_printf(&answer, "$%zu\r\n", job.len);
        mpq_buf_append_slice(&answer, job);
        mpq_buf_append_str(&answer, "\r\n");
    }
    CHECK(send_wanting(a, 1) == 0);
    redisReaderFeed(consumer_of(a)->work.context->reader, answer.data, answer.len);
    CHECK_INT(receive(a), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    mpq_buf_fini(&answer);
}

/* hiredis would make room for every element before the first has come: here 16 gigabytes. */
TEST(no_room_is_made_for_what_is_only_announced)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {
        "*2147483647\r\n",
        "*1\r\n*65537\r\n",
        "$99999999999\r\n",
        "$9223372036854775807\r\n",
        RESERVED("1") "*1\r\n$4000000000\r\n",
    };
    mpq_broker *a = consumer("a:1", LEASE_MS);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK_INT(exchange_answered(a, answers[i]), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
        CHECK(has_text("the server's answer is larger than any that makes sense"));
    }
}

TEST(an_exchange_that_is_never_answered_fails_in_time)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *a = consumer("a:1", LEASE_MS);
    CHECK(push(handle(), 1) == 0);
    redis_server_freeze(&server, true);
    uint64_t began_ms = mpq_clock_monotonic_ms();
    CHECK(send_wanting(a, 1) == 0);
    int rc = receive(a);
    uint64_t took_ms = mpq_clock_monotonic_ms() - began_ms;
    redis_server_freeze(&server, false);
    CHECK_INT(rc, -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(has_text(": exchange: the server did not answer in time"));
    CHECK(took_ms >= 200 && took_ms < 2000);
    /* It has happened all the same, and is not lost. */
    size_t held = 0;
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held + (size_t)redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
}

TEST(a_large_answer_may_take_its_time)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 300;
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_redis_conn *work = &consumer_of(a)->work;
    int fds[2];
    CHECK(send_wanting(a, 0) == 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK(dup2(fds[1], work->context->fd) >= 0);
    static const char answer[] = RESERVED("0");
    for (size_t i = 0; answer[i]; i++) {
        CHECK_INT(a->ops->receive(a, &batch, &error), 1);
        CHECK(send(fds[0], answer + i, 1, 0) == 1);
        usleep(20000); /* 0.8 s in all */
    }
    CHECK_INT(a->ops->receive(a, &batch, &error), 0);
    close(fds[0]);
    close(fds[1]);
}

/* -- what lies in the store is not believed, either ------------------------------------------------------------- */

/* The owner's chunks 1 to `count`: without jobs. */
static void pretend_to_hold(const char *owner, int count)
{
    freeReplyObject(redis_command(&server, "EVAL %s 1 mpq:{q}:run:%s %d",
                                  "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], string.format('%.0f', i), 1) end",
                                  owner, count));
}

TEST(more_chunks_than_any_owner_holds_are_refused)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    pretend_to_hold("b:1", 20000);
    CHECK_INT(attach(b, "b:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK_INT(redis_command_int(&server, "HLEN mpq:{q}:run:b:1"), 20000);
}

TEST(a_chunk_that_is_longer_than_any_exchange_is_refused)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    pretend_to_hold("b:1", 1);
    freeReplyObject(redis_command(&server, "EVAL %s 1 mpq:{q}:held:b:1:1",
                                  "for i = 1, 257 do redis.call('RPUSH', KEYS[1], '') end"));
    CHECK_INT(attach(b, "b:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
}

TEST(listing_what_is_held_ends_with_the_lease)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS);
    pretend_to_hold("a:1", 16000);
    CHECK_INT(attach(a, "a:1", 50, MPQ_ATTACH_RESUME, NULL), -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
}

TEST(listing_what_the_dead_held_ends_in_time)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *a = consumer("a:1", LEASE_MS);
    consumer("b:1", LEASE_MS);
    pretend_to_hold("b:1", 16000);
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), 0);
    CHECK_INT(batch.count, 0);
    CHECK_STR(batch.from, "b:1");
    CHECK(redis_command_int(&server, "HLEN mpq:{q}:run:b:1") > 0); /* the next call goes on with them */
}

/* Sixteen lists are asked for at once. */
TEST(what_follows_a_refused_list_is_no_answer_to_the_next_call)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *a = consumer("a:1", LEASE_MS);
    consumer("b:1", LEASE_MS);
    pretend_to_hold("b:1", 16);
    freeReplyObject(redis_command(&server, "SET mpq:{q}:held:b:1:1 x"));
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), -1);
    CHECK(has_text("list: WRONGTYPE"));
    CHECK_INT(a->ops->counts(a, "q", &counts, &error), 0);
    CHECK_INT(counts.running, 16);
}
