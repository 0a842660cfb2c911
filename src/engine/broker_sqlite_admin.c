#include "broker_sqlite.h"

#include <string.h>

/* One transaction of clearing deletes at most this many jobs of a kind, so that producers are not kept waiting. */
enum { CLEAR_CHUNK = 2000, WALK_BYTES = 1 << 20 };

/* -- the failed records ---------------------------------------------------------------------------------------- */

/* The next records after position *after, copied: no read transaction is open while the caller's function runs, so the
 * log can be checkpointed whatever that does. */
static int read_records(mpq_sqlite *db, int64_t queue, int64_t *after, mpq_batch *out, mpq_error *err)
{
    sqlite3_stmt *statement = mpq_sqlite_bind(db, MPQ_SQL_FAILED_LIST, err, "ii", queue, *after);
    int rc;
    mpq_batch_clear(out);
    while ((rc = mpq_sqlite_step(db, statement, err)) == 0) {
        mpq_batch_append(out, mpq_sqlite_column(statement, 1));
        *after = sqlite3_column_int64(statement, 0);
        if (out->bytes.len < WALK_BYTES && !out->bytes.failed)
            continue;
        sqlite3_reset(statement);
        break;
    }
    if (rc < 0)
        return -1;
    return out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

int mpq_sqlite_failed(mpq_broker *head, const char *name, mpq_failed_fn fn, void *arg, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_queue queue = {0};
    int64_t after = -1;
    if (mpq_sqlite_connect(&broker->db, "reading the failed records", err) < 0)
        return -1;
    int rc = mpq_sqlite_queue_find(&broker->db, name, &queue, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    mpq_batch batch;
    mpq_batch_init(&batch);
    bool stopped = false;
    do {
        rc = read_records(&broker->db, queue.id, &after, &batch, err);
        for (size_t i = 0; rc == 0 && !stopped && i < batch.count; i++)
            stopped = fn(arg, mpq_batch_envelope(&batch, i)) != 0;
    } while (rc == 0 && !stopped && batch.count > 0);
    mpq_batch_fini(&batch);
    return rc;
}

/* -- clearing -------------------------------------------------------------------------------------------------- */

/* What was there when clearing began: what is pushed meanwhile stays. */
struct clearing {
    int64_t queue;
    int64_t tail;
    int64_t record;
    uint64_t delayed; /* as many as this, the earliest first */
    bool more;
};

/* Deletes a chunk of a table that is ordered by position. */
static int clear_positions(mpq_sqlite *db, struct clearing *c, enum mpq_sqlite_sql cut, int64_t last, uint64_t *count,
                           mpq_error *err)
{
    enum mpq_sqlite_sql drop = cut == MPQ_SQL_READY_CUT ? MPQ_SQL_READY_DROP : MPQ_SQL_FAILED_DROP;
    enum mpq_sqlite_sql jobs = cut == MPQ_SQL_READY_CUT ? MPQ_SQL_READY_DROP_JOBS : MPQ_SQL_FAILED_DROP_JOBS;
    int64_t dropped;
    int rc = mpq_sqlite_value(db, &last, cut, err, "iii", c->queue, last, (int64_t)CLEAR_CHUNK - 1);
    if (rc < 0 || mpq_sqlite_run(db, NULL, jobs, err, "ii", c->queue, last) < 0 ||
        mpq_sqlite_run(db, &dropped, drop, err, "ii", c->queue, last) < 0)
        return -1;
    *count -= (uint64_t)dropped;
    c->more |= rc == 0;
    return 0;
}

static int clear_delayed(mpq_sqlite *db, struct clearing *c, uint64_t *count, mpq_error *err)
{
    int64_t chunk = c->delayed < CLEAR_CHUNK ? (int64_t)c->delayed : CLEAR_CHUNK, dropped;
    int64_t due_at_ms = INT64_MAX, job = INT64_MAX;
    if (chunk == 0)
        return 0;
    sqlite3_stmt *statement = mpq_sqlite_bind(db, MPQ_SQL_DELAYED_CUT, err, "ii", c->queue, chunk - 1);
    int rc = mpq_sqlite_step(db, statement, err);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        due_at_ms = sqlite3_column_int64(statement, 0);
        job = sqlite3_column_int64(statement, 1);
        sqlite3_reset(statement);
    }
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_DELAYED_DROP_JOBS, err, "iii", c->queue, due_at_ms, job) < 0 ||
        mpq_sqlite_run(db, &dropped, MPQ_SQL_DELAYED_DROP, err, "iii", c->queue, due_at_ms, job) < 0)
        return -1;
    *count -= (uint64_t)dropped;
    c->delayed = rc == 0 ? c->delayed - (uint64_t)chunk : 0;
    c->more |= c->delayed > 0;
    return 0;
}

static int clear_running(mpq_sqlite *db, struct clearing *c, uint64_t *count, mpq_error *err)
{
    int64_t dropped;
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_RUNNING_CLEAR_JOBS, err, "i", c->queue) < 0 ||
        mpq_sqlite_run(db, &dropped, MPQ_SQL_RUNNING_CLEAR, err, "i", c->queue) < 0)
        return -1;
    *count -= (uint64_t)dropped;
    return 0;
}

/* The sums of the statistics have to stay right, so they begin anew with what is left. */
static void restart_statistics(mpq_counts *counts)
{
    counts->done = 0;
    counts->pushed = counts->ready + counts->delayed + counts->running + counts->failed;
}

static int clear_chunk(mpq_sqlite *db, struct clearing *c, mpq_sqlite_queue *queue, bool first, mpq_error *err)
{
    c->more = false;
    if (mpq_sqlite_queue_load(db, c->queue, queue, err) < 0)
        return -1;
    if (first) {
        c->tail = queue->tail - 1;
        c->record = queue->record - 1;
        c->delayed = queue->counts.delayed;
        if (clear_running(db, c, &queue->counts.running, err) < 0)
            return -1;
    }
    if (clear_positions(db, c, MPQ_SQL_READY_CUT, c->tail, &queue->counts.ready, err) < 0 ||
        clear_positions(db, c, MPQ_SQL_FAILED_CUT, c->record, &queue->counts.failed, err) < 0 ||
        clear_delayed(db, c, &queue->counts.delayed, err) < 0)
        return -1;
    restart_statistics(&queue->counts);
    return 0;
}

int mpq_sqlite_clear(mpq_broker *head, const char *name, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite *db = &broker->db;
    mpq_sqlite_queue queue;
    if (mpq_sqlite_connect(db, "clear", err) < 0)
        return -1;
    int rc = mpq_sqlite_queue_find(db, name, &queue, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    struct clearing clearing = {.queue = queue.id, .more = true};
    for (bool first = true; rc == 0 && clearing.more; first = false) {
        if (mpq_sqlite_connect(db, "clear", err) < 0 || mpq_sqlite_begin(db, err) < 0)
            return -1;
        rc = mpq_sqlite_finish(broker, &queue, clear_chunk(db, &clearing, &queue, first, err), err);
    }
    return rc;
}
