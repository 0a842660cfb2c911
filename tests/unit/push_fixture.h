/* What the tests of pushing to Redis share: what the server was asked, and a way to it that can be disturbed. */
#ifndef MPQ_PUSH_FIXTURE_H
#define MPQ_PUSH_FIXTURE_H

#include "proxy.h"
#include "redis_fixture.h"

static proxy between;

static inline long long waiting(void)
{
    return redis_command_int(&server, "LLEN mpq:{q}:ready");
}

/* Calls of a command since CONFIG RESETSTAT. */
static inline long calls_of(const char *command)
{
    char text[64];
    redisReply *reply = redis_command(&server, "INFO commandstats");
    snprintf(text, sizeof text, "cmdstat_%s:calls=", command);
    const char *at = strstr(reply->str, text);
    long calls = at ? strtol(at + strlen(text), NULL, 10) : 0;
    freeReplyObject(reply);
    return calls;
}

static inline void forget_calls(void)
{
    freeReplyObject(redis_command(&server, "CONFIG RESETSTAT"));
}

static inline mpq_broker *handle_through_proxy(void)
{
    char path[96];
    snprintf(path, sizeof path, "%.60s/proxy-%ld", test_tmpdir(), (long)getpid());
    if (!proxy_start(&between, path, server.socket_path))
        test_fail(__FILE__, __LINE__, "no proxy");
    char *straight = config.socket_path;
    config.socket_path = path;
    mpq_broker *broker = handle();
    config.socket_path = straight;
    return broker;
}

#endif
