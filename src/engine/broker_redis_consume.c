/* Exchanges: settle and reserve. */
#include "broker_redis.h"

#include "clock.h"
#include "codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_CMD_BYTES = 1024 * 1024 /* a larger buffer is given back once answered */ };

#define DELAY_MAX_MS (UINT64_C(1) << 52) /* a sorted set's scores are doubles */

static const char *const settle_names[] = {
    [MPQ_SETTLE_DONE] = "done",
    [MPQ_SETTLE_RETRY] = "retry",
    [MPQ_SETTLE_FAILED] = "failed",
    [MPQ_SETTLE_RETURN] = "return",
};

static size_t count_unstaged(const mpq_redis_consumer *consumer)
{
    size_t count = 0;
    mpq_reader reader = mpq_reader_of(mpq_buf_slice(&consumer->unstaged));
    for (; reader.left > 0; count++)
        mpq_reader_bytes(&reader, mpq_reader_u8(&reader));
    return count;
}

void mpq_redis_exchange_begin(mpq_redis *redis, mpq_redis_cmd *cmd, const char *settled, const mpq_exchange *exchange)
{
    static const char *const suffixes[] = {"ready", "delayed", "nodes", "failed", "stats"};
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_script_begin(cmd, MPQ_SCRIPT_EXCHANGE, 8);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", consumer->owner);
    mpq_redis_cmd_key(cmd, consumer->keys, "stage:", consumer->stage);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        mpq_redis_cmd_key(cmd, consumer->keys, suffixes[i], NULL);
    mpq_redis_cmd_key(cmd, consumer->keys, "run:", settled);
    mpq_redis_cmd_bytes(cmd, consumer->token, consumer->token_len);
    mpq_redis_cmd_str(cmd, consumer->owner);
    mpq_redis_cmd_str(cmd, settled);
    mpq_redis_cmd_str(cmd, consumer->keys);
    mpq_redis_cmd_u64(cmd, consumer->lease_ms);
    mpq_redis_cmd_u64(cmd, exchange ? exchange->want : 0);
    mpq_redis_cmd_u64(cmd, exchange ? exchange->want_bytes : 0);
    mpq_redis_cmd_u64(cmd, consumer->average_bytes);
    mpq_redis_cmd_u64(cmd, exchange ? consumer->next_chunk : 0);
}

void mpq_redis_exchange_counts(mpq_redis_cmd *cmd, size_t claims, size_t unstaged, const mpq_redis_plan *plan)
{
    mpq_redis_cmd_u64(cmd, claims);
    mpq_redis_cmd_u64(cmd, unstaged);
    mpq_redis_cmd_u64(cmd, plan->single_count);
    mpq_redis_cmd_u64(cmd, plan->split_count);
    mpq_redis_cmd_u64(cmd, plan->trim_count);
}

void mpq_redis_cmd_single(mpq_redis_cmd *cmd, const char *kind, uint64_t chunk, uint32_t place, mpq_slice id,
                          uint64_t delay_ms, mpq_slice envelope)
{
    mpq_redis_cmd_str(cmd, kind);
    mpq_redis_cmd_u64(cmd, chunk);
    mpq_redis_cmd_u64(cmd, place);
    mpq_redis_cmd_bytes(cmd, id.data, id.len);
    mpq_redis_cmd_u64(cmd, delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS);
    mpq_redis_cmd_bytes(cmd, envelope.data, envelope.len);
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

static void write_single(mpq_redis_cmd *cmd, const mpq_redis_single *single)
{
    enum mpq_settle_kind kind = single->settle ? single->settle->kind : MPQ_SETTLE_DONE;
    bool rewritten = kind == MPQ_SETTLE_RETRY || kind == MPQ_SETTLE_FAILED;
    mpq_redis_cmd_single(cmd, settle_names[kind], single->chunk, single->place,
                         mpq_slice_of((const char *)single->id->bytes, MPQ_ID_BYTES),
                         kind == MPQ_SETTLE_RETRY ? single->settle->delay_ms : 0,
                         rewritten ? single->settle->envelope : mpq_slice_of("", 0));
}

static void write_plan(mpq_redis_cmd *cmd, const mpq_redis_plan *plan)
{
    for (size_t i = 0; i < plan->single_count; i++)
        write_single(cmd, &plan->singles[i]);
    for (size_t i = 0; i < plan->split_count; i++) {
        mpq_redis_cmd_u64(cmd, plan->splits[i].chunk);
        mpq_redis_cmd_u64(cmd, plan->splits[i].place);
        mpq_redis_cmd_u64(cmd, plan->splits[i].places);
        mpq_redis_cmd_u64(cmd, plan->splits[i].left);
    }
    for (size_t i = 0; i < plan->trim_count; i++) {
        mpq_redis_cmd_u64(cmd, plan->trims[i].chunk);
        mpq_redis_cmd_u64(cmd, plan->trims[i].places);
        mpq_redis_cmd_u64(cmd, plan->trims[i].done);
    }
}

/* Each is a chunk of its own. */
static int hold_claims(mpq_redis_consumer *consumer, uint64_t *next_chunk, mpq_error *err)
{
    for (size_t at = 0; at < consumer->claims.len; at += MPQ_ID_BYTES) {
        mpq_redis_chunk *chunk = mpq_redis_hold_add(&consumer->hold, (*next_chunk)++, 1);
        mpq_id id;
        if (!chunk)
            return mpq_error_set_memory(err);
        memcpy(id.bytes, consumer->claims.data + at, MPQ_ID_BYTES);
        mpq_redis_chunk_put(chunk, 0, &id);
    }
    return 0;
}

/* What adopt did not list last, or for somebody else, can't be found. */
static mpq_redis_hold *hold_of(mpq_redis_consumer *consumer, const char *dead)
{
    if (!dead)
        return &consumer->hold;
    if (strcmp(dead, consumer->listed_of) != 0)
        mpq_redis_hold_clear(&consumer->listed);
    return &consumer->listed;
}

/* The numbers of new chunks: first the claims', then the splits', then that of what is reserved. */
static int write_exchange(mpq_redis *redis, const mpq_exchange *exchange, mpq_redis_flight *flight, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_hold *hold = hold_of(consumer, exchange->dead);
    mpq_redis_cmd *cmd = &flight->cmd;
    uint64_t next_chunk = consumer->next_chunk;
    mpq_redis_plan plan;
    if (hold_claims(consumer, &next_chunk, err) < 0)
        return -1;
    mpq_redis_hold_plan(hold, exchange, exchange->dead ? NULL : &next_chunk, &plan);
    mpq_redis_exchange_begin(redis, cmd, exchange->dead ? exchange->dead : consumer->owner, exchange);
    mpq_redis_exchange_counts(cmd, consumer->claims.len / MPQ_ID_BYTES, count_unstaged(consumer), &plan);
    write_staged(consumer, cmd);
    write_plan(cmd, &plan);
    mpq_redis_hold_tidy(hold);
    flight->refused = plan.refused;
    flight->chunk = exchange->want ? next_chunk : 0;
    consumer->next_chunk = next_chunk + 1;
    if (!flight->chunk)
        return 0;
    mpq_redis_cmd_then(cmd, 4);
    mpq_redis_cmd_str(cmd, "LRANGE");
    mpq_redis_cmd_chunk(cmd, redis, consumer->owner, flight->chunk);
    mpq_redis_cmd_str(cmd, "0");
    mpq_redis_cmd_str(cmd, "-1");
    return 0;
}

static int launch(mpq_redis *redis, const mpq_exchange *exchange, bool claim, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    size_t slot = (consumer->first_flight + consumer->flight_count) % MPQ_REDIS_FLIGHTS;
    mpq_redis_flight *flight = &consumer->flights[slot];
    if (write_exchange(redis, exchange, flight, err) < 0)
        return -1;
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

static void free_replies(mpq_redis_flight *flight)
{
    if (flight->reply)
        freeReplyObject(flight->reply);
    if (flight->jobs)
        freeReplyObject(flight->jobs);
    flight->reply = flight->jobs = NULL;
}

/* Both answers of a flight; 1 = not there yet. */
static int read_replies(mpq_redis_consumer *consumer, mpq_redis_flight *flight, uint64_t deadline_ms, mpq_error *err)
{
    int rc = flight->reply ? 0 : mpq_redis_conn_read(&consumer->work, "exchange", deadline_ms, &flight->reply, err);
    if (rc == 0 && flight->chunk && !flight->jobs)
        rc = mpq_redis_conn_read(&consumer->work, "exchange", deadline_ms, &flight->jobs, err);
    return rc;
}

static bool did_nothing(const redisReply *reply)
{
    return mpq_redis_is_error(reply, "NOSCRIPT") || mpq_redis_is_status(reply, "SKIPPED");
}

/* After SCRIPT FLUSH, a failover or a restart without persistence of scripts: the flights whose answer is NOSCRIPT did
 * nothing, nor did those behind them, and are sent again. The rare case in which this file waits for the server. */
static int send_again(mpq_redis *redis, mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    uint64_t deadline_ms = mpq_redis_deadline(redis);
    for (size_t i = 0; i < consumer->flight_count; i++)
        if (read_replies(consumer, &consumer->flights[(consumer->first_flight + i) % MPQ_REDIS_FLIGHTS], deadline_ms,
                         err) < 0)
            return -1;
    if (mpq_redis_script_load(&consumer->work, MPQ_SCRIPT_EXCHANGE, deadline_ms, err) < 0)
        return -1;
    for (size_t i = 0; i < consumer->flight_count; i++) {
        mpq_redis_flight *flight = &consumer->flights[(consumer->first_flight + i) % MPQ_REDIS_FLIGHTS];
        if (!did_nothing(flight->reply))
            continue;
        free_replies(flight);
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

/* A chunk that is shorter than it was when it was reserved isn't ours any more: the queue was emptied, or our lease was
 * taken, as the next exchange will tell. */
static int accept_jobs(mpq_redis *redis, const mpq_redis_flight *flight, size_t reserved, mpq_batch *out,
                       mpq_error *err)
{
    mpq_redis_consumer *consumer = &redis->consumer;
    mpq_redis_taken taken = {.hold = &consumer->hold, .out = out, .room = MPQ_EXCHANGE_MAX, .fresh = true};
    if (flight->jobs->type != REDIS_REPLY_ARRAY || reserved > MPQ_EXCHANGE_MAX)
        return mpq_redis_unexpected(&consumer->work, "exchange", err);
    if (reserved == 0 || flight->jobs->elements != reserved)
        return 0;
    if (mpq_redis_hold_take(redis, &redis->calls, consumer->owner, flight->chunk, flight->jobs, &taken, err) < 0)
        return -1;
    out->garbage = taken.garbage;
    if (taken.lost) {
        mpq_batch_clear(out);
        out->lost = true;
    }
    return out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

/* {refused, earliest due time, now, ready, reserved, and perhaps 1: a job was delivered before} */
static int accept_answer(mpq_redis *redis, const mpq_redis_flight *flight, mpq_batch *out, int64_t *due_at_us,
                         mpq_error *err)
{
    enum { REFUSED, DUE, NOW, READY, RESERVED, HEAD };
    mpq_redis_consumer *consumer = &redis->consumer;
    const redisReply *reply = flight->reply;
    int64_t head[HEAD];
    if (reply->type == REDIS_REPLY_ERROR)
        return mpq_redis_refused(&consumer->work, "exchange", reply, err);
    if (mpq_redis_is_status(reply, "LOST")) {
        out->lost = true;
        return 0;
    }
    if (mpq_redis_is_status(reply, "STALE"))
        return mpq_redis_stale(redis, err);
    if (mpq_redis_is_status(reply, "SKIPPED"))
        return mpq_error_set(err, MPQ_ERROR_CONNECT, "%s: exchange: the server refused the one before", redis->where);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < HEAD || reply->elements > HEAD + 1)
        return mpq_redis_unexpected(&consumer->work, "exchange", err);
    for (size_t i = 0; i < HEAD; i++) {
        head[i] = reply->element[i]->type == REDIS_REPLY_INTEGER ? reply->element[i]->integer : -1;
        if (head[i] < 0 && (i != DUE || head[i] < -1))
            return mpq_redis_unexpected(&consumer->work, "exchange", err);
    }
    out->refused = (size_t)head[REFUSED] + flight->refused;
    out->ready = (uint64_t)head[READY];
    out->next_due_us = head[DUE] < 0 ? -1 : head[DUE] > head[NOW] ? head[DUE] - head[NOW] : 0;
    *due_at_us = head[DUE] > 0 ? head[DUE] : -1;
    consumer->delivered_before = reply->elements > HEAD;
    if (consumer->delivered_before &&
        (reply->element[HEAD]->type != REDIS_REPLY_INTEGER || reply->element[HEAD]->integer != 1))
        return mpq_redis_unexpected(&consumer->work, "exchange", err);
    return flight->chunk ? accept_jobs(redis, flight, (size_t)head[RESERVED], out, err) : 0;
}

static void end_flight(mpq_redis_consumer *consumer)
{
    mpq_redis_flight *flight = &consumer->flights[consumer->first_flight];
    free_replies(flight);
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
    int64_t due_at_us = -1;
    int rc = read_replies(consumer, flight, 0, err);
    if (rc != 0)
        return rc;
    if (mpq_redis_is_error(flight->reply, "NOSCRIPT"))
        return send_again(redis, err) < 0 ? -1 : 1;
    if (accept_answer(redis, flight, out, &due_at_us, err) < 0)
        return -1;
    if (!out->lost && flight->sent_at_ms > consumer->renewed_at_ms)
        consumer->renewed_at_ms = flight->sent_at_ms;
    if (!flight->claim)
        consumer->known_due_at_us = due_at_us; /* what the caller knows now */
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
    if (rc == 0 && consumer->delivered_before && !out->lost)
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
