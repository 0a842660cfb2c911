/*
 * Pushing, once for each (producer, sequence).
 *
 * push.lua can do it all: it looks at the last sequence accepted, adds the jobs and records theirs. That costs the
 * server more than adding, so it is done only when there is a doubt. A producer that keeps pushing goes through a gate,
 * see broker_redis_gate.c. Whatever is answered there but "moved": the script is asked, with the same sequence, and
 * decides.
 */
#include "broker_redis.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { RECORD_TTL_S = 3600 };

#define DELAY_MAX_MS (UINT64_C(1) << 52) /* a sorted set's scores are doubles */

static void write_items(mpq_redis_cmd *cmd, const mpq_push *push)
{
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

static void write_script(mpq_redis *redis, const mpq_redis_gate *gate, const mpq_push *push)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    char producer[17], sequence[MPQ_REDIS_SEQUENCE_DIGITS];
    size_t ready = 0;
    for (size_t i = 0; i < push->count; i++)
        ready += push->items[i].delay_ms == 0;
    snprintf(producer, sizeof producer, "%016" PRIx64, push->producer);
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_PUSH, 6);
    mpq_redis_cmd_key(cmd, gate->keys, "seq:", producer);
    mpq_redis_cmd_key(cmd, gate->keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, gate->keys, "delayed", NULL);
    mpq_redis_cmd_key(cmd, gate->keys, "stats", NULL);
    mpq_redis_cmd_key(cmd, gate->keys, "seq:gates", NULL);
    mpq_redis_cmd_bytes(cmd, gate->key.data, gate->key.len);
    mpq_redis_cmd_bytes(cmd, mpq_redis_write_sequence(push->sequence, sequence), MPQ_REDIS_SEQUENCE_DIGITS);
    mpq_redis_cmd_u64(cmd, RECORD_TTL_S + (*gate->name ? MPQ_REDIS_GATE_AGE_MAX_S : 0));
    mpq_redis_cmd_key(cmd, gate->keys, "wake", NULL);
    mpq_redis_cmd_str(cmd, gate->name);
    mpq_redis_cmd_u64(cmd, ready);
    mpq_redis_cmd_u64(cmd, push->count);
    write_items(cmd, push);
}

/* A deadline of 0: the whole time. */
static int ask_script(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t deadline_ms,
                      mpq_error *err)
{
    redisReply *reply;
    uint64_t now_ms = mpq_clock_monotonic_ms();
    uint32_t pushes = gate->pushes;
    mpq_redis_gate_name(redis, gate, push);
    mpq_redis_gate_close(gate);
    if (gate->key.failed)
        return mpq_error_set_memory(err);
    write_script(redis, gate, push);
    if (mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
        return -1;
    deadline_ms = deadline_ms ? deadline_ms : mpq_redis_deadline(redis);
    if (mpq_redis_script_call(&redis->calls, MPQ_SCRIPT_PUSH, &redis->cmd, deadline_ms, &reply, err) < 0)
        return -1;
    bool added = mpq_redis_is_status(reply, "OK"), known = added || mpq_redis_is_status(reply, "DUP");
    freeReplyObject(reply);
    if (!known)
        return mpq_redis_unexpected(&redis->calls, "push", err);
    if (added && *gate->name)
        mpq_redis_gate_open(redis, gate, push, now_ms);
    else
        gate->pushes = pushes + 1;
    return 0;
}

int mpq_redis_push(mpq_broker *broker, const mpq_push *push, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    if (push->count == 0 || push->count > 1000)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "a push holds 1 to 1000 jobs, not %zu", push->count);
    mpq_redis_gate *gate = mpq_redis_gate_for(redis, push);
    if (!gate)
        return mpq_error_set_memory(err);
    uint64_t deadline_ms = 0;
    int rc = mpq_redis_gate_may_pass(redis, gate, push) ? mpq_redis_gate_pass(redis, gate, push, &deadline_ms, err) : 1;
    return rc > 0 ? ask_script(redis, gate, push, deadline_ms, err) : rc;
}
