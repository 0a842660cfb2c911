/*
 * Sleeping until there is work: BLMOVE for ready jobs, a subscription for due times.
 *
 * The job that BLMOVE delivers is in this owner's stage, not yet among the jobs it holds: the next exchange claims it,
 * or a request of its own. BLMOVE knows nothing of leases. So a job that comes when ours may have ended is not given
 * out; the next exchange puts it back, or reports the loss. A BLMOVE outlives being woken by something else: its job is
 * collected whenever it comes.
 */
#include "broker_redis.h"

#include "clock.h"
#include "codec.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MAX_MS = 10000 };

/* -- announcements of due times ------------------------------------------------------------------------------- */

int mpq_redis_subscribe(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    if (mpq_redis_conn_open(&consumer->news, &redis->config, redis->where, err) < 0)
        return -1;
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "SUBSCRIBE");
    mpq_redis_cmd_key(cmd, consumer->keys, "wake", NULL);
    if (mpq_redis_conn_call(&consumer->news, "subscribe", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis), &reply,
                            err) < 0)
        return -1;
    bool confirmed = reply->type == REDIS_REPLY_ARRAY && reply->elements == 3;
    freeReplyObject(reply);
    return confirmed ? 0 : mpq_redis_unexpected(&consumer->news, "subscribe", err);
}

/* Milliseconds with up to three decimals; 0 when it is something else. By hand, as strtod minds the locale. */
static int64_t parse_due_us(mpq_slice text)
{
    int64_t ms = 0, fraction_us = 0, unit_us = 1000;
    bool fraction = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '.' && !fraction) {
            fraction = true;
        } else if (c < '0' || c > '9' || ms > INT64_MAX / 10000 - 10) {
            return 0;
        } else if (fraction) {
            unit_us /= 10;
            fraction_us += unit_us * (c - '0');
        } else {
            ms = 10 * ms + (c - '0');
        }
    }
    return 1000 * ms + fraction_us;
}

/* ["message", channel, due time] or ["pong", ""]. */
static int accept_news(mpq_redis_consumer *consumer, const redisReply *reply, mpq_error *err)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return mpq_redis_refused(&consumer->news, "subscribe", reply, err);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return mpq_redis_unexpected(&consumer->news, "subscribe", err);
    if (reply->elements == 2) {
        consumer->nudged = true;
        return 0;
    }
    int64_t due_at_us = parse_due_us(mpq_redis_slice(reply->element[2]));
    if (due_at_us > 0 && (consumer->announced_due_at_us < 0 || due_at_us < consumer->announced_due_at_us))
        consumer->announced_due_at_us = due_at_us;
    return 0;
}

int mpq_redis_read_news(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    for (;;) {
        redisReply *reply;
        int rc = mpq_redis_conn_read(&consumer->news, "subscribe", 0, &reply, err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        rc = accept_news(consumer, reply, err);
        freeReplyObject(reply);
        if (rc < 0)
            return -1;
    }
}

/* Something is due earlier than the last answer told. */
bool mpq_redis_has_news(const mpq_redis_consumer *consumer)
{
    return consumer->announced_due_at_us >= 0 &&
           (consumer->known_due_at_us < 0 || consumer->announced_due_at_us < consumer->known_due_at_us);
}

/* News read while nobody waited would leave the descriptors silent: an answer to ourselves makes one readable. */
static int nudge(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "PING");
    return mpq_redis_conn_write(&redis->consumer.news, "subscribe", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis),
                                err);
}

/* -- BLMOVE --------------------------------------------------------------------------------------------------- */

static uint32_t block_ms(const mpq_redis_consumer *consumer)
{
    return consumer->lease_ms < BLOCK_MAX_MS ? consumer->lease_ms : BLOCK_MAX_MS;
}

int mpq_redis_block(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_cmd *cmd = &redis->cmd;
    char seconds[32];
    uint32_t ms = block_ms(consumer) ? block_ms(consumer) : 1;
    snprintf(seconds, sizeof seconds, "%u.%03u", ms / 1000, ms % 1000);
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "BLMOVE");
    mpq_redis_cmd_key(cmd, consumer->keys, "ready", NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "stage:", consumer->stage);
    mpq_redis_cmd_str(cmd, "LEFT");
    mpq_redis_cmd_str(cmd, "RIGHT");
    mpq_redis_cmd_str(cmd, seconds);
    if (mpq_redis_conn_write(&consumer->wait, "wait", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis), err) < 0)
        return -1;
    consumer->blocked = true;
    redis->base.blind = false;
    consumer->blocked_at_ms = mpq_clock_monotonic_ms();
    return 0;
}

/* A blocked connection that should have been answered long ago and has nothing to read is dead. */
static int check_blocked(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    uint64_t limit_ms = (uint64_t)block_ms(consumer) + redis->config.read_timeout_ms;
    struct pollfd entry = {.fd = mpq_redis_conn_fd(&consumer->wait), .events = POLLIN};
    if (mpq_clock_monotonic_ms() - consumer->blocked_at_ms <= limit_ms || poll(&entry, 1, 0) != 0)
        return 0;
    return mpq_error_set(err, MPQ_ERROR_CONNECT, "%s: wait: connection lost: no answer for %llu ms", redis->where,
                         (unsigned long long)limit_ms);
}

static int arm(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    if (!consumer->wait.context && mpq_redis_conn_open(&consumer->wait, &redis->config, redis->where, err) < 0)
        return -1;
    if ((consumer->blocked ? check_blocked(redis, err) : mpq_redis_block(redis, err)) < 0)
        return -1;
    if (!consumer->armed && mpq_redis_has_news(consumer) && nudge(redis, err) < 0)
        return -1;
    consumer->armed = true;
    return 0;
}

int mpq_redis_wait_arm(mpq_broker *broker, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    int rc = arm(redis, err);
    if (rc < 0)
        mpq_redis_consumer_drop(redis);
    return rc;
}

/* An exchange under way may have taken jobs before the server has seen our BLMOVE, or after that was served: its answer
 * tells, and until then what BLMOVE delivers is left where it is. */
static bool is_reserving(const mpq_redis_consumer *consumer)
{
    for (size_t i = 0; i < consumer->flight_count; i++)
        if (consumer->flights[(consumer->first_flight + i) % MPQ_REDIS_FLIGHTS].chunk)
            return true;
    return false;
}

int mpq_redis_wait_fds(mpq_broker *broker, int fds[2])
{
    const mpq_redis_consumer *consumer = &((mpq_redis *)broker)->consumer;
    int count = 0;
    if (consumer->wait.context && !is_reserving(consumer))
        fds[count++] = mpq_redis_conn_fd(&consumer->wait);
    if (consumer->news.context)
        fds[count++] = mpq_redis_conn_fd(&consumer->news);
    return count;
}

static int accept_job(mpq_redis *redis, mpq_slice envelope, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_slice id = mpq_redis_id_bytes(envelope);
    bool ours = mpq_clock_monotonic_ms() - consumer->renewed_at_ms < consumer->lease_ms;
    if (ours && mpq_codec_looks_like_envelope(envelope)) {
        mpq_batch_append(out, envelope);
        mpq_buf_append_slice(&consumer->claims, id);
        out->ready = 0;
    } else {
        mpq_buf_append_u8(&consumer->unstaged, (uint8_t)id.len);
        mpq_buf_append_slice(&consumer->unstaged, id);
    }
    if (out->bytes.failed || consumer->claims.failed || consumer->unstaged.failed)
        return mpq_error_set_memory(err);
    return 0;
}

/* 0 = woken, 1 = nothing. */
static int accept_blocked(mpq_redis *redis, const redisReply *reply, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    consumer->blocked = false;
    if (reply->type == REDIS_REPLY_NIL)
        return consumer->armed && mpq_redis_block(redis, err) < 0 ? -1 : 1;
    /* A full Redis refuses to block; it is asked again after the next exchange. */
    if (mpq_redis_is_error(reply, "OOM ")) {
        redis->base.blind = true;
        return 1;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        return mpq_redis_refused(&consumer->wait, "wait", reply, err);
    if (reply->type != REDIS_REPLY_STRING)
        return mpq_redis_unexpected(&consumer->wait, "wait", err);
    return accept_job(redis, mpq_redis_slice(reply), out, err);
}

/* A deadline of 0 does not wait for it. */
static int collect_blocked(mpq_redis *redis, uint64_t deadline_ms, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    redisReply *reply;
    if (!consumer->wait.context)
        return 1;
    int rc = mpq_redis_conn_read(&consumer->wait, "wait", deadline_ms, &reply, err);
    if (rc != 0)
        return rc;
    rc = accept_blocked(redis, reply, out, err);
    freeReplyObject(reply);
    return rc;
}

int mpq_redis_put_delivered_first(mpq_redis *redis, mpq_batch *out, mpq_error *err)
{
    mpq_batch delivered;
    if (!redis->consumer.blocked)
        return 0;
    mpq_batch_init(&delivered);
    int rc = collect_blocked(redis, mpq_redis_deadline(redis), &delivered, err);
    if (rc >= 0)
        rc = mpq_redis_claim(redis, err);
    if (delivered.count > 0)
        mpq_batch_prepend(out, mpq_batch_envelope(&delivered, 0));
    mpq_batch_fini(&delivered);
    return rc < 0 ? -1 : out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

static int collect(mpq_redis *redis, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    int rc = is_reserving(consumer) ? 1 : collect_blocked(redis, 0, out, err);
    if (rc < 0 || (rc > 0 && mpq_redis_read_news(redis, err) < 0)) /* news can wait, a job is in a hurry */
        return -1;
    bool news = consumer->armed && (consumer->nudged || mpq_redis_has_news(consumer));
    if (rc > 0 && !news)
        return 1;
    consumer->armed = consumer->nudged = false;
    if (news)
        consumer->announced_due_at_us = -1;
    return 0;
}

int mpq_redis_wait_collect(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_batch_clear(out);
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    int rc = collect(redis, out, err);
    if (rc < 0) {
        mpq_batch_clear(out);
        mpq_redis_consumer_drop(redis);
    }
    return rc;
}

int mpq_redis_wait_claim(mpq_broker *broker, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    int rc = mpq_redis_claim(redis, err);
    if (rc < 0)
        mpq_redis_consumer_drop(redis);
    return rc;
}
