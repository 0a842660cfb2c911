/* What the faults of the matrix rely on: that the proxy does what it says, and nothing else. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "proxy.h"
#include "redis_server.h"
#include "test.h"

static redis_server server;
static proxy between;

static redisContext *dial(void)
{
    struct timeval limit = {0, 400000};
    redisContext *redis = redisConnectUnix(between.path);
    if (redis)
        redisSetTimeout(redis, limit);
    return redis;
}

/* The integer answered, -1 when there was none. */
static long long ask(redisContext *redis, const char *command)
{
    redisReply *reply = redisCommand(redis, command);
    long long value = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    return value;
}

static void set_up(void)
{
    char path[96];
    snprintf(path, sizeof path, "%.60s/proxy", test_tmpdir());
    unlink(path);
    snprintf(path, sizeof path, "%.60s/proxy.ctl", test_tmpdir());
    unlink(path);
    snprintf(path, sizeof path, "%.60s/proxy", test_tmpdir());
    signal(SIGPIPE, SIG_IGN);
    redis_server_start(&server, NULL);
    CHECK(proxy_start(&between, path, server.socket_path));
}

static void tear_down(redisContext *redis)
{
    if (redis)
        redisFree(redis);
    proxy_stop(&between);
    redis_server_stop(&server);
}

static void check_passes(void)
{
    static char large[300000];
    redisContext *redis = dial();
    memset(large, 'x', sizeof large - 1);
    for (int i = 1; i <= 50; i++)
        redisAppendCommand(redis, "RPUSH list %s", i % 10 ? "small" : large);
    for (int i = 1; i <= 50; i++) {
        void *reply = NULL;
        CHECK_INT(redisGetReply(redis, &reply), REDIS_OK);
        CHECK_INT(((redisReply *)reply)->integer, i);
        freeReplyObject(reply);
    }
    redisReply *all = redisCommand(redis, "LRANGE list 0 -1");
    CHECK(all && all->type == REDIS_REPLY_ARRAY);
    CHECK_INT(all->elements, 50);
    CHECK_INT(all->element[9]->len, sizeof large - 1);
    CHECK(memcmp(all->element[49]->str, large, sizeof large - 1) == 0);
    freeReplyObject(all);
    tear_down(redis);
}

TEST(proxy_passes_everything_on)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_passes();
}

static void check_loses(void)
{
    redisContext *redis = dial(), *other = dial();
    CHECK(proxy_lose_answer(&between, 0));
    CHECK_INT(ask(redis, "INCR plain"), 1); /* no script: not what it waits for */
    CHECK_INT(ask(redis, "EVAL return(redis.call('incr','n')) 0"), -1);
    CHECK_INT(redis->err, REDIS_ERR_EOF);
    CHECK_INT(redis_command_int(&server, "GET n"), 1); /* but it has happened */
    CHECK_INT(ask(other, "EVAL return(redis.call('incr','n')) 0"), 2);
    CHECK_INT(proxy_losses(&between), 1);
    redisFree(other);
    tear_down(redis);
}

TEST(proxy_loses_one_answer)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_loses();
}

static void check_loses_request(void)
{
    redisContext *redis = dial();
    redisAppendCommand(redis, "INCR n");
    CHECK(proxy_lose_request(&between, 0));
    CHECK_INT(ask(redis, "INCR n"), 1);
    CHECK_INT(ask(redis, "EVAL return(redis.call('incr','n')) 0"), 2); /* the answer of the second INCR */
    void *reply = NULL;
    CHECK_INT(redisGetReply(redis, &reply), REDIS_ERR);
    CHECK_INT(redis_command_int(&server, "GET n"), 2);
    CHECK_INT(proxy_losses(&between), 1);
    tear_down(redis);
}

TEST(proxy_loses_one_request)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_loses_request();
}

static void check_second_of_two(void)
{
    redisContext *redis = dial();
    redisAppendCommand(redis, "EVAL return(redis.call('incr','n')) 0");
    redisAppendCommand(redis, "PING");
    void *reply = NULL;
    CHECK(proxy_lose_answer(&between, getpid() + 1)); /* somebody else's */
    CHECK_INT(redisGetReply(redis, &reply), REDIS_OK);
    freeReplyObject(reply);
    CHECK_INT(redisGetReply(redis, &reply), REDIS_OK);
    freeReplyObject(reply);
    CHECK(proxy_lose_answer(&between, getpid()));
    redisAppendCommand(redis, "INCR n");
    redisAppendCommand(redis, "EVAL return(redis.call('incr','n')) 0");
    CHECK_INT(redisGetReply(redis, &reply), REDIS_OK);
    CHECK_INT(((redisReply *)reply)->integer, 2);
    freeReplyObject(reply);
    CHECK_INT(redisGetReply(redis, &reply), REDIS_ERR);
    CHECK_INT(redis_command_int(&server, "GET n"), 3);
    tear_down(redis);
}

TEST(proxy_loses_only_the_answer_that_was_meant)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_second_of_two();
}

static void check_cuts(void)
{
    redisContext *redis = dial();
    CHECK_INT(ask(redis, "INCR n"), 1);
    CHECK(proxy_cut(&between, getpid() + 1));
    CHECK_INT(ask(redis, "INCR n"), 2);
    CHECK(proxy_cut(&between, getpid()));
    CHECK_INT(ask(redis, "INCR n"), -1);
    redisFree(redis);
    redis = dial();
    CHECK_INT(ask(redis, "INCR n"), 3);
    tear_down(redis);
}

TEST(proxy_cuts_connections)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_cuts();
}

static void check_slow(void)
{
    redisContext *redis = dial();
    uint64_t began = mpq_clock_monotonic_ms();
    CHECK(proxy_delay(&between, 150));
    CHECK_INT(ask(redis, "INCR n"), 1);
    CHECK(mpq_clock_monotonic_ms() - began >= 150);
    CHECK(proxy_delay(&between, 0));
    CHECK(proxy_be_silent(&between, true));
    CHECK_INT(ask(redis, "INCR n"), -1); /* the client's patience is over */
    CHECK_INT(redis_command_int(&server, "GET n"), 1);
    redisFree(redis);
    redis = dial();
    CHECK(proxy_be_silent(&between, false));
    CHECK(ask(redis, "INCR n") >= 2);
    tear_down(redis);
}

TEST(proxy_is_slow_and_silent)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    set_up();
    if (!test_failed())
        check_slow();
}
