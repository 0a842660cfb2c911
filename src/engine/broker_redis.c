/* The Redis driver: handles. The rest is in broker_redis_*.c, the layout in broker_redis.h. */
#include "broker_redis.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_config(const mpq_broker_config *config, mpq_error *err)
{
    if (!config->socket_path && !config->host)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "redis: a host or the path of a unix socket is needed");
    if (!config->socket_path && config->port == 0)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "redis: port 0 can't be connected to");
    if (config->user && !config->password)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "redis: user \"%s\" needs a password", config->user);
    return 0;
}

static int open_handle(const mpq_broker_config *config, mpq_broker **out, mpq_error *err)
{
    if (check_config(config, err) < 0)
        return -1;
    mpq_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return mpq_error_set_memory(err);
    if (mpq_broker_config_copy(&redis->config, config, err) < 0) {
        free(redis);
        return -1;
    }
    redis->base.ops = &mpq_broker_redis;
    mpq_broker_config_describe(&redis->config, redis->where, sizeof redis->where);
    *out = &redis->base;
    return 0;
}

/* Closing a socket says nothing on it that another process sharing it would notice. */
static void close_handle(mpq_broker *broker)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_consumer_drop(redis);
    for (size_t i = 0; i < MPQ_REDIS_FLIGHTS; i++)
        mpq_redis_cmd_fini(&consumer->flights[i].cmd);
    mpq_buf_fini(&consumer->claims);
    mpq_buf_fini(&consumer->unstaged);
    free(consumer->keys);
    mpq_redis_gates_fini(redis);
    mpq_redis_conn_close(&redis->calls);
    mpq_redis_cmd_fini(&redis->cmd);
    mpq_broker_config_fini(&redis->config);
    free(redis);
}

static int ping(mpq_broker *broker, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    redisReply *reply;
    if (mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
        return -1;
    mpq_redis_cmd_begin(&redis->cmd);
    mpq_redis_cmd_str(&redis->cmd, "PING");
    if (mpq_redis_conn_call(&redis->calls, "ping", mpq_redis_cmd_end(&redis->cmd), mpq_redis_deadline(redis), &reply,
                            err) < 0)
        return -1;
    int rc = mpq_redis_is_status(reply, "PONG") ? 0 : mpq_redis_unexpected(&redis->calls, "ping", err);
    freeReplyObject(reply);
    return rc;
}

char *mpq_redis_keys(const mpq_redis *redis, const char *queue)
{
    const char *prefix = redis->config.prefix ? redis->config.prefix : "mpq";
    size_t size = strlen(prefix) + strlen(queue) + 5;
    char *keys = malloc(size);
    if (keys)
        snprintf(keys, size, "%s:{%s}:", prefix, queue);
    return keys;
}

uint64_t mpq_redis_deadline(const mpq_redis *redis)
{
    return mpq_clock_monotonic_ms() + redis->config.read_timeout_ms;
}

int mpq_redis_ask(mpq_redis *redis, enum mpq_redis_script script, bool repeatable, redisReply **out, mpq_error *err)
{
    mpq_error why;
    bool again = repeatable && redis->calls.context;
    for (;;) {
        if (mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
            return -1;
        if (mpq_redis_script_call(&redis->calls, script, &redis->cmd, mpq_redis_deadline(redis), out, &why) == 0)
            return 0;
        if (!again || why.kind != MPQ_ERROR_CONNECT || redis->calls.context)
            break;
        again = false;
    }
    if (err)
        *err = why;
    return -1;
}

const mpq_broker_ops mpq_broker_redis = {
    .name = "redis",
    .open = open_handle,
    .close = close_handle,
    .forget = close_handle,
    .ping = ping,
    .push = mpq_redis_push,
    .counts = mpq_redis_counts,
    .failed = mpq_redis_failed,
    .clear = mpq_redis_clear,
    .attach = mpq_redis_attach,
    .detach = mpq_redis_detach,
    .send = mpq_redis_send,
    .receive = mpq_redis_receive,
    .fd = mpq_redis_fd,
    .wait_arm = mpq_redis_wait_arm,
    .wait_fds = mpq_redis_wait_fds,
    .wait_collect = mpq_redis_wait_collect,
    .wait_claim = mpq_redis_wait_claim,
    .renew = mpq_redis_renew,
    .adopt = mpq_redis_adopt,
};
