/* Jobs that are held are found by their place in a list: what may go wrong when the two sides count differently. */
#include "redis_fixture.h"
#include "redis_scripts.h"

static int send_done(mpq_broker *broker, uint32_t first, uint32_t last, uint32_t but)
{
    static mpq_settle settles[64];
    size_t count = 0;
    for (uint32_t i = first; i <= last; i++)
        if (i != but)
            settles[count++] = (mpq_settle){.kind = MPQ_SETTLE_DONE, .id = id_of(i)};
    mpq_exchange exchange = {.settles = settles, .settle_count = count};
    return broker->ops->send(broker, &exchange, &error);
}

/* The numbers of what `owner` holds, in the order of its chunks; its name is taken up again for that. */
static const char *held_by(mpq_broker *broker, const char *owner)
{
    static char text[512];
    mpq_buf ids = {0};
    size_t len = 0;
    text[0] = '\0';
    if (broker->ops->attach(broker, "q", owner, LEASE_MS, MPQ_ATTACH_RESUME, &ids, &error) != 0)
        return "not attached";
    for (size_t at = 0; at < ids.len; at += MPQ_ID_BYTES) {
        uint32_t number;
        memcpy(&number, ids.data + at + MPQ_ID_BYTES - sizeof number, sizeof number);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%u", at ? " " : "", number);
    }
    mpq_buf_fini(&ids);
    return text;
}

/* -- requests that were refused, and those behind them -------------------------------------------------------- */

/* Another consumer makes the server know the script again between two of our requests. */
TEST(a_request_behind_one_that_met_a_forgotten_script_waits_for_it)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 20; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 20), 20);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK(send_done(a, 1, 12, 4) == 0);
    usleep(50000);
    consumer("b:1", LEASE_MS);
    CHECK(send_done(a, 13, 17, 0) == 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_STR(held_by(a, "a:1"), "18 19 20 4"); /* job 4 was overtaken */
    CHECK_INT(redis_command_int(&server, "HGET mpq:{q}:stats done"), 16);
}

static void keep_busy(redisContext **other)
{
    *other = redisConnectUnix(server.socket_path);
    redisAppendCommand(*other, "EVAL %s 0", "while true do end");
    int sent = 0;
    while (!sent && redisBufferWrite(*other, &sent) == REDIS_OK)
        ;
    usleep(200000);
}

TEST(a_request_behind_one_that_was_refused_does_nothing)
{
    NEED_SERVER("busy-reply-threshold 20\n");
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    redisContext *busy, *killer = redisConnectUnix(server.socket_path);
    for (uint32_t i = 1; i <= 20; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 20), 20);
    keep_busy(&busy);
    CHECK(send_done(a, 1, 12, 4) == 0);
    usleep(100000);
    freeReplyObject(redisCommand(killer, "SCRIPT KILL"));
    CHECK(send_done(a, 13, 17, 0) == 0);
    CHECK_INT(receive(a), -1);
    CHECK(has_text("BUSY"));
    CHECK_STR(held_by(a, "a:1"), "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    CHECK_INT(redis_command_int(&server, "HLEN mpq:{q}:stats"), 1); /* pushed */
    redisFree(busy);
    redisFree(killer);
}

/* -- elements that are no jobs, or twice the same ------------------------------------------------------------- */

/* Two have listed what a dead owner held before one of them put the garbage away. */
TEST(short_garbage_is_put_away_once)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *d = consumer("d:1", LEASE_MS), *a = consumer("a:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:ready short"));
    CHECK(push(p, 2) == 0);
    CHECK(send_wanting(d, 3) == 0);
    wait_until("LLEN mpq:{q}:held:d:1:1", 3);
    CHECK_INT(a->ops->adopt(a, "d:1", &batch, &error), 0);
    CHECK_INT(batch.count, 2);
    CHECK_INT(batch.garbage, 1);
    mpq_redis *late = (mpq_redis *)a;
    const mpq_redis_plan plan = {.single_count = 1};
    redisReply *reply;
    mpq_redis_exchange_begin(late, &late->cmd, "d:1", NULL);
    mpq_redis_exchange_counts(&late->cmd, 0, 0, &plan);
    mpq_redis_cmd_single(&late->cmd, "garbage", 1, 1, mpq_slice_of("", 0), 0, mpq_slice_of("", 0));
    CHECK_INT(mpq_redis_ask(late, MPQ_SCRIPT_EXCHANGE, false, &reply, &error), 0);
    CHECK_INT(reply->element[0]->integer, 1); /* refused */
    freeReplyObject(reply);
    CHECK_INT(redis_command_int(&server, "HGET mpq:{q}:run:d:1 1"), 2);
    CHECK_INT(redis_command_int(&server, "HLEN mpq:{q}:failed"), 1);
}

/* The same envelope, pushed by hand. */
TEST(jobs_with_one_id_are_settled_one_by_one)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(push_bytes(p, i, envelope(7, mpq_slice_of("work", 4)), 0) == 0);
    CHECK_INT(take(a, 9), 3);
    for (int left = 2; left >= 0; left--) {
        CHECK_INT(settle(a, MPQ_SETTLE_DONE, 7), 0);
        CHECK_INT(batch.refused, 0);
        CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:held:a:1:1"), left);
    }
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 7), 0);
    CHECK_INT(batch.refused, 1);
}

/* -- sizes ---------------------------------------------------------------------------------------------------- */

static long long memory(const char *field)
{
    redisReply *reply = redis_command(&server, "INFO memory");
    const char *at = strstr(reply->str, field);
    long long bytes = at ? atoll(at + strlen(field)) : -1;
    freeReplyObject(reply);
    return bytes;
}

TEST(large_jobs_between_small_ones_are_not_all_copied_at_once)
{
    enum { SIZE = 1 << 20, LARGE = 120 };
    NEED_SERVER(NULL);
    static char payload[SIZE];
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    uint32_t number = 0;
    while (number < 100)
        CHECK(push(p, ++number) == 0);
    CHECK_INT(take(a, 100), 100);
    for (number = 101; number <= 100 + LARGE; number++)
        CHECK(push_bytes(p, number, envelope(number, mpq_slice_of(payload, SIZE)), 0) == 0);
    CHECK(push(p, number) == 0);
    long long before = memory("used_memory:");
    mpq_exchange exchange = {.want = 256, .want_bytes = 8 << 20};
    CHECK_INT(mpq_broker_exchange(a, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK(batch.count >= 4 && batch.bytes.len <= (11u << 20));
    CHECK(memory("used_memory_peak:") < before + 40 * SIZE);
}

/* The sixteenth, by which the first guess is made, says nothing of those before it: what was copied is given back until
 * it is about as much as was asked for. */
static void take_before_a_small_one(mpq_broker *p, mpq_broker *a, uint32_t first, uint32_t large, uint32_t mebibytes)
{
    enum { ASKED = 4 << 20, GUESSED = 16, JOBS = 40 };
    static char payload[12 << 20];
    size_t size = (size_t)mebibytes << 20, most = ASKED * 13 / 10 + 65536;
    uint32_t next = first;
    for (uint32_t i = 0; i < JOBS; i++) {
        bool is_large = i < large || (i >= GUESSED && i % GUESSED < large);
        CHECK_INT(push_bytes(p, first + i, envelope(first + i, mpq_slice_of(payload, is_large ? size : 4)), 0), 0);
    }
    while (next < first + JOBS) {
        mpq_exchange exchange = {.want = 256, .want_bytes = ASKED};
        CHECK_INT(mpq_broker_exchange(a, &exchange, ANSWER_MS, &batch, &error), 0);
        CHECK(batch.count == 1 || (batch.count > 1 && batch.bytes.len <= most));
        for (size_t i = 0; i < batch.count; i++)
            CHECK_INT(number_at(i), next++);
    }
    CHECK_INT(next, first + JOBS);
}

TEST(large_jobs_before_a_small_one_are_given_back)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    uint32_t number = 0;
    while (number < 100)
        CHECK(push(p, ++number) == 0);
    CHECK_INT(take(a, 100), 100); /* jobs are small, as far as it knows */
    take_before_a_small_one(p, a, 101, 15, 1);
    take_before_a_small_one(p, a, 201, 1, 12);
    take_before_a_small_one(p, a, 301, 4, 5);
}

TEST(a_user_who_may_not_ask_for_memory_gets_jobs_all_the_same)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 50; i++)
        CHECK(push(p, i) == 0);
    freeReplyObject(redis_command(&server, "ACL SETUSER default -memory"));
    mpq_exchange exchange = {.want = 40, .want_bytes = 1 << 20};
    CHECK_INT(mpq_broker_exchange(a, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK_INT(batch.count, 40);
}

TEST(a_name_with_thousands_of_chunks_is_taken_up_again)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 500; i++) {
        CHECK(push(p, i) == 0);
        CHECK_INT(take(a, 1), 1);
    }
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 500);
    for (uint32_t i = 500; i > 0; i -= 50)
        CHECK_INT(settle(a, MPQ_SETTLE_DONE, i), 0);
    CHECK_INT(redis_command_int(&server, "HLEN mpq:{q}:run:a:1"), 490 + 2);
}
