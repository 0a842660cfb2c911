/* The Redis driver: handles and pushing. The rest is in broker_redis_*.c, the layout in broker_redis.h. */
#include "broker_redis.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE_TTL_S 3600
#define DELAY_MAX_MS (UINT64_C(1) << 52) /* a sorted set's scores are doubles */

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

static void write_push(mpq_redis *redis, const char *keys, const mpq_push *push)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    char text[24];
    size_t ready = 0;
    for (size_t i = 0; i < push->count; i++)
        ready += push->items[i].delay_ms == 0;
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_PUSH, 4);
    snprintf(text, sizeof text, "%016" PRIx64, push->producer);
    mpq_redis_cmd_key(cmd, keys, "seq:", text);
    mpq_redis_cmd_key(cmd, keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, keys, "delayed", NULL);
    mpq_redis_cmd_key(cmd, keys, "stats", NULL);
    snprintf(text, sizeof text, "%020" PRIu64, push->sequence);
    mpq_redis_cmd_str(cmd, text);
    mpq_redis_cmd_u64(cmd, SEQUENCE_TTL_S);
    mpq_redis_cmd_key(cmd, keys, "wake", NULL);
    mpq_redis_cmd_u64(cmd, ready);
    mpq_redis_cmd_u64(cmd, push->count);
    for (size_t i = 0; i < push->count; i++)
        if (push->items[i].delay_ms == 0)
            mpq_redis_cmd_bytes(cmd, push->items[i].envelope.data, push->items[i].envelope.len);
    for (size_t i = 0; i < push->count; i++) {
        const mpq_push_item *item = &push->items[i];
        if (item->delay_ms == 0)
            continue;
        mpq_redis_cmd_u64(cmd, item->delay_ms < DELAY_MAX_MS ? item->delay_ms : DELAY_MAX_MS);
        mpq_redis_cmd_bytes(cmd, item->envelope.data, item->envelope.len);
    }
}

static int push_items(mpq_broker *broker, const mpq_push *push, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    redisReply *reply;
    if (push->count == 0 || push->count > 1000)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "a push holds 1 to 1000 jobs, not %zu", push->count);
    char *keys = mpq_redis_keys(redis, push->queue);
    if (!keys)
        return mpq_error_set_memory(err);
    write_push(redis, keys, push);
    free(keys);
    if (mpq_redis_ask(redis, MPQ_SCRIPT_PUSH, false, &reply, err) < 0)
        return -1;
    bool known = mpq_redis_is_status(reply, "OK") || mpq_redis_is_status(reply, "DUP");
    freeReplyObject(reply);
    return known ? 0 : mpq_redis_unexpected(&redis->calls, "push", err);
}

const mpq_broker_ops mpq_broker_redis = {
    .name = "redis",
    .open = open_handle,
    .close = close_handle,
    .forget = close_handle,
    .ping = ping,
    .push = push_items,
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
    .renew = mpq_redis_renew,
    .adopt = mpq_redis_adopt,
};
