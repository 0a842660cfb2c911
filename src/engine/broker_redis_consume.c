/* Exchanges: settle and reserve. */
#include "broker_redis.h"

#include "clock.h"
#include "codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_CHUNK_MAX = 32,        /* the script lets chunks grow while jobs are as small as expected */
    CHUNK_BYTES = 16 << 20,      /* guides the first chunk when no want_bytes does */
    KEPT_CMD_BYTES = 1024 * 1024 /* a larger buffer is given back once answered */
};

#define DELAY_MAX_MS (UINT64_C(1) << 52) /* a sorted set's scores are doubles */

static const char *const settle_names[] = {
    [MPQ_SETTLE_DONE] = "done",
    [MPQ_SETTLE_RETRY] = "retry",
    [MPQ_SETTLE_FAILED] = "failed",
    [MPQ_SETTLE_RETURN] = "return",
};

/* How many jobs to pop before their size is known. */
static uint64_t first_chunk(const mpq_redis_consumer *consumer, const mpq_exchange *exchange)
{
    uint64_t budget = exchange->want_bytes ? exchange->want_bytes : CHUNK_BYTES;
    if (consumer->average_bytes == 0)
        return 1;
    uint64_t fits = budget / consumer->average_bytes;
    return fits < 1 ? 1 : fits > FIRST_CHUNK_MAX ? FIRST_CHUNK_MAX : fits;
}

static size_t count_unstaged(const mpq_redis_consumer *consumer)
{
    size_t count = 0;
    mpq_reader reader = mpq_reader_of(mpq_buf_slice(&consumer->unstaged));
    for (; reader.left > 0; count++)
        mpq_reader_bytes(&reader, mpq_reader_u8(&reader));
    return count;
}

static void write_head(mpq_redis_consumer *consumer, const mpq_exchange *exchange, mpq_redis_cmd *cmd)
{
    static const char *const suffixes[] = {"ready", "delayed", "nodes", "failed", "stats"};
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_EXCHANGE, 8);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", consumer->owner);
    mpq_redis_cmd_key(cmd, consumer->keys, "stage:", consumer->stage);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        mpq_redis_cmd_key(cmd, consumer->keys, suffixes[i], NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", exchange->dead ? exchange->dead : consumer->owner);
    mpq_redis_cmd_bytes(cmd, consumer->token, consumer->token_len);
    mpq_redis_cmd_str(cmd, consumer->owner);
    mpq_redis_cmd_u64(cmd, consumer->lease_ms);
    mpq_redis_cmd_u64(cmd, exchange->want);
    mpq_redis_cmd_u64(cmd, exchange->want_bytes);
    mpq_redis_cmd_u64(cmd, first_chunk(consumer, exchange));
    mpq_redis_cmd_key(cmd, consumer->keys, "wake", NULL);
}

/* Claims come first: the job that a claim is for may be settled in the same exchange. */
static void write_staged(mpq_redis_consumer *consumer, mpq_redis_cmd *cmd)
{
    for (size_t at = 0; at < consumer->claims.len; at += MPQ_ID_BYTES)
        mpq_redis_cmd_bytes(cmd, consumer->claims.data + at, MPQ_ID_BYTES);
    mpq_reader reader = mpq_reader_of(mpq_buf_slice(&consumer->unstaged));
    while (reader.left > 0) {
        mpq_slice id = mpq_reader_bytes(&reader, mpq_reader_u8(&reader));
        mpq_redis_cmd_bytes(cmd, id.data, id.len);
    }
}

static void write_settles(const mpq_exchange *exchange, mpq_redis_cmd *cmd)
{
    for (size_t i = 0; i < exchange->settle_count; i++)
        if (exchange->settles[i].kind == MPQ_SETTLE_DONE)
            mpq_redis_cmd_bytes(cmd, exchange->settles[i].id.bytes, MPQ_ID_BYTES);
    for (size_t i = 0; i < exchange->settle_count; i++) {
        const mpq_settle *settle = &exchange->settles[i];
        bool delayed = settle->kind == MPQ_SETTLE_RETRY;
        bool rewritten = delayed || settle->kind == MPQ_SETTLE_FAILED;
        if (settle->kind == MPQ_SETTLE_DONE)
            continue;
        mpq_redis_cmd_str(cmd, settle_names[settle->kind]);
        mpq_redis_cmd_bytes(cmd, settle->id.bytes, MPQ_ID_BYTES);
        mpq_redis_cmd_u64(cmd, !delayed ? 0 : settle->delay_ms < DELAY_MAX_MS ? settle->delay_ms : DELAY_MAX_MS);
        mpq_redis_cmd_bytes(cmd, settle->envelope.data, rewritten ? settle->envelope.len : 0);
    }
}

static void write_exchange(mpq_redis_consumer *consumer, const mpq_exchange *exchange, mpq_redis_cmd *cmd)
{
    size_t done = 0;
    for (size_t i = 0; i < exchange->settle_count; i++)
        done += exchange->settles[i].kind == MPQ_SETTLE_DONE;
    write_head(consumer, exchange, cmd);
    mpq_redis_cmd_u64(cmd, consumer->claims.len / MPQ_ID_BYTES);
    mpq_redis_cmd_u64(cmd, count_unstaged(consumer));
    mpq_redis_cmd_u64(cmd, done);
    mpq_redis_cmd_u64(cmd, exchange->settle_count - done);
    write_staged(consumer, cmd);
    write_settles(exchange, cmd);
}

static int launch(mpq_redis *redis, const mpq_exchange *exchange, bool claim, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    size_t slot = (consumer->first_flight + consumer->flight_count) % MPQ_REDIS_FLIGHTS;
    mpq_redis_flight *flight = &consumer->flights[slot];
    write_exchange(consumer, exchange, &flight->cmd);
    flight->claim = claim;
    flight->sent_at_ms = mpq_clock_monotonic_ms();
    if (mpq_redis_conn_write(&consumer->work, "exchange", mpq_redis_cmd_end(&flight->cmd), mpq_redis_deadline(redis),
                             err) < 0)
        return -1;
    consumer->flight_count++;
    consumer->exchange_count += !claim;
    mpq_buf_clear(&consumer->claims);
    mpq_buf_clear(&consumer->unstaged);
    return 0;
}

int mpq_redis_send(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    if (exchange->settle_count > MPQ_EXCHANGE_MAX || exchange->want > MPQ_EXCHANGE_MAX)
        return mpq_error_set(err, MPQ_ERROR_STATE, "%s: an exchange of more than %d jobs", redis->where,
                             MPQ_EXCHANGE_MAX);
    if (redis->consumer.exchange_count == MPQ_REDIS_EXCHANGES)
        return mpq_error_set(err, MPQ_ERROR_STATE, "%s: %d exchanges are under way already", redis->where,
                             MPQ_REDIS_EXCHANGES);
    int rc = launch(redis, exchange, false, err);
    if (rc < 0)
        mpq_redis_consumer_drop(redis);
    return rc;
}

/* After SCRIPT FLUSH, a failover or a restart without persistence of scripts: the flights whose answer is NOSCRIPT did
 * nothing and are sent again. The rare case in which this file waits for the server. */
static int send_again(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    uint64_t deadline_ms = mpq_redis_deadline(redis);
    for (size_t i = 0; i < consumer->flight_count; i++) {
        mpq_redis_flight *flight = &consumer->flights[(consumer->first_flight + i) % MPQ_REDIS_FLIGHTS];
        if (!flight->reply && mpq_redis_conn_read(&consumer->work, "exchange", deadline_ms, &flight->reply, err) < 0)
            return -1;
    }
    if (mpq_redis_script_load(&consumer->work, MPQ_SCRIPT_EXCHANGE, deadline_ms, err) < 0)
        return -1;
    for (size_t i = 0; i < consumer->flight_count; i++) {
        mpq_redis_flight *flight = &consumer->flights[(consumer->first_flight + i) % MPQ_REDIS_FLIGHTS];
        if (!mpq_redis_is_error(flight->reply, "NOSCRIPT"))
            continue;
        freeReplyObject(flight->reply);
        flight->reply = NULL;
        flight->sent_at_ms = mpq_clock_monotonic_ms();
        if (mpq_redis_conn_write(&consumer->work, "exchange", mpq_redis_cmd_end(&flight->cmd), deadline_ms, err) < 0)
            return -1;
    }
    return 0;
}

static void learn_size(mpq_redis_consumer *consumer, const mpq_batch *batch)
{
    if (batch->count == 0)
        return;
    uint64_t average = batch->bytes.len / batch->count;
    consumer->average_bytes = consumer->average_bytes ? (3 * consumer->average_bytes + average) / 4 : average;
}

/* The scripts answer with whole envelopes only, and whoever gets them reads their ids. */
bool mpq_redis_take_envelopes(const redisReply *reply, size_t first, size_t max, mpq_batch *out)
{
    if (reply->elements - first > max)
        return false;
    for (size_t i = first; i < reply->elements; i++) {
        mpq_slice envelope = mpq_redis_slice(reply->element[i]);
        if (!mpq_codec_looks_like_envelope(envelope))
            return false;
        mpq_batch_append(out, envelope);
    }
    return true;
}

/* {refused, garbage, earliest due time, now, ready, envelopes...} */
static int accept_answer(mpq_redis *redis, const redisReply *reply, mpq_batch *out, int64_t *due_at_ms, mpq_error *err)
{
    enum { REFUSED, GARBAGE, DUE, NOW, READY, HEAD };
    mpq_redis_consumer *consumer = &redis->consumer;
    int64_t head[HEAD];
    if (reply->type == REDIS_REPLY_ERROR)
        return mpq_redis_refused(&consumer->work, "exchange", reply, err);
    if (mpq_redis_is_status(reply, "LOST")) {
        out->lost = true;
        return 0;
    }
    if (mpq_redis_is_status(reply, "STALE"))
        return mpq_redis_stale(redis, err);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < HEAD)
        return mpq_redis_unexpected(&consumer->work, "exchange", err);
    for (size_t i = 0; i < HEAD; i++) {
        head[i] = reply->element[i]->type == REDIS_REPLY_INTEGER ? reply->element[i]->integer : -1;
        if (head[i] < 0 && (i != DUE || head[i] < -1))
            return mpq_redis_unexpected(&consumer->work, "exchange", err);
    }
    if (!mpq_redis_take_envelopes(reply, HEAD, MPQ_EXCHANGE_MAX, out))
        return mpq_redis_unexpected(&consumer->work, "exchange", err);
    if (out->bytes.failed)
        return mpq_error_set_memory(err);
    out->refused = (size_t)head[REFUSED];
    out->garbage = (size_t)head[GARBAGE];
    out->ready = (uint64_t)head[READY];
    out->next_due_ms = head[DUE] < 0 ? -1 : head[DUE] > head[NOW] ? head[DUE] - head[NOW] : 0;
    *due_at_ms = head[DUE] > 0 ? head[DUE] : -1;
    return 0;
}

static void end_flight(mpq_redis_consumer *consumer)
{
    mpq_redis_flight *flight = &consumer->flights[consumer->first_flight];
    freeReplyObject(flight->reply);
    flight->reply = NULL;
    if (flight->cmd.buf.capacity > KEPT_CMD_BYTES)
        mpq_redis_cmd_fini(&flight->cmd);
    consumer->first_flight = (consumer->first_flight + 1) % MPQ_REDIS_FLIGHTS;
    consumer->flight_count--;
    consumer->exchange_count -= !flight->claim;
}

/* The answer of the oldest flight; 1 = not there yet. */
static int land(mpq_redis *redis, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_flight *flight = &consumer->flights[consumer->first_flight];
    int64_t due_at_ms = -1;
    int rc = flight->reply ? 0 : mpq_redis_conn_read(&consumer->work, "exchange", 0, &flight->reply, err);
    if (rc != 0)
        return rc;
    if (mpq_redis_is_error(flight->reply, "NOSCRIPT"))
        return send_again(redis, err) < 0 ? -1 : 1;
    if (accept_answer(redis, flight->reply, out, &due_at_ms, err) < 0)
        return -1;
    if (!out->lost && flight->sent_at_ms > consumer->renewed_at_ms)
        consumer->renewed_at_ms = flight->sent_at_ms;
    if (!flight->claim)
        consumer->known_due_at_ms = due_at_ms; /* what the caller knows now */
    learn_size(consumer, out);
    end_flight(consumer);
    return 0;
}

/* Answers of claims tell nothing new: a lost lease is reported to the next exchange. */
static int land_claims(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    while (consumer->flight_count > 0 && consumer->flights[consumer->first_flight].claim) {
        mpq_batch ignored;
        mpq_batch_init(&ignored);
        int rc = land(redis, &ignored, err);
        mpq_batch_fini(&ignored);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int mpq_redis_claim(mpq_redis *redis, mpq_error *err)
{
    static const mpq_exchange nothing;
    mpq_redis_consumer *consumer = &redis->consumer;
    if (consumer->claims.len == 0)
        return 0;
    if (land_claims(redis, err) < 0)
        return -1;
    if (consumer->flight_count - consumer->exchange_count == MPQ_REDIS_FLIGHTS - MPQ_REDIS_EXCHANGES)
        return 0; /* the next exchange takes them along */
    return launch(redis, &nothing, true, err);
}

static int receive(mpq_redis *redis, mpq_batch *out, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    int rc = land_claims(redis, err);
    if (rc == 0)
        rc = land(redis, out, err);
    if (rc == 0)
        rc = mpq_redis_put_delivered_first(redis, out, err);
    if (rc != 0)
        return rc;
    if (consumer->armed)
        return consumer->blocked ? 0 : mpq_redis_block(redis, err);
    return mpq_redis_read_news(redis, err);
}

/* A large answer may take its time as long as some of it keeps coming. */
static int check_silence(const mpq_redis *redis, mpq_error *err)
{
    const mpq_redis_consumer *consumer = &redis->consumer;
    uint64_t since_ms = consumer->flights[consumer->first_flight].sent_at_ms;
    if (consumer->work.heard_at_ms > since_ms)
        since_ms = consumer->work.heard_at_ms;
    if (mpq_clock_monotonic_ms() - since_ms <= redis->config.read_timeout_ms)
        return 1;
    return mpq_error_set(err, MPQ_ERROR_TIMEOUT, "%s: exchange: the server did not answer in time", redis->where);
}

int mpq_redis_receive(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    mpq_batch_clear(out);
    if (mpq_redis_consumer_check(redis, err) < 0)
        return -1;
    if (redis->consumer.exchange_count == 0)
        return 1;
    int rc = receive(redis, out, err);
    if (rc > 0)
        rc = check_silence(redis, err);
    if (rc < 0) {
        mpq_batch_clear(out);
        mpq_redis_consumer_drop(redis);
    }
    return rc;
}

int mpq_redis_fd(mpq_broker *broker)
{
    return mpq_redis_conn_fd(&((mpq_redis *)broker)->consumer.work);
}
