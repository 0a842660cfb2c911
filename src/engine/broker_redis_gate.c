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
    ENVELOPE_MAX_BYTES = 4 << 10, /* it comes back in the answer */
    SEQUENCE_ARG_BYTES = 27,      /* "$20", the digits, and the ends of both lines */
    AT_ONCE_MS = 100,             /* what fails faster was dead before */
    TRUSTED_FOR_MS = 1000         /* a connection that has answered so lately is not looked at before */
};

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

static bool fits_gate(const mpq_push *push)
{
    const mpq_push_item *item = &push->items[0];
    return push->count == 1 && item->delay_ms == 0 && item->envelope.len >= ENVELOPE_MIN_BYTES &&
           item->envelope.len <= ENVELOPE_MAX_BYTES;
}

bool mpq_redis_gate_may_pass(const mpq_redis_gate *gate, const mpq_push *push)
{
    return gate->open && gate->pushes < GATE_PUSHES_MAX && push->sequence > gate->sequence && fits_gate(push) &&
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
    bool wanted = !redis->gates_refused && fits_gate(push) && (gate->open || gate->pushes >= PUSHES_BEFORE_GATE);
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
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "MULTI");
    append_cmd(&gate->head, cmd);
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
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "EXEC");
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

static void write_request(mpq_redis *redis, const mpq_redis_gate *gate, const mpq_push *push)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    char text[MPQ_REDIS_SEQUENCE_DIGITS];
    mpq_slice envelope = push->items[0].envelope;
    mpq_buf_clear(&cmd->buf);
    mpq_buf_append_slice(&cmd->buf, mpq_buf_slice(&gate->head));
    mpq_redis_cmd_bytes(cmd, mpq_redis_write_sequence(push->sequence, text), MPQ_REDIS_SEQUENCE_DIGITS);
    mpq_redis_cmd_bytes(cmd, envelope.data, envelope.len);
    mpq_buf_append_slice(&cmd->buf, mpq_buf_slice(&gate->tail));
}

enum answer { MOVED, UNDECIDED, REFUSED, SENSELESS };

/* [length of the gate, the job moved]; both tell when there was no gate. */
static enum answer judge_outcome(const redisReply *reply, mpq_slice envelope)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return UNDECIDED;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return SENSELESS;
    mpq_slice moved = mpq_redis_slice(reply->element[1]);
    bool same = moved.len == envelope.len && memcmp(moved.data, envelope.data, moved.len) == 0;
    return same ? MOVED : UNDECIDED;
}

/* Of the four commands. What forbids one of them forbids it next time, too. */
static enum answer judge(const redisReply *reply, size_t which, mpq_slice envelope)
{
    if (which == 3)
        return judge_outcome(reply, envelope);
    if (reply->type == REDIS_REPLY_ERROR)
        return mpq_redis_is_error(reply, "NOPERM") || mpq_redis_is_error(reply, "ERR") ? REFUSED : UNDECIDED;
    return mpq_redis_is_status(reply, which == 0 ? "OK" : "QUEUED") ? MOVED : SENSELESS;
}

/* All four answers are read, whatever they are. -1: no connection any more. */
static int read_answers(mpq_redis *redis, mpq_slice envelope, uint64_t deadline_ms, enum answer *out, mpq_error *err)
{
    *out = MOVED;
    for (size_t i = 0; i < 4; i++) {
        redisReply *reply;
        if (mpq_redis_conn_read(&redis->calls, "push", deadline_ms, &reply, err) < 0)
            return -1;
        if (*out == MOVED) /* behind a refusal nothing is certain */
            *out = judge(reply, i, envelope);
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
    mpq_buf_append(out, request.data + start, request.len - start - gate->tail.len);
    return mpq_buf_slice(out);
}

/* An empty transaction. */
static int try_transaction(mpq_redis *redis, uint64_t deadline_ms, enum answer *out, mpq_error *err)
{
    static const char request[] = "*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n";
    mpq_redis_conn *conn = &redis->calls;
    redisReply *replies[2] = {NULL, NULL};
    int rc = mpq_redis_conn_write(conn, "push", mpq_slice_of(request, sizeof request - 1), deadline_ms, err);
    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = mpq_redis_conn_read(conn, "push", deadline_ms, &replies[i], err);
    if (rc == 0) {
        bool begun = mpq_redis_is_status(replies[0], "OK");
        conn->transacts = begun && replies[1]->type == REDIS_REPLY_ARRAY && replies[1]->elements == 0;
        *out = conn->transacts ? MOVED : judge(replies[begun ? 1 : 0], 0, mpq_slice_of("", 0));
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

static int send_through(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t deadline_ms,
                        enum answer *answer, mpq_error *err)
{
    *answer = MOVED;
    if (!redis->calls.transacts && try_transaction(redis, deadline_ms, answer, err) < 0)
        return -1;
    if (*answer != MOVED)
        return *answer == SENSELESS ? mpq_redis_unexpected(&redis->calls, "push", err) : 0;
    write_request(redis, gate, push);
    mpq_slice request = redis->cmd.buf.failed ? mpq_slice_of(NULL, 0) : mpq_buf_slice(&redis->cmd.buf);
    if (mpq_redis_conn_write(&redis->calls, "push", request, deadline_ms, err) < 0)
        return -1;
    MPQ_CRASH_POINT("store.push.sent");
    int rc = mpq_redis_conn_expect(&redis->calls, "push", deadline_ms, usual_answer(gate, request), err);
    if (rc > 0)
        rc = read_answers(redis, push->items[0].envelope, deadline_ms, answer, err);
    if (rc < 0)
        return -1;
    return *answer == SENSELESS ? mpq_redis_unexpected(&redis->calls, "push", err) : 0;
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
    redis->gates_refused = redis->gates_refused || answer == REFUSED;
    gate->open = answer == MOVED;
    gate->pushes++;
    gate->sequence = push->sequence;
    return answer == MOVED ? 0 : 1;
}
