/* Reading what an owner holds: what was just reserved, and what was found when a name was taken up again or over. */
#include "broker_redis.h"

#include "codec.h"

#include <stdio.h>

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
static int put_away(mpq_redis *redis, const char *owner, uint64_t number, const redisReply *elements,
                    mpq_redis_taken *taken, mpq_error *err)
{
    static const mpq_exchange nothing;
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    size_t count = count_garbage(elements, taken);
    const mpq_redis_plan plan = {.single_count = count ? count : 1};
    mpq_redis_exchange_begin(redis, cmd, owner, &nothing);
    mpq_redis_exchange_counts(cmd, 0, 0, &plan);
    write_garbage(cmd, number, elements, taken);
    if (count == 0)
        mpq_redis_cmd_single(cmd, "empty", number, 0, mpq_slice_of("", 0), 0, mpq_slice_of("", 0));
    if (mpq_redis_ask(redis, MPQ_SCRIPT_EXCHANGE, false, &reply, err) < 0)
        return -1;
    bool done = reply->type == REDIS_REPLY_ARRAY;
    taken->lost |= mpq_redis_is_status(reply, "LOST");
    bool stale = mpq_redis_is_status(reply, "STALE");
    freeReplyObject(reply);
    taken->garbage += count;
    if (stale)
        return mpq_redis_stale(redis, err);
    return done || taken->lost ? 0 : mpq_redis_unexpected(&redis->calls, "exchange", err);
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

int mpq_redis_hold_take(mpq_redis *redis, const char *owner, uint64_t number, const redisReply *elements,
                        mpq_redis_taken *taken, mpq_error *err)
{
    bool any = false, other = false;
    mpq_redis_chunk *chunk = mpq_redis_hold_add(taken->hold, number, (uint32_t)elements->elements);
    if (!chunk)
        return mpq_error_set_memory(err);
    for (size_t i = 0; i < elements->elements; i++) {
        mpq_slice element = mpq_redis_slice(elements->element[i]);
        bool garbage = is_garbage(taken, element);
        other |= garbage;
        if (garbage || element.len == 0)
            continue;
        any = true;
        if (taken->room > 0)
            take_job(taken, chunk, (uint32_t)i, element);
    }
    if (other || !any)
        return put_away(redis, owner, number, elements, taken, err);
    return 0;
}

int mpq_redis_hold_read(mpq_redis *redis, const char *owner, uint64_t number, mpq_redis_taken *taken, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    redisReply *reply;
    if (mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
        return -1;
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "LRANGE");
    mpq_redis_cmd_chunk(cmd, redis, owner, number);
    mpq_redis_cmd_str(cmd, "0");
    mpq_redis_cmd_str(cmd, "-1");
    if (mpq_redis_conn_call(&redis->calls, "list", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis), &reply, err) < 0)
        return -1;
    int rc = reply->type == REDIS_REPLY_ARRAY ? mpq_redis_hold_take(redis, owner, number, reply, taken, err)
                                              : mpq_redis_unexpected(&redis->calls, "list", err);
    freeReplyObject(reply);
    return rc;
}
