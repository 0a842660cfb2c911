/* Reading what an owner holds: what was just reserved, and what was found when a name was taken up again or over. */
#include "broker_redis.h"

#include "clock.h"
#include "codec.h"

#include <stdio.h>

enum { CHUNKS_AT_ONCE = 16 };

void mpq_redis_cmd_chunk(mpq_redis_cmd *cmd, const mpq_redis *redis, const char *owner, uint64_t number)
{
    char name[sizeof "held::" + MPQ_OWNER_MAX + 20];
    snprintf(name, sizeof name, "%s:%llu", owner, (unsigned long long)number);
    mpq_redis_cmd_key(cmd, redis->consumer.keys, "held:", name);
}

/* What exchange.lua knows a stored job by, whatever its bytes are. */
mpq_slice mpq_redis_id_bytes(mpq_slice envelope)
{
    size_t from = envelope.len < MPQ_ENVELOPE_ID_OFFSET ? envelope.len : MPQ_ENVELOPE_ID_OFFSET;
    size_t len = envelope.len - from < MPQ_ID_BYTES ? envelope.len - from : MPQ_ID_BYTES;
    return mpq_slice_of(envelope.data + from, len);
}

static bool is_garbage(const mpq_redis_taken *taken, mpq_slice element)
{
    return element.len == 0 ? taken->fresh : !mpq_codec_looks_like_envelope(element);
}

static size_t count_garbage(const redisReply *elements, const mpq_redis_taken *taken)
{
    size_t count = 0;
    for (size_t i = 0; i < elements->elements; i++)
        count += is_garbage(taken, mpq_redis_slice(elements->element[i]));
    return count;
}

static void write_garbage(mpq_redis_cmd *cmd, uint64_t number, const redisReply *elements, const mpq_redis_taken *taken)
{
    for (size_t i = 0; i < elements->elements; i++) {
        mpq_slice element = mpq_redis_slice(elements->element[i]);
        mpq_slice id = mpq_redis_id_bytes(element);
        if (is_garbage(taken, element))
            mpq_redis_cmd_single(cmd, "garbage", number, (uint32_t)i, id, 0, mpq_slice_of("", 0));
    }
}

/* Nobody else would do it, and a chunk with nothing but that in it would stay for ever. Waits for the answer: it is
 * rare, and what is said to be among the failed records has to be there. */
static int put_away(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, uint64_t number,
                    const redisReply *elements, mpq_redis_taken *taken, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    size_t count = count_garbage(elements, taken);
    const mpq_redis_plan plan = {.single_count = count ? count : 1};
    if (conn == &redis->calls && mpq_redis_conn_ensure(conn, &redis->config, redis->where, err) < 0)
        return -1;
    mpq_redis_exchange_begin(redis, cmd, owner, NULL);
    mpq_redis_exchange_counts(cmd, 0, 0, &plan);
    write_garbage(cmd, number, elements, taken);
    if (count == 0)
        mpq_redis_cmd_single(cmd, "empty", number, 0, mpq_slice_of("", 0), 0, mpq_slice_of("", 0));
    if (mpq_redis_script_call(conn, MPQ_SCRIPT_EXCHANGE, cmd, mpq_redis_deadline(redis), &reply, err) < 0)
        return -1;
    bool done = reply->type == REDIS_REPLY_ARRAY;
    taken->lost |= mpq_redis_is_status(reply, "LOST");
    bool stale = mpq_redis_is_status(reply, "STALE");
    freeReplyObject(reply);
    taken->garbage += count;
    if (stale)
        return mpq_redis_stale(redis, err);
    return done || taken->lost ? 0 : mpq_redis_unexpected(conn, "exchange", err);
}

static void take_job(mpq_redis_taken *taken, mpq_redis_chunk *chunk, uint32_t place, mpq_slice envelope)
{
    mpq_id id = mpq_codec_id(envelope);
    mpq_redis_chunk_put(chunk, place, &id);
    if (taken->out)
        mpq_batch_append(taken->out, envelope);
    if (taken->ids)
        mpq_buf_append(taken->ids, id.bytes, MPQ_ID_BYTES);
    taken->room--;
}

/* Keeps the jobs; true when something else is there, too. */
static bool take_jobs(const redisReply *elements, mpq_redis_taken *taken, mpq_redis_chunk *chunk)
{
    bool other = false;
    for (size_t i = 0; i < elements->elements; i++) {
        mpq_slice element = mpq_redis_slice(elements->element[i]);
        bool garbage = is_garbage(taken, element);
        other |= garbage;
        if (!garbage && element.len > 0 && taken->room > 0)
            take_job(taken, chunk, (uint32_t)i, element);
    }
    return other;
}

static bool has_jobs(const redisReply *elements)
{
    for (size_t i = 0; i < elements->elements; i++)
        if (mpq_codec_looks_like_envelope(mpq_redis_slice(elements->element[i])))
            return true;
    return false;
}

int mpq_redis_hold_take(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, uint64_t number,
                        const redisReply *elements, mpq_redis_taken *taken, mpq_error *err)
{
    if (!has_jobs(elements))
        return put_away(redis, conn, owner, number, elements, taken, err);
    mpq_redis_chunk *chunk = mpq_redis_hold_add(taken->hold, number, (uint32_t)elements->elements);
    if (!chunk)
        return mpq_error_set_memory(err);
    return take_jobs(elements, taken, chunk) ? put_away(redis, conn, owner, number, elements, taken, err) : 0;
}

static int ask_for(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, const redisReply *list, size_t from,
                   size_t to, size_t step, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    mpq_redis_cmd_begin(cmd);
    for (size_t i = from; i < to; i += step) {
        if (i > from)
            mpq_redis_cmd_then(cmd, 4);
        mpq_redis_cmd_str(cmd, "LRANGE");
        mpq_redis_cmd_chunk(cmd, redis, owner, (uint64_t)list->element[i]->integer);
        mpq_redis_cmd_str(cmd, "0");
        mpq_redis_cmd_str(cmd, "-1");
    }
    return mpq_redis_conn_write(conn, "list", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis), err);
}

static uint64_t deadline_of(const mpq_redis *redis, const mpq_redis_taken *taken)
{
    uint64_t deadline_ms = mpq_redis_deadline(redis);
    return taken->until_ms && taken->until_ms < deadline_ms ? taken->until_ms : deadline_ms;
}

static int check_time(const mpq_redis *redis, const mpq_redis_taken *taken, mpq_error *err)
{
    if (!taken->until_ms || mpq_clock_monotonic_ms() < taken->until_ms)
        return 0;
    return mpq_error_set(err, MPQ_ERROR_TIMEOUT, "%s: listing what is held took longer than the lease", redis->where);
}

/* The answers of some chunks, all of which have to be read before anything else is asked. */
static int read_some(mpq_redis *redis, mpq_redis_conn *conn, redisReply *replies[CHUNKS_AT_ONCE], size_t count,
                     const mpq_redis_taken *taken, mpq_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (mpq_redis_conn_read(conn, "list", deadline_of(redis, taken), &replies[i], err) < 0)
            return -1;
        if (replies[i]->type == REDIS_REPLY_ERROR) {
            mpq_redis_refused(conn, "list", replies[i], err);
            mpq_redis_conn_close(conn); /* the other answers must not be taken for those of the next call */
            return -1;
        }
        if (replies[i]->type != REDIS_REPLY_ARRAY || replies[i]->elements > MPQ_EXCHANGE_MAX)
            return mpq_redis_unexpected(conn, "list", err);
    }
    return 0;
}

static int read_chunks(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, const redisReply *list, size_t from,
                       size_t to, size_t step, mpq_redis_taken *taken, mpq_error *err)
{
    redisReply *replies[CHUNKS_AT_ONCE] = {NULL};
    size_t count = (to - from + step - 1) / step;
    int rc = ask_for(redis, conn, owner, list, from, to, step, err);
    if (rc == 0)
        rc = read_some(redis, conn, replies, count, taken, err);
    for (size_t i = 0; rc == 0 && i < count && !taken->lost; i++) {
        uint64_t number = (uint64_t)list->element[from + i * step]->integer;
        rc = mpq_redis_hold_take(redis, conn, owner, number, replies[i], taken, err);
        if (rc == 0)
            rc = check_time(redis, taken, err);
    }
    for (size_t i = 0; i < count; i++)
        if (replies[i])
            freeReplyObject(replies[i]);
    return rc;
}

/* 1 = enough was read for once. */
static int may_go_on(const mpq_redis *redis, const mpq_redis_taken *taken, size_t max_bytes, mpq_error *err)
{
    bool in_time = !taken->enough_ms || mpq_clock_monotonic_ms() < taken->enough_ms;
    if (taken->lost || taken->room == 0 || (taken->out && taken->out->bytes.len >= max_bytes) || !in_time)
        return 1;
    return check_time(redis, taken, err);
}

int mpq_redis_hold_read(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, const redisReply *list, size_t first,
                        size_t step, size_t max_bytes, mpq_redis_taken *taken, mpq_error *err)
{
    int rc = 0;
    for (size_t from = first, to; rc == 0 && from < list->elements; from = to) {
        to = list->elements - from > CHUNKS_AT_ONCE * step ? from + CHUNKS_AT_ONCE * step : list->elements;
        rc = may_go_on(redis, taken, max_bytes, err);
        if (rc == 0)
            rc = read_chunks(redis, conn, owner, list, from, to, step, taken, err);
    }
    return rc < 0 ? -1 : 0;
}
