#include "broker_sqlite.h"

#include "clock.h"
#include "codec.h"

#include <stdlib.h>
#include <string.h>

enum { PROMOTE_MAX = 500 };

/* -- settling -------------------------------------------------------------------------------------------------- */

static bool goes_to_head(const mpq_settle *settle)
{
    return settle->kind == MPQ_SETTLE_RETURN || (settle->kind == MPQ_SETTLE_RETRY && settle->delay_ms == 0);
}

/* `position` is where it goes if it goes to the head. 1 = not held. Finding and deleting are two statements, because
 * RETURNING opens a temporary table each time, which costs more than all the rest. */
static int settle_one(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t owner, const mpq_settle *settle,
                      int64_t position, mpq_error *err)
{
    mpq_slice id = mpq_slice_of((const char *)settle->id.bytes, MPQ_ID_BYTES);
    int64_t job;
    int rc = mpq_sqlite_value(db, &job, MPQ_SQL_RUNNING_FIND, err, "ib", owner, id);
    if (rc != 0)
        return rc;
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_RUNNING_END, err, "ibi", owner, id, job) < 0)
        return -1;
    queue->counts.running--;
    if (settle->kind == MPQ_SETTLE_DONE) {
        queue->counts.done++;
        return mpq_sqlite_run(db, NULL, MPQ_SQL_JOB_DROP, err, "i", job);
    }
    if (settle->kind != MPQ_SETTLE_RETURN &&
        mpq_sqlite_run(db, NULL, MPQ_SQL_JOB_CHANGE, err, "ib", job, settle->envelope) < 0)
        return -1;
    if (settle->kind == MPQ_SETTLE_FAILED)
        return mpq_sqlite_add_failed(db, queue, job, err);
    if (goes_to_head(settle))
        return mpq_sqlite_add_ready(db, queue, position, job, err);
    return mpq_sqlite_add_delayed(db, queue, settle->delay_ms, job, err);
}

/* 1 = nobody whose jobs we may settle. */
static int find_holder(mpq_sqlite_broker *broker, const mpq_exchange *exchange, int64_t *out, mpq_error *err)
{
    *out = broker->owner;
    if (!exchange->dead)
        return 0;
    return mpq_sqlite_value(&broker->db, out, MPQ_SQL_OWNER_RETIRED, err, "it", broker->queue, exchange->dead);
}

static int forget_if_empty(mpq_sqlite *db, int64_t owner, mpq_error *err)
{
    int64_t any;
    int rc = mpq_sqlite_value(db, &any, MPQ_SQL_RUNNING_ANY, err, "i", owner);
    return rc == 1 ? mpq_sqlite_run(db, NULL, MPQ_SQL_OWNER_DROP, err, "i", owner) : rc;
}

/* What goes to the head keeps its order there; positions of refused settles stay unused. */
static int settle_all(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, const mpq_exchange *exchange, mpq_batch *out,
                      mpq_error *err)
{
    int64_t position = queue->head, owner;
    int rc = find_holder(broker, exchange, &owner, err);
    if (rc != 0) {
        out->refused = exchange->settle_count;
        return rc < 0 ? -1 : 0;
    }
    for (size_t i = 0; i < exchange->settle_count; i++)
        position -= goes_to_head(&exchange->settles[i]);
    queue->head = position;
    for (size_t i = 0; i < exchange->settle_count; i++) {
        const mpq_settle *settle = &exchange->settles[i];
        rc = settle_one(&broker->db, queue, owner, settle, position, err);
        if (rc < 0)
            return -1;
        out->refused += rc == 1;
        position += goes_to_head(settle);
    }
    return exchange->dead ? forget_if_empty(&broker->db, owner, err) : 0;
}

/* -- promoting and reserving ----------------------------------------------------------------------------------- */

static int promote(mpq_sqlite *db, mpq_sqlite_queue *queue, mpq_error *err)
{
    int64_t due_at_ms = 0, job = 0;
    uint64_t before = queue->counts.ready;
    sqlite3_stmt *due = mpq_sqlite_bind(db, MPQ_SQL_DELAYED_DUE, err, "iii", queue->id, (int64_t)mpq_clock_wall_ms(),
                                        (int64_t)PROMOTE_MAX);
    int rc;
    while ((rc = mpq_sqlite_step(db, due, err)) == 0) {
        due_at_ms = sqlite3_column_int64(due, 0);
        job = sqlite3_column_int64(due, 1);
        if (mpq_sqlite_add_ready(db, queue, queue->tail++, job, err) < 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    if (queue->counts.ready == before)
        return 0;
    queue->counts.delayed -= queue->counts.ready - before;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_DELAYED_DROP, err, "iii", queue->id, due_at_ms, job);
}

static int reserve_one(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, sqlite3_stmt *ready, mpq_batch *out,
                       mpq_error *err)
{
    int64_t position = sqlite3_column_int64(ready, 0), job = sqlite3_column_int64(ready, 1);
    mpq_slice envelope = mpq_sqlite_column(ready, 2);
    if (!mpq_codec_looks_like_envelope(envelope)) {
        out->garbage++;
        return mpq_sqlite_add_failed(&broker->db, queue, job, err);
    }
    mpq_batch_append(out, envelope);
    queue->counts.running++;
    mpq_slice id = mpq_slice_of(envelope.data + MPQ_ENVELOPE_ID_OFFSET, MPQ_ID_BYTES);
    return mpq_sqlite_run(&broker->db, NULL, MPQ_SQL_RUNNING_ADD, err, "ibii", broker->owner, id, job, position);
}

/* What is taken is always the front of the queue, so one statement removes it from there. */
static int reserve(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, const mpq_exchange *exchange, mpq_batch *out,
                   mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    uint64_t taken = 0, limit_bytes = exchange->want_bytes ? exchange->want_bytes : UINT64_MAX;
    int64_t last = 0;
    if (!exchange->want || !queue->counts.ready)
        return 0;
    sqlite3_stmt *ready = mpq_sqlite_bind(db, MPQ_SQL_READY_LIST, err, "ii", queue->id, (int64_t)exchange->want);
    int rc;
    while ((rc = mpq_sqlite_step(db, ready, err)) == 0) {
        if (reserve_one(broker, queue, ready, out, err) < 0)
            return -1;
        last = sqlite3_column_int64(ready, 0);
        taken++;
        if (out->bytes.len >= limit_bytes || out->bytes.failed) {
            sqlite3_reset(ready);
            break;
        }
    }
    if (rc < 0)
        return -1;
    if (out->bytes.failed)
        return mpq_error_set_memory(err);
    queue->counts.ready -= taken;
    return taken ? mpq_sqlite_run(db, NULL, MPQ_SQL_READY_DROP, err, "ii", queue->id, last) : 0;
}

static int64_t until_us(int64_t at_ms)
{
    int64_t now_us = (int64_t)mpq_clock_wall_us(), at_us = at_ms < INT64_MAX / 1000 ? at_ms * 1000 : INT64_MAX;
    return at_us > now_us ? at_us - now_us : 0;
}

static int fill_outlook(mpq_sqlite_broker *broker, const mpq_sqlite_queue *queue, mpq_batch *out, mpq_error *err)
{
    int64_t due_at_ms = -1;
    if (mpq_sqlite_first_due(&broker->db, queue, &due_at_ms, err) < 0)
        return -1;
    broker->told_due_at_ms = due_at_ms;
    out->ready = queue->counts.ready;
    if (out->ready)
        out->next_due_us = 0;
    else
        out->next_due_us = due_at_ms < 0 ? -1 : until_us(due_at_ms);
    return 0;
}

/* -- the functions of the table -------------------------------------------------------------------------------- */

/* Nothing is announced to those who wait when all that became ready was taken at once. */
static int exchange_all(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, const mpq_exchange *exchange,
                        mpq_batch *out, mpq_error *err)
{
    if (settle_all(broker, queue, exchange, out, err) < 0 || promote(&broker->db, queue, err) < 0 ||
        reserve(broker, queue, exchange, out, err) < 0)
        return -1;
    queue->wake &= queue->counts.ready > 0;
    return fill_outlook(broker, queue, out, err);
}

/* The signals that came before are forgotten first: what they announced is seen now, and what is pushed from now on
 * signals again. */
int mpq_sqlite_send(mpq_broker *head, const mpq_exchange *exchange, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_queue queue;
    if (broker->answer_count == MPQ_SQLITE_OUTSTANDING)
        return mpq_error_set(err, MPQ_ERROR_STATE, "sqlite %s: two exchanges are outstanding already", broker->db.path);
    mpq_batch *out = &broker->answers[broker->answer_count];
    mpq_batch_clear(out);
    mpq_sqlite_wake_drain(&broker->wake, broker->db.path);
    int rc = mpq_sqlite_begin_as_owner(broker, "exchange", &queue, err);
    if (rc == 0)
        rc = mpq_sqlite_finish(broker, &queue, exchange_all(broker, &queue, exchange, out, err), err);
    if (rc < 0)
        return -1;
    out->lost = rc > 0;
    broker->answer_count++;
    return 0;
}

int mpq_sqlite_receive(mpq_broker *head, mpq_batch *out, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    (void)err;
    if (!broker->answer_count)
        return 1;
    mpq_batch oldest = broker->answers[0];
    for (size_t i = 1; i < MPQ_SQLITE_OUTSTANDING; i++)
        broker->answers[i - 1] = broker->answers[i];
    broker->answers[MPQ_SQLITE_OUTSTANDING - 1] = *out;
    *out = oldest;
    broker->answer_count--;
    return 0;
}

int mpq_sqlite_fd(mpq_broker *head)
{
    (void)head;
    return -1;
}

/* The watch is on from attach, so a signal between the last look and now is not missed. */
int mpq_sqlite_wait_arm(mpq_broker *head, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    if (!broker->owner)
        return mpq_error_set(err, MPQ_ERROR_STATE, "sqlite %s: waiting is for a handle that is attached to a queue",
                             broker->db.path);
    mpq_sqlite_wake_watch(&broker->wake, broker->db.path);
    return 0;
}

int mpq_sqlite_wait_fds(mpq_broker *head, int fds[2])
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    if (broker->wake.watch_fd < 0)
        return 0;
    fds[0] = broker->wake.watch_fd;
    return 1;
}

/* Signals are for all queues of the file, and one's own reach oneself: a look without a lock tells whether there is
 * something for this queue. */
int mpq_sqlite_wait_collect(mpq_broker *head, mpq_batch *out, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite *db = &broker->db;
    mpq_sqlite_queue queue;
    int64_t due_at_ms;
    mpq_batch_clear(out);
    mpq_sqlite_wake_drain(&broker->wake, db->path);
    if (mpq_sqlite_connect(db, "waiting", err) < 0 || mpq_sqlite_queue_load(db, broker->queue, &queue, err) < 0 ||
        mpq_sqlite_first_due(db, &queue, &due_at_ms, err) < 0)
        return -1;
    bool earlier = due_at_ms >= 0 && (broker->told_due_at_ms < 0 || due_at_ms < broker->told_due_at_ms);
    if (!queue.counts.ready && !earlier && (due_at_ms < 0 || until_us(due_at_ms) > 0))
        return 1;
    out->ready = queue.counts.ready;
    out->next_due_us = queue.counts.ready ? 0 : until_us(due_at_ms);
    return 0;
}
