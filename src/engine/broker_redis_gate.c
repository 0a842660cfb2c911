/*
 * Gates: how a producer that keeps pushing does so without a script.
 *
 * A *gate* is a list that push.lua has opened for the producer, whose name is in its record. A job passes it so:
 *
 *   MULTI
 *   RPUSHX <gate> <sequence> <envelope>      nothing, if there is no such gate
 *   LMOVE <gate> <ready> RIGHT RIGHT         nothing, if there is no such gate
 *   EXEC
 *
 * Of many jobs the first one passes like that, and in the same transaction the others follow it:
 *
 *   RPUSHX <ready> <envelope>...
 *   HINCRBY <stats> pushed <their number>
 *
 * These would do something without the gate or outside a transaction, too. So they are sent only when the server has
 * answered that the gate is watched, that it is there as we left it, and that the transaction has begun:
 *
 *   WATCH <gate>
 *   LLEN <gate>
 *   MULTI
 *
 * If the gate is removed from then on, the server drops the transaction.
 *
 * So the gate is a list of the sequences accepted since, and the last one in it is known to be in the queue if no
 * envelope follows it (one is left behind if the queue's key is no list).
 *
 * When an answer is missing, the bytes of the request may still be on their way, in the socket of a connection that was
 * given up. What follows to that queue goes to the script, on whatever connection: in one step it learns from the gate
 * whether the request was carried out and removes the gate. From then on those bytes find no gate and do nothing. That
 * needs every gate to be another one, so its name is random, and no two requests ask for the same.
 *
 * A gate and the record that names it live and end together: as long as the gate is there, its record does not expire.
 * Both are renewed by going to the script again, at the latest when so many sequences are in the gate, or so much time
 * has passed, that it matters; and removed by the script of another producer once they are too old to be of use.
 *
 * LMOVE alone would move a sequence into the queue. So a connection has to prove that it obeys MULTI and EXEC first.
 */
#include "broker_redis.h"

#include "clock.h"
#include "crashpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    GATE_PUSHES_MAX = 64,
    PUSHES_BEFORE_GATE = 2,       /* who pushes one job in a while needs none */
    ENVELOPE_MIN_BYTES = 21,      /* shorter, push.lua would take it for a sequence */
    ENVELOPE_MAX_BYTES = 4 << 10, /* the first one comes back in the answer; so much for each job of the push */
    MANY_JOBS = 128,              /* from here on the script costs more than the round trip for WATCH */
    SEQUENCE_ARG_BYTES = 27,      /* "$20", the digits, and the ends of both lines */
    AT_ONCE_MS = 100,             /* what fails faster was dead before */
    TRUSTED_FOR_MS = 1000         /* a connection that has answered so lately is not looked at before */
};

#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"
static const char multi[] = MULTI, exec[] = EXEC;

/* -- gates ---------------------------------------------------------------------------------------------------- */

static void drop_gate(mpq_redis_gate *gate)
{
    free(gate->queue);
    free(gate->keys);
    mpq_buf_fini(&gate->key);
    mpq_buf_fini(&gate->head);
    mpq_buf_fini(&gate->tail);
    mpq_buf_fini(&gate->answer);
    memset(gate, 0, sizeof *gate);
}

void mpq_redis_gates_fini(mpq_redis *redis)
{
    for (size_t i = 0; i < MPQ_REDIS_GATES; i++)
        drop_gate(&redis->gates[i]);
}

void mpq_redis_gate_close(mpq_redis_gate *gate)
{
    gate->open = false;
    gate->pushes = 0;
}

mpq_redis_gate *mpq_redis_gate_for(mpq_redis *redis, const mpq_push *push)
{
    for (size_t i = 0; i < MPQ_REDIS_GATES; i++) {
        mpq_redis_gate *gate = &redis->gates[i];
        if (gate->queue && gate->producer == push->producer && strcmp(gate->queue, push->queue) == 0)
            return gate;
    }
    mpq_redis_gate *gate = &redis->gates[redis->next_gate];
    redis->next_gate = (redis->next_gate + 1) % MPQ_REDIS_GATES;
    drop_gate(gate);
    gate->queue = strdup(push->queue);
    gate->keys = mpq_redis_keys(redis, push->queue);
    gate->producer = push->producer;
    if (gate->queue && gate->keys)
        return gate;
    drop_gate(gate);
    return NULL;
}

static bool fits_gate(const mpq_redis *redis, const mpq_push *push)
{
    size_t len = push->items[0].envelope.len;
    bool one = push->count == 1, many = push->count >= MANY_JOBS && !redis->many_refused;
    if (redis->gates_refused || (!one && !many))
        return false;
    for (size_t i = 0; i < push->count; i++)
        if (push->items[i].delay_ms != 0)
            return false;
    return len >= ENVELOPE_MIN_BYTES && len <= ENVELOPE_MAX_BYTES * push->count;
}

bool mpq_redis_gate_may_pass(const mpq_redis *redis, const mpq_redis_gate *gate, const mpq_push *push)
{
    return gate->open && gate->pushes < GATE_PUSHES_MAX && push->sequence > gate->sequence && fits_gate(redis, push) &&
           mpq_clock_monotonic_ms() - gate->opened_at_ms < (uint64_t)MPQ_REDIS_GATE_AGE_MAX_S * 1000;
}

static uint64_t next_name(mpq_redis *redis)
{
    uint64_t *name = &redis->gate_name;
    if (*name == 0 && getrandom(name, sizeof *name, GRND_NONBLOCK) != (ssize_t)sizeof *name)
        *name = 0;
    return *name == 0 ? 0 : (*name)++;
}

void mpq_redis_gate_name(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push)
{
    bool wanted = fits_gate(redis, push) && (gate->open || gate->pushes >= PUSHES_BEFORE_GATE);
    uint64_t name = wanted ? next_name(redis) : 0;
    gate->name[0] = '\0';
    if (name != 0)
        snprintf(gate->name, sizeof gate->name, "%016" PRIx64, name);
    mpq_buf_clear(&gate->key);
    mpq_buf_printf(&gate->key, "%sseq:%016" PRIx64 ":%s", gate->keys, gate->producer, gate->name);
}

static void append_cmd(mpq_buf *out, mpq_redis_cmd *cmd)
{
    mpq_buf_append_slice(out, mpq_redis_cmd_end(cmd));
    out->failed = out->failed || cmd->buf.failed;
}

/* What is the same in all requests. */
static void prepare_gate(mpq_redis *redis, mpq_redis_gate *gate)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    mpq_buf_clear(&gate->head);
    mpq_buf_clear(&gate->tail);
    mpq_buf_append(&gate->head, multi, sizeof multi - 1);
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "RPUSHX");
    mpq_redis_cmd_bytes(cmd, gate->key.data, gate->key.len);
    cmd->count += 2; /* sequence and envelope */
    append_cmd(&gate->head, cmd);
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "LMOVE");
    mpq_redis_cmd_bytes(cmd, gate->key.data, gate->key.len);
    mpq_redis_cmd_key(cmd, gate->keys, "ready", NULL);
    mpq_redis_cmd_str(cmd, "RIGHT");
    mpq_redis_cmd_str(cmd, "RIGHT");
    append_cmd(&gate->tail, cmd);
}

void mpq_redis_gate_open(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t asked_at_ms)
{
    prepare_gate(redis, gate);
    gate->open = !gate->head.failed && !gate->tail.failed;
    gate->opened_at_ms = asked_at_ms;
    gate->sequence = push->sequence;
    gate->pushes = 0;
}

/* -- through a gate ------------------------------------------------------------------------------------------- */

const char *mpq_redis_write_sequence(uint64_t sequence, char out[MPQ_REDIS_SEQUENCE_DIGITS])
{
    for (size_t i = MPQ_REDIS_SEQUENCE_DIGITS; i-- > 0; sequence /= 10)
        out[i] = (char)('0' + sequence % 10);
    return out;
}

static void append_number(mpq_buf *out, uint32_t number)
{
    char text[12], *at = text + sizeof text;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    mpq_buf_append(out, at, (size_t)(text + sizeof text - at));
}

/* All but the first. The command, not RPUSH: who may not use it is stopped at the gate. */
static void write_followers(mpq_redis_cmd *cmd, const mpq_redis_gate *gate, const mpq_push *push)
{
    mpq_redis_cmd_then(cmd, push->count + 1);
    mpq_redis_cmd_str(cmd, "RPUSHX");
    mpq_redis_cmd_key(cmd, gate->keys, "ready", NULL);
    for (size_t i = 1; i < push->count; i++)
        mpq_redis_cmd_bytes(cmd, push->items[i].envelope.data, push->items[i].envelope.len);
    mpq_redis_cmd_then(cmd, 4);
    mpq_redis_cmd_str(cmd, "HINCRBY");
    mpq_redis_cmd_key(cmd, gate->keys, "stats", NULL);
    mpq_redis_cmd_str(cmd, "pushed");
    mpq_redis_cmd_u64(cmd, push->count - 1); /* the gate counts the first */
}

static void write_request(mpq_redis *redis, const mpq_redis_gate *gate, const mpq_push *push)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    char text[MPQ_REDIS_SEQUENCE_DIGITS];
    mpq_slice envelope = push->items[0].envelope;
    mpq_buf_clear(&cmd->buf);
    size_t begun = push->count > 1 ? sizeof multi - 1 : 0; /* MULTI is answered already */
    mpq_buf_append(&cmd->buf, gate->head.data + begun, gate->head.len - begun);
    mpq_redis_cmd_bytes(cmd, mpq_redis_write_sequence(push->sequence, text), MPQ_REDIS_SEQUENCE_DIGITS);
    mpq_redis_cmd_bytes(cmd, envelope.data, envelope.len);
    mpq_buf_append_slice(&cmd->buf, mpq_buf_slice(&gate->tail));
    if (push->count > 1)
        write_followers(cmd, gate, push);
    mpq_buf_append(&cmd->buf, exec, sizeof exec - 1);
}

enum answer { MOVED, UNDECIDED, REFUSED, SENSELESS };

/* [length of the gate, the job moved], of many also [length of the queue, number of jobs ever pushed]; none of it if
 * the gate was removed after WATCH. The second tells when there was no gate. */
static enum answer judge_outcome(const redisReply *reply, const mpq_push *push)
{
    mpq_slice envelope = push->items[0].envelope;
    if (reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_NIL)
        return UNDECIDED;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != (push->count > 1 ? 4 : 2))
        return SENSELESS;
    mpq_slice moved = mpq_redis_slice(reply->element[1]);
    if (moved.len != envelope.len || memcmp(moved.data, envelope.data, moved.len) != 0)
        return UNDECIDED;
    if (push->count == 1)
        return MOVED;
    const redisReply *length = reply->element[2];
    return length->type == REDIS_REPLY_INTEGER && length->integer >= (long long)push->count ? MOVED : SENSELESS;
}

static enum answer judge_error(const redisReply *reply)
{
    return mpq_redis_is_error(reply, "NOPERM") || mpq_redis_is_error(reply, "ERR") ? REFUSED : UNDECIDED;
}

/* Of a command that is not carried out at once. What forbids one of them forbids it next time, too. */
static enum answer judge(const redisReply *reply, const char *usual)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return judge_error(reply);
    return mpq_redis_is_status(reply, usual) ? MOVED : SENSELESS;
}

/* All answers are read, whatever they are. -1: no connection any more. */
static int read_answers(mpq_redis *redis, const mpq_push *push, uint64_t deadline_ms, enum answer *out, mpq_error *err)
{
    size_t first = push->count > 1 ? 1 : 0, last = push->count > 1 ? 5 : 3;
    *out = MOVED;
    for (size_t i = first; i <= last; i++) {
        redisReply *reply;
        if (mpq_redis_conn_read(&redis->calls, "push", deadline_ms, &reply, err) < 0)
            return -1;
        if (*out == MOVED) /* behind a refusal nothing is certain */
            *out = i == last ? judge_outcome(reply, push) : judge(reply, i == 0 ? "OK" : "QUEUED");
        freeReplyObject(reply);
    }
    return 0;
}

/* The usual answer. The envelope is in it as it is in the request: "$<length>", and the bytes. */
static mpq_slice usual_answer(mpq_redis_gate *gate, mpq_slice request)
{
    static const char head[] = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:";
    size_t start = gate->head.len + SEQUENCE_ARG_BYTES;
    mpq_buf *out = &gate->answer;
    mpq_buf_clear(out);
    mpq_buf_append(out, head, sizeof head - 1);
    append_number(out, gate->pushes + 3); /* with the first sequence, this one and the envelope */
    mpq_buf_append(out, "\r\n", 2);
    mpq_buf_append(out, request.data + start, request.len - start - gate->tail.len - (sizeof exec - 1));
    return mpq_buf_slice(out);
}

/* An empty transaction. */
static int try_transaction(mpq_redis *redis, uint64_t deadline_ms, enum answer *out, mpq_error *err)
{
    static const char request[] = MULTI EXEC;
    mpq_redis_conn *conn = &redis->calls;
    redisReply *replies[2] = {NULL, NULL};
    int rc = mpq_redis_conn_write(conn, "push", mpq_slice_of(request, sizeof request - 1), deadline_ms, err);
    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = mpq_redis_conn_read(conn, "push", deadline_ms, &replies[i], err);
    if (rc == 0) {
        bool begun = mpq_redis_is_status(replies[0], "OK");
        conn->transacts = begun && replies[1]->type == REDIS_REPLY_ARRAY && replies[1]->elements == 0;
        *out = conn->transacts ? MOVED : judge(replies[begun ? 1 : 0], "OK");
        if (*out == MOVED && !conn->transacts)
            *out = SENSELESS;
        if (begun && !conn->transacts) /* perhaps it has not ended */
            mpq_redis_conn_close(conn);
    }
    for (size_t i = 0; i < 2; i++)
        if (replies[i])
            freeReplyObject(replies[i]);
    return rc;
}

static int ask_watch(mpq_redis *redis, const mpq_redis_gate *gate, uint64_t deadline_ms, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "WATCH");
    mpq_redis_cmd_bytes(cmd, gate->key.data, gate->key.len);
    mpq_redis_cmd_then(cmd, 2);
    mpq_redis_cmd_str(cmd, "LLEN");
    mpq_redis_cmd_bytes(cmd, gate->key.data, gate->key.len);
    mpq_redis_cmd_then(cmd, 1);
    mpq_redis_cmd_str(cmd, "MULTI");
    return mpq_redis_conn_write(&redis->calls, "push", mpq_redis_cmd_end(cmd), deadline_ms, err);
}

/* To LLEN. The gate has its first sequence and one more for each push. */
static enum answer judge_length(const redisReply *reply, const mpq_redis_gate *gate)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return judge_error(reply);
    if (reply->type != REDIS_REPLY_INTEGER)
        return SENSELESS;
    return reply->integer == (long long)gate->pushes + 1 ? MOVED : UNDECIDED;
}

/* MOVED: the gate is there, and if it is removed from now on, we are told. Else the connection is closed: it watches,
 * and a transaction may have begun. */
static int read_watch(mpq_redis *redis, const mpq_redis_gate *gate, uint64_t deadline_ms, enum answer *out,
                      mpq_error *err)
{
    enum { LENGTH = 1, ANSWERS = 3 };
    *out = MOVED;
    for (size_t i = 0; i < ANSWERS; i++) {
        redisReply *reply;
        if (mpq_redis_conn_read(&redis->calls, "push", deadline_ms, &reply, err) < 0)
            return -1;
        if (*out == MOVED)
            *out = i == LENGTH ? judge_length(reply, gate) : judge(reply, "OK");
        freeReplyObject(reply);
    }
    if (*out != MOVED)
        mpq_redis_conn_close(&redis->calls);
    return 0;
}

/* 0 with an answer of MOVED: redis->cmd is the request to be sent. */
static int prepare_request(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t deadline_ms,
                           enum answer *answer, mpq_error *err)
{
    *answer = MOVED;
    if (!redis->calls.transacts && try_transaction(redis, deadline_ms, answer, err) < 0)
        return -1;
    if (*answer != MOVED)
        return 0;
    if (push->count > 1 && ask_watch(redis, gate, deadline_ms, err) < 0)
        return -1;
    write_request(redis, gate, push); /* while the server answers */
    if (push->count == 1)
        return 0;
    int rc = read_watch(redis, gate, deadline_ms, answer, err);
    MPQ_CRASH_POINT("store.push.watched");
    return rc;
}

static int send_request(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t deadline_ms,
                        enum answer *answer, mpq_error *err)
{
    mpq_slice request = mpq_buf_slice(&redis->cmd.buf);
    if (redis->cmd.buf.failed) {
        mpq_redis_conn_close(&redis->calls); /* of many jobs, the transaction has begun */
        return mpq_error_set_memory(err);
    }
    if (mpq_redis_conn_write(&redis->calls, "push", request, deadline_ms, err) < 0)
        return -1;
    MPQ_CRASH_POINT("store.push.sent");
    if (push->count > 1)
        return read_answers(redis, push, deadline_ms, answer, err);
    int rc = mpq_redis_conn_expect(&redis->calls, "push", deadline_ms, usual_answer(gate, request), err);
    return rc > 0 ? read_answers(redis, push, deadline_ms, answer, err) : rc;
}

static int send_through(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t deadline_ms,
                        enum answer *answer, mpq_error *err)
{
    int rc = prepare_request(redis, gate, push, deadline_ms, answer, err);
    if (rc == 0 && *answer == MOVED)
        rc = send_request(redis, gate, push, deadline_ms, answer, err);
    return rc == 0 && *answer == SENSELESS ? mpq_redis_unexpected(&redis->calls, "push", err) : rc;
}

int mpq_redis_gate_pass(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t *deadline_ms,
                        mpq_error *err)
{
    enum answer answer;
    mpq_error why;
    uint64_t now_ms = mpq_clock_monotonic_ms();
    bool trusted = redis->calls.context && now_ms - redis->calls.heard_at_ms < TRUSTED_FOR_MS;
    if (!trusted && mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
        return -1;
    gate->open = false; /* until the answer is there */
    *deadline_ms = mpq_redis_deadline(redis);
    if (send_through(redis, gate, push, *deadline_ms, &answer, &why) < 0) {
        gate->pushes = 0;
        if (why.kind == MPQ_ERROR_CONNECT && trusted && mpq_clock_monotonic_ms() - now_ms < AT_ONCE_MS) {
            *deadline_ms = 0;
            return 1;
        }
        if (err)
            *err = why;
        return -1;
    }
    if (answer == REFUSED)
        *(push->count > 1 ? &redis->many_refused : &redis->gates_refused) = true;
    gate->open = answer == MOVED;
    gate->pushes++;
    gate->sequence = push->sequence;
    return answer == MOVED ? 0 : 1;
}
