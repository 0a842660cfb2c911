#include "broker_sqlite.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

enum { PRUNE_EVERY_MS = 600000, PRODUCER_KEPT_MS = 3600000 };

/* -- the queue's row ------------------------------------------------------------------------------------------- */

static int read_queue(mpq_sqlite *db, sqlite3_stmt *statement, mpq_sqlite_queue *out, mpq_error *err)
{
    int rc = mpq_sqlite_step(db, statement, err);
    if (rc != 0)
        return rc;
    *out = (mpq_sqlite_queue){
        .id = sqlite3_column_int64(statement, 0),
        .head = sqlite3_column_int64(statement, 1),
        .tail = sqlite3_column_int64(statement, 2),
        .record = sqlite3_column_int64(statement, 3),
        .counts =
            {
                .pushed = (uint64_t)sqlite3_column_int64(statement, 4),
                .ready = (uint64_t)sqlite3_column_int64(statement, 5),
                .delayed = (uint64_t)sqlite3_column_int64(statement, 6),
                .running = (uint64_t)sqlite3_column_int64(statement, 7),
                .failed = (uint64_t)sqlite3_column_int64(statement, 8),
                .done = (uint64_t)sqlite3_column_int64(statement, 9),
            },
        .added_due_at_ms = -1,
    };
    sqlite3_reset(statement);
    return 0;
}

int mpq_sqlite_queue_find(mpq_sqlite *db, const char *name, mpq_sqlite_queue *out, mpq_error *err)
{
    return read_queue(db, mpq_sqlite_bind(db, MPQ_SQL_QUEUE_BY_NAME, err, "t", name), out, err);
}

int mpq_sqlite_queue_find_or_add(mpq_sqlite *db, const char *name, mpq_sqlite_queue *out, mpq_error *err)
{
    int rc = mpq_sqlite_queue_find(db, name, out, err);
    if (rc <= 0)
        return rc;
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_QUEUE_ADD, err, "t", name) < 0)
        return -1;
    *out = (mpq_sqlite_queue){.id = sqlite3_last_insert_rowid(db->handle), .added_due_at_ms = -1};
    return 0;
}

int mpq_sqlite_queue_load(mpq_sqlite *db, int64_t id, mpq_sqlite_queue *out, mpq_error *err)
{
    int rc = read_queue(db, mpq_sqlite_bind(db, MPQ_SQL_QUEUE_BY_ID, err, "i", id), out, err);
    return rc <= 0 ? rc : mpq_error_set(err, MPQ_ERROR_BROKER, "sqlite %s: a queue is missing", db->path);
}

int mpq_sqlite_queue_save(mpq_sqlite *db, const mpq_sqlite_queue *queue, mpq_error *err)
{
    const mpq_counts *c = &queue->counts;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_QUEUE_SAVE, err, "iiiiiiiiii", queue->id, queue->head, queue->tail,
                          queue->record, (int64_t)c->pushed, (int64_t)c->ready, (int64_t)c->delayed,
                          (int64_t)c->running, (int64_t)c->failed, (int64_t)c->done);
}

int mpq_sqlite_add_ready(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t position, int64_t job, mpq_error *err)
{
    queue->counts.ready++;
    queue->wake = true;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_READY_ADD, err, "iii", queue->id, position, job);
}

int mpq_sqlite_add_delayed(mpq_sqlite *db, mpq_sqlite_queue *queue, uint64_t delay_ms, int64_t job, mpq_error *err)
{
    int64_t now_ms = (int64_t)(mpq_clock_wall_us() / 1000) + 1; /* rounded up: nothing may be early */
    int64_t due_at_ms = delay_ms < (uint64_t)(INT64_MAX - now_ms) ? now_ms + (int64_t)delay_ms : INT64_MAX;
    queue->counts.delayed++;
    if (queue->added_due_at_ms < 0 || due_at_ms < queue->added_due_at_ms)
        queue->added_due_at_ms = due_at_ms;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_DELAYED_ADD, err, "iii", queue->id, due_at_ms, job);
}

int mpq_sqlite_add_failed(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t job, mpq_error *err)
{
    queue->counts.failed++;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_FAILED_ADD, err, "iii", queue->id, queue->record++, job);
}

int mpq_sqlite_first_due(mpq_sqlite *db, const mpq_sqlite_queue *queue, int64_t *out_at_ms, mpq_error *err)
{
    *out_at_ms = -1;
    return mpq_sqlite_value(db, out_at_ms, MPQ_SQL_DELAYED_FIRST, err, "i", queue->id) < 0 ? -1 : 0;
}

/* A new due time concerns those who wait only if it is the earliest now. */
static int save(mpq_sqlite *db, mpq_sqlite_queue *queue, mpq_error *err)
{
    int64_t first_at_ms = -1;
    if (queue->added_due_at_ms >= 0 && !queue->wake) {
        if (mpq_sqlite_first_due(db, queue, &first_at_ms, err) < 0)
            return -1;
        queue->wake = first_at_ms == queue->added_due_at_ms;
    }
    return mpq_sqlite_queue_save(db, queue, err);
}

int mpq_sqlite_finish(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, int rc, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    if (rc == 0 && (save(db, queue, err) < 0 || mpq_sqlite_commit(db, err) < 0))
        rc = -1;
    if (rc != 0)
        mpq_sqlite_rollback(db);
    else if (queue->wake)
        mpq_sqlite_wake_signal(&broker->wake);
    return rc;
}

/* -- pushing --------------------------------------------------------------------------------------------------- */

/* Keeps the order of unsigned numbers in SQLite's signed ones. */
static int64_t ordered(uint64_t number)
{
    return (int64_t)(number ^ UINT64_C(1) << 63);
}

/* Only the first push of a handle and then one in ten minutes looks, and one process in ten minutes deletes. */
static int prune_producers(mpq_sqlite_broker *broker, int64_t now_ms, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    int64_t pruned_at_ms = 0;
    if (mpq_clock_monotonic_ms() < broker->prune_at_ms)
        return 0;
    if (mpq_sqlite_value(db, &pruned_at_ms, MPQ_SQL_PRUNED_AT, err, "") < 0)
        return -1;
    broker->prune_at_ms = mpq_clock_monotonic_ms() + PRUNE_EVERY_MS;
    if (pruned_at_ms <= now_ms && now_ms - pruned_at_ms < PRUNE_EVERY_MS)
        return 0;
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_PRODUCER_PRUNE, err, "i", now_ms - PRODUCER_KEPT_MS) < 0)
        return -1;
    return mpq_sqlite_run(db, NULL, MPQ_SQL_PRUNED_SET, err, "i", now_ms);
}

static int store_item(mpq_sqlite *db, mpq_sqlite_queue *queue, const mpq_push_item *item, mpq_error *err)
{
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_JOB_ADD, err, "b", item->envelope) < 0)
        return -1;
    int64_t job = sqlite3_last_insert_rowid(db->handle);
    queue->counts.pushed++;
    if (item->delay_ms)
        return mpq_sqlite_add_delayed(db, queue, item->delay_ms, job, err);
    return mpq_sqlite_add_ready(db, queue, queue->tail++, job, err);
}

/* 1 = a repetition. */
static int store_push(mpq_sqlite_broker *broker, const mpq_push *push, mpq_sqlite_queue *queue, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    int64_t accepted, now_ms = (int64_t)mpq_clock_wall_ms();
    if (mpq_sqlite_queue_find_or_add(db, push->queue, queue, err) < 0 || prune_producers(broker, now_ms, err) < 0)
        return -1;
    if (mpq_sqlite_run(db, &accepted, MPQ_SQL_PRODUCER_ACCEPT, err, "iiii", (int64_t)push->producer, queue->id,
                       ordered(push->sequence), now_ms) < 0)
        return -1;
    if (!accepted)
        return 1;
    for (size_t i = 0; i < push->count; i++)
        if (store_item(db, queue, &push->items[i], err) < 0)
            return -1;
    return 0;
}

static int push_jobs(mpq_broker *head, const mpq_push *push, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_queue queue;
    if (mpq_sqlite_connect(&broker->db, "push", err) < 0 || mpq_sqlite_begin(&broker->db, err) < 0)
        return -1;
    int rc = mpq_sqlite_finish(broker, &queue, store_push(broker, push, &queue, err), err);
    return rc < 0 ? -1 : 0;
}

/* -- the handle ------------------------------------------------------------------------------------------------ */

static int count_jobs(mpq_broker *head, const char *name, mpq_counts *out, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_queue queue = {0};
    if (mpq_sqlite_connect(&broker->db, "counts", err) < 0)
        return -1;
    if (mpq_sqlite_queue_find(&broker->db, name, &queue, err) < 0)
        return -1;
    *out = queue.counts;
    return 0;
}

static int ping(mpq_broker *head, mpq_error *err)
{
    mpq_counts ignored;
    return count_jobs(head, "", &ignored, err);
}

static int open_broker(const mpq_broker_config *config, mpq_broker **out, mpq_error *err)
{
    mpq_sqlite_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return mpq_error_set_memory(err);
    broker->told_due_at_ms = -1;
    broker->head.blind = true; /* who may write to the database need not be able to signal */
    for (size_t i = 0; i < MPQ_SQLITE_OUTSTANDING; i++)
        mpq_batch_init(&broker->answers[i]);
    if (mpq_sqlite_init(&broker->db, config, err) < 0 ||
        mpq_sqlite_wake_init(&broker->wake, broker->db.path, err) < 0) {
        mpq_sqlite_fini(&broker->db);
        free(broker);
        return -1;
    }
    *out = &broker->head;
    return 0;
}

static void release(mpq_sqlite_broker *broker)
{
    mpq_sqlite_wake_fini(&broker->wake);
    for (size_t i = 0; i < MPQ_SQLITE_OUTSTANDING; i++)
        mpq_batch_fini(&broker->answers[i]);
    free(broker);
}

static void close_broker(mpq_broker *head)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_fini(&broker->db);
    release(broker);
}

static void forget_broker(mpq_broker *head)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_forget(&broker->db);
    release(broker);
}

const mpq_broker_ops mpq_broker_sqlite = {
    .name = "sqlite",
    .open = open_broker,
    .close = close_broker,
    .forget = forget_broker,
    .ping = ping,
    .push = push_jobs,
    .counts = count_jobs,
    .failed = mpq_sqlite_failed,
    .clear = mpq_sqlite_clear,
    .attach = mpq_sqlite_attach,
    .detach = mpq_sqlite_detach,
    .send = mpq_sqlite_send,
    .receive = mpq_sqlite_receive,
    .fd = mpq_sqlite_fd,
    .wait_arm = mpq_sqlite_wait_arm,
    .wait_fds = mpq_sqlite_wait_fds,
    .wait_collect = mpq_sqlite_wait_collect,
    .renew = mpq_sqlite_renew,
    .adopt = mpq_sqlite_adopt,
};
