/* Owners and their leases: attach, detach, renew, adopt. */
#include "broker_redis.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADOPT_BYTES (16u << 20)

enum { CHUNKS_MAX = 1 << 14 /* each has a job at least: more than any owner holds */ };

void mpq_redis_consumer_drop(mpq_redis *redis)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_conn_close(&consumer->work);
    mpq_redis_conn_close(&consumer->wait);
    mpq_redis_conn_close(&consumer->news);
    for (size_t i = 0; i < MPQ_REDIS_FLIGHTS; i++) {
        if (consumer->flights[i].reply)
            freeReplyObject(consumer->flights[i].reply);
        if (consumer->flights[i].jobs)
            freeReplyObject(consumer->flights[i].jobs);
        consumer->flights[i].reply = consumer->flights[i].jobs = NULL;
    }
    consumer->first_flight = consumer->flight_count = consumer->exchange_count = 0;
    consumer->attached = consumer->armed = consumer->blocked = consumer->nudged = false;
    consumer->known_due_at_us = consumer->announced_due_at_us = -1;
    mpq_buf_clear(&consumer->claims);
    mpq_buf_clear(&consumer->unstaged);
    mpq_redis_hold_clear(&consumer->hold);
    mpq_redis_hold_clear(&consumer->listed);
}

int mpq_redis_consumer_check(const mpq_redis *redis, mpq_error *err)
{
    if (redis->consumer.attached)
        return 0;
    return mpq_error_set(err, MPQ_ERROR_STATE, "%s: not attached to a queue", redis->where);
}

int mpq_redis_stale(const mpq_redis *redis, mpq_error *err)
{
    return mpq_error_set(err, MPQ_ERROR_STATE, "%s: the name \"%s\" was taken up by another connection", redis->where,
                         redis->consumer.owner);
}

static int begin(mpq_redis *redis, const char *queue, const char *owner, uint32_t lease_ms, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    size_t len = strlen(owner);
    if (len == 0 || len > MPQ_OWNER_MAX)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "an owner's name has 1 to %d bytes, not %zu", MPQ_OWNER_MAX, len);
    char *keys = mpq_redis_keys(redis, queue);
    if (!keys)
        return mpq_error_set_memory(err);
    char name[MPQ_OWNER_MAX + 1]; /* `owner` may be ours */
    memcpy(name, owner, len + 1);
    memcpy(consumer->owner, name, len + 1);
    free(consumer->keys);
    consumer->keys = keys;
    consumer->lease_ms = lease_ms;
    return 0;
}

static bool is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
}

/* From element `first` on, `step` for each. A number comes once: the jobs of one that came twice would be held twice.
 */
static bool are_chunks(const redisReply *reply, size_t first, size_t step)
{
    if (reply->elements < first || (reply->elements - first) % step != 0 ||
        (reply->elements - first) / step > CHUNKS_MAX)
        return false;
    for (size_t i = first; i < reply->elements; i++)
        if (!is_number(reply->element[i]))
            return false;
    for (size_t i = first + step; i < reply->elements; i += step)
        if (reply->element[i]->integer <= reply->element[i - step]->integer)
            return false;
    return true;
}

/* 1 = LOST. */
static int accept_attach(mpq_redis *redis, const redisReply *reply, mpq_buf *held, mpq_error *err)
{
    enum { TOKEN, GENERATION, NEXT, CHUNKS };
    mpq_redis_consumer *consumer = &redis->consumer;
    if (mpq_redis_is_status(reply, "LOST"))
        return 1;
    if (reply->type != REDIS_REPLY_ARRAY || !are_chunks(reply, CHUNKS, 1) || !is_number(reply->element[GENERATION]) ||
        !is_number(reply->element[NEXT]))
        return mpq_redis_unexpected(&consumer->work, "attach", err);
    const redisReply *last = reply->element[reply->elements - 1];
    if (reply->elements > CHUNKS && last->integer >= reply->element[NEXT]->integer)
        return mpq_redis_unexpected(&consumer->work, "attach", err);
    mpq_slice token = mpq_redis_slice(reply->element[TOKEN]);
    if (token.len == 0 || token.len > sizeof consumer->token)
        return mpq_redis_unexpected(&consumer->work, "attach", err);
    memcpy(consumer->token, token.data, token.len);
    consumer->token_len = token.len;
    snprintf(consumer->stage, sizeof consumer->stage, "%s:%lld", consumer->owner, reply->element[GENERATION]->integer);
    consumer->next_chunk = (uint64_t)reply->element[NEXT]->integer;
    if (held)
        mpq_buf_clear(held);
    /* Useless when the lease has ended meanwhile: others may take the jobs then. */
    uint64_t until_ms = consumer->renewed_at_ms + consumer->lease_ms;
    mpq_redis_taken taken = {.hold = &consumer->hold, .ids = held, .room = SIZE_MAX, .until_ms = until_ms};
    /* Over the same connection: the one for calls may still lead to another server. */
    int rc = mpq_redis_hold_read(redis, &consumer->work, consumer->owner, reply, CHUNKS, 1, SIZE_MAX, &taken, err);
    return rc < 0 ? -1 : taken.lost;
}

static int register_owner(mpq_redis *redis, enum mpq_attach how, mpq_buf *held, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_ATTACH, 4);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", consumer->owner);
    mpq_redis_cmd_key(cmd, consumer->keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "nodes", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "retired", NULL);
    mpq_redis_cmd_str(cmd, how == MPQ_ATTACH_RESUME ? "resume" : "fresh");
    mpq_redis_cmd_str(cmd, consumer->owner);
    mpq_redis_cmd_u64(cmd, consumer->lease_ms);
    mpq_redis_cmd_str(cmd, consumer->keys);
    for (size_t at = 0; how == MPQ_ATTACH_RESUME && held && at < held->len; at += MPQ_ID_BYTES)
        mpq_redis_cmd_bytes(cmd, held->data + at, MPQ_ID_BYTES);
    consumer->renewed_at_ms = mpq_clock_monotonic_ms();
    if (mpq_redis_script_call(&consumer->work, MPQ_SCRIPT_ATTACH, cmd, mpq_redis_deadline(redis), &reply, err) < 0)
        return -1;
    int rc = accept_attach(redis, reply, held, err);
    freeReplyObject(reply);
    return rc;
}

int mpq_redis_attach(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                     mpq_buf *held, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_consumer_drop(redis);
    if (begin(redis, queue, owner, lease_ms, err) < 0 ||
        mpq_redis_conn_open(&consumer->work, &redis->config, redis->where, err) < 0)
        return -1;
    /* Before the first look at the queue, so that no announcement falls between the two. */
    int rc = mpq_redis_subscribe(redis, err);
    if (rc == 0)
        rc = mpq_redis_script_load(&consumer->work, MPQ_SCRIPT_EXCHANGE, mpq_redis_deadline(redis), err);
    if (rc == 0)
        rc = register_owner(redis, how, held, err);
    if (rc != 0)
        mpq_redis_consumer_drop(redis);
    consumer->attached = rc == 0;
    return rc;
}

/* Over a connection of its own: answers of exchanges that are still under way don't matter any more, and what they
 * reserve is handed back or refused. */
int mpq_redis_detach(mpq_broker *broker, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    mpq_redis_consumer_drop(redis);
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_DETACH, 5);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", consumer->owner);
    mpq_redis_cmd_key(cmd, consumer->keys, "stage:", consumer->stage);
    mpq_redis_cmd_key(cmd, consumer->keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "nodes", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "retired", NULL);
    mpq_redis_cmd_bytes(cmd, consumer->token, consumer->token_len);
    mpq_redis_cmd_str(cmd, consumer->owner);
    mpq_redis_cmd_str(cmd, consumer->stage);
    mpq_redis_cmd_str(cmd, consumer->keys);
    if (mpq_redis_ask(redis, MPQ_SCRIPT_DETACH, true, &reply, err) < 0)
        return -1;
    int rc = 0;
    if (mpq_redis_is_status(reply, "STALE"))
        rc = mpq_redis_stale(redis, err);
    else if (!mpq_redis_is_status(reply, "OK") && !mpq_redis_is_status(reply, "LOST"))
        rc = mpq_redis_unexpected(&redis->calls, "detach", err);
    freeReplyObject(reply);
    return rc;
}

int mpq_redis_renew(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    if (count == 0)
        return 0;
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_RENEW, 1 + count);
    mpq_redis_cmd_key(cmd, redis->consumer.keys, "nodes", NULL);
    for (size_t i = 0; i < count; i++)
        mpq_redis_cmd_key(cmd, redis->consumer.keys, "run:", owners[i]);
    mpq_redis_cmd_u64(cmd, redis->consumer.lease_ms);
    for (size_t i = 0; i < count; i++)
        mpq_redis_cmd_str(cmd, owners[i]);
    if (mpq_redis_ask(redis, MPQ_SCRIPT_RENEW, true, &reply, err) < 0)
        return -1;
    bool valid = reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return valid ? 0 : mpq_redis_unexpected(&redis->calls, "renew", err);
}

static void write_adopt(mpq_redis *redis, const char *dead)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_cmd *cmd = &redis->cmd;
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_ADOPT, 5);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", consumer->owner);
    mpq_redis_cmd_key(cmd, consumer->keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "nodes", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "retired", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "delayed", NULL);
    mpq_redis_cmd_bytes(cmd, consumer->token, consumer->token_len);
    mpq_redis_cmd_str(cmd, consumer->owner);
    mpq_redis_cmd_str(cmd, dead ? dead : "");
    mpq_redis_cmd_str(cmd, consumer->keys);
    mpq_redis_cmd_u64(cmd, consumer->lease_ms);
}

/* {look in, due in}: false when it is something else. */
static bool accept_outlook(const redisReply *reply, mpq_batch *out)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return false;
    out->look_in_ms = reply->element[0]->integer < 0 ? -1 : reply->element[0]->integer;
    out->next_due_us = reply->element[1]->integer < 0 ? -1 : reply->element[1]->integer;
    return true;
}

/* As many as one answer is for, and as can be read in the time for one; the next call lists the rest. */
static int list_chunks(mpq_redis *redis, const redisReply *reply, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_taken taken = {.hold = &consumer->listed, .out = out, .room = MPQ_ADOPT_MAX};
    taken.enough_ms = mpq_redis_deadline(redis);
    taken.until_ms = mpq_clock_monotonic_ms() + consumer->lease_ms;
    mpq_redis_hold_clear(&consumer->listed);
    memcpy(consumer->listed_of, out->from, sizeof consumer->listed_of);
    if (mpq_redis_hold_read(redis, &redis->calls, out->from, reply, 1, 2, ADOPT_BYTES, &taken, err) < 0)
        return -1;
    out->garbage = taken.garbage;
    if (taken.lost) {
        mpq_batch_clear(out);
        out->lost = true;
        return 1;
    }
    return out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

static int accept_adopted(mpq_redis *redis, const redisReply *reply, mpq_batch *out, mpq_error *err)
{
    if (mpq_redis_is_status(reply, "NOBODY"))
        return 1;
    out->lost = mpq_redis_is_status(reply, "LOST");
    out->ended = mpq_redis_is_status(reply, "ENDED");
    if (out->lost || out->ended || accept_outlook(reply, out))
        return 1;
    if (mpq_redis_is_status(reply, "STALE"))
        return mpq_redis_stale(redis, err);
    if (reply->type != REDIS_REPLY_ARRAY || !are_chunks(reply, 1, 2))
        return mpq_redis_unexpected(&redis->calls, "adopt", err);
    mpq_slice from = mpq_redis_slice(reply->element[0]);
    if (from.len == 0 || from.len > MPQ_OWNER_MAX || memchr(from.data, '\0', from.len))
        return mpq_redis_unexpected(&redis->calls, "adopt", err);
    memcpy(out->from, from.data, from.len);
    out->from[from.len] = '\0';
    return list_chunks(redis, reply, out, err);
}

int mpq_redis_adopt(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    redisReply *reply;
    mpq_batch_clear(out);
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    if (dead && !*dead)
        return 1;
    write_adopt(redis, dead);
    uint64_t asked_at_ms = mpq_clock_monotonic_ms();
    int rc = mpq_redis_ask(redis, MPQ_SCRIPT_ADOPT, false, &reply, err);
    if (rc == 0) {
        rc = accept_adopted(redis, reply, out, err);
        freeReplyObject(reply);
    }
    if (rc >= 0 && !dead && !out->lost && !out->ended)
        redis->consumer.renewed_at_ms = asked_at_ms;
    if (rc < 0) {
        mpq_batch_clear(out);
        mpq_redis_consumer_drop(redis);
    }
    return rc;
}
