#include "broker_sqlite.h"

#include "clock.h"
#include "codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Taking over stops here, so that an answer stays in bounds when jobs are large. */
enum { ADOPT_BYTES = 32 << 20 };

static int64_t lease_end(uint32_t lease_ms)
{
    return (int64_t)mpq_clock_wall_ms() + lease_ms;
}

static int fail_unbound(const mpq_sqlite_broker *broker, const char *doing, mpq_error *err)
{
    return mpq_error_set(err, MPQ_ERROR_STATE, "sqlite %s: %s is for a handle that is attached to a queue",
                         broker->db.path, doing);
}

int mpq_sqlite_begin_as_owner(mpq_sqlite_broker *broker, const char *doing, mpq_sqlite_queue *queue, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    int64_t held;
    if (!broker->owner)
        return fail_unbound(broker, doing, err);
    if (mpq_sqlite_connect(db, doing, err) < 0 || mpq_sqlite_begin(db, err) < 0)
        return -1;
    int rc = mpq_sqlite_run(db, &held, MPQ_SQL_OWNER_HOLD, err, "iii", broker->owner, broker->generation,
                            lease_end(broker->lease_ms));
    if (rc == 0 && !held)
        rc = 1;
    if (rc == 0)
        rc = mpq_sqlite_queue_load(db, broker->queue, queue, err);
    if (rc != 0)
        mpq_sqlite_rollback(db);
    return rc;
}

/* -- attach and detach ----------------------------------------------------------------------------------------- */

static int list_held(mpq_sqlite *db, int64_t owner, mpq_buf *held, mpq_error *err)
{
    sqlite3_stmt *statement = mpq_sqlite_bind(db, MPQ_SQL_RUNNING_IDS, err, "i", owner);
    int rc;
    mpq_buf_clear(held);
    while ((rc = mpq_sqlite_step(db, statement, err)) == 0)
        mpq_buf_append_slice(held, mpq_sqlite_column(statement, 0));
    if (rc < 0)
        return -1;
    return held->failed ? mpq_error_set_memory(err) : 0;
}

/* Within the transaction. 1 = there is no such owner to resume. */
static int register_owner(mpq_sqlite_broker *broker, const char *owner, enum mpq_attach how, mpq_buf *held,
                          mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    int64_t until_ms = lease_end(broker->lease_ms);
    int rc = mpq_sqlite_value(db, &broker->owner, MPQ_SQL_OWNER_BY_NAME, err, "it", broker->queue, owner);
    if (rc < 0)
        return -1;
    if (how == MPQ_ATTACH_FRESH && rc == 0)
        return mpq_error_set(err, MPQ_ERROR_STATE, "sqlite %s: the owner name %s is in use", db->path, owner);
    if (how == MPQ_ATTACH_RESUME) {
        if (rc == 0)
            rc =
                mpq_sqlite_run(db, NULL, MPQ_SQL_OWNER_RESUME, err, "iii", broker->owner, broker->generation, until_ms);
        return rc == 0 ? list_held(db, broker->owner, held, err) : rc;
    }
    if (mpq_sqlite_run(db, NULL, MPQ_SQL_OWNER_ADD, err, "itii", broker->queue, owner, broker->generation, until_ms) <
        0)
        return -1;
    broker->owner = sqlite3_last_insert_rowid(db->handle);
    return 0;
}

static void unbind(mpq_sqlite_broker *broker)
{
    broker->owner = 0;
    broker->answer_count = 0;
    broker->told_due_at_ms = -1;
}

int mpq_sqlite_attach(mpq_broker *head, const char *name, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                      mpq_buf *held, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite *db = &broker->db;
    mpq_sqlite_queue queue;
    unbind(broker);
    if (mpq_sqlite_connect(db, "attach", err) < 0 || mpq_sqlite_begin(db, err) < 0)
        return -1;
    broker->lease_ms = lease_ms;
    sqlite3_randomness(sizeof broker->generation, &broker->generation);
    int rc = mpq_sqlite_queue_find_or_add(db, name, &queue, err);
    broker->queue = queue.id;
    if (rc == 0)
        rc = register_owner(broker, owner, how, held, err);
    rc = mpq_sqlite_finish(broker, &queue, rc, err);
    if (rc != 0)
        unbind(broker);
    else
        mpq_sqlite_wake_watch(&broker->wake, db->path);
    return rc;
}

/* The jobs' ids in the order of reservation, `count` of them, in memory of its own. */
static int list_jobs(mpq_sqlite *db, int64_t owner, mpq_buf *jobs, mpq_error *err)
{
    sqlite3_stmt *statement = mpq_sqlite_bind(db, MPQ_SQL_RUNNING_LIST, err, "i", owner);
    int rc;
    while ((rc = mpq_sqlite_step(db, statement, err)) == 0) {
        int64_t job = sqlite3_column_int64(statement, 0);
        mpq_buf_append(jobs, &job, sizeof job);
    }
    if (rc < 0)
        return -1;
    return jobs->failed ? mpq_error_set_memory(err) : 0;
}

static int hand_back(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t owner, mpq_error *err)
{
    mpq_buf jobs = {0};
    int rc = list_jobs(db, owner, &jobs, err);
    size_t count = jobs.len / sizeof(int64_t);
    queue->head -= (int64_t)count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int64_t job;
        memcpy(&job, jobs.data + i * sizeof job, sizeof job);
        rc = mpq_sqlite_add_ready(db, queue, queue->head + (int64_t)i, job, err);
    }
    mpq_buf_fini(&jobs);
    queue->counts.running -= count;
    if (rc == 0)
        rc = mpq_sqlite_run(db, NULL, MPQ_SQL_RUNNING_DROP, err, "i", owner);
    return rc;
}

int mpq_sqlite_detach(mpq_broker *head, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite *db = &broker->db;
    mpq_sqlite_queue queue;
    if (!broker->owner)
        return 0;
    int rc = mpq_sqlite_begin_as_owner(broker, "detach", &queue, err);
    if (rc == 0) {
        rc = hand_back(db, &queue, broker->owner, err);
        if (rc == 0)
            rc = mpq_sqlite_run(db, NULL, MPQ_SQL_OWNER_DROP, err, "i", broker->owner);
        rc = mpq_sqlite_finish(broker, &queue, rc, err);
    }
    if (rc < 0)
        return -1;
    unbind(broker);
    return 0;
}

/* -- renew and adopt ------------------------------------------------------------------------------------------- */

int mpq_sqlite_renew(mpq_broker *head, const char *const *owners, size_t count, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite *db = &broker->db;
    if (!broker->owner)
        return fail_unbound(broker, "renew", err);
    if (count == 0)
        return 0;
    if (mpq_sqlite_connect(db, "renew", err) < 0 || mpq_sqlite_begin(db, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = mpq_sqlite_run(db, NULL, MPQ_SQL_OWNER_RENEW, err, "iti", broker->queue, owners[i],
                            lease_end(broker->lease_ms));
    if (rc == 0)
        rc = mpq_sqlite_commit(db, err);
    if (rc < 0)
        mpq_sqlite_rollback(db);
    return rc;
}

/* 0 = found, its name in out->from; 1 = nobody. */
static int find_dead(mpq_sqlite_broker *broker, const char *dead, int64_t *owner, mpq_batch *out, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    sqlite3_stmt *statement =
        dead ? mpq_sqlite_bind(db, MPQ_SQL_OWNER_NAMED, err, "iit", broker->queue, broker->owner, dead)
             : mpq_sqlite_bind(db, MPQ_SQL_OWNER_ENDED, err, "iii", broker->queue, broker->owner,
                               (int64_t)mpq_clock_wall_ms());
    int rc = mpq_sqlite_step(db, statement, err);
    if (rc != 0)
        return rc;
    *owner = sqlite3_column_int64(statement, 0);
    snprintf(out->from, sizeof out->from, "%s", (const char *)sqlite3_column_text(statement, 1));
    sqlite3_reset(statement);
    return 0;
}

/* What can't be settled by the id that is in it would be listed for ever. */
static int list_one(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, int64_t owner, sqlite3_stmt *row,
                    mpq_batch *out, mpq_error *err)
{
    mpq_slice envelope = mpq_sqlite_column(row, 0), id = mpq_sqlite_column(row, 1);
    int64_t job = sqlite3_column_int64(row, 2);
    if (mpq_codec_looks_like_envelope(envelope) && id.len == MPQ_ID_BYTES &&
        memcmp(envelope.data + MPQ_ENVELOPE_ID_OFFSET, id.data, MPQ_ID_BYTES) == 0) {
        mpq_batch_append(out, envelope);
        return out->bytes.failed ? mpq_error_set_memory(err) : 0;
    }
    out->garbage++;
    queue->counts.running--;
    if (mpq_sqlite_run(&broker->db, NULL, MPQ_SQL_RUNNING_END, err, "ibi", owner, id, job) < 0)
        return -1;
    return mpq_sqlite_add_failed(&broker->db, queue, job, err);
}

static int list_envelopes(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, int64_t owner, mpq_batch *out,
                          mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    sqlite3_stmt *row = mpq_sqlite_bind(db, MPQ_SQL_RUNNING_ADOPT, err, "ii", owner, (int64_t)MPQ_ADOPT_MAX);
    int rc;
    while ((rc = mpq_sqlite_step(db, row, err)) == 0) {
        rc = list_one(broker, queue, owner, row, out, err);
        if (rc == 0 && out->bytes.len < ADOPT_BYTES)
            continue;
        sqlite3_reset(row);
        break;
    }
    return rc < 0 ? -1 : 0;
}

/* `lease_max`: who was named keeps the end of its lease, so that those who know less about it don't find it before. */
static int retire(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, int64_t dead, int64_t lease_max, mpq_batch *out,
                  mpq_error *err)
{
    if (list_envelopes(broker, queue, dead, out, err) < 0)
        return -1;
    if (out->count == 0 && out->garbage == 0)
        return mpq_sqlite_run(&broker->db, NULL, MPQ_SQL_OWNER_DROP, err, "i", dead);
    return mpq_sqlite_run(&broker->db, NULL, MPQ_SQL_OWNER_RETIRE, err, "ii", dead, lease_max);
}

/* When nobody was found: the lease that was renewed on the way is kept. */
static int finish_look(mpq_sqlite_broker *broker, mpq_batch *out, mpq_error *err)
{
    mpq_sqlite *db = &broker->db;
    int64_t until_ms, now_ms = (int64_t)mpq_clock_wall_ms();
    int rc = mpq_sqlite_value(db, &until_ms, MPQ_SQL_OWNER_NEXT, err, "ii", broker->queue, broker->owner);
    if (rc < 0 || mpq_sqlite_commit(db, err) < 0) {
        mpq_sqlite_rollback(db);
        return -1;
    }
    if (rc == 0)
        out->look_in_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    return 1;
}

/* 1 = our own lease has ended, so everybody's may have, while nobody could renew it. */
static int check_own_lease(mpq_sqlite_broker *broker, mpq_error *err)
{
    int64_t until_ms = 0;
    if (!broker->owner)
        return fail_unbound(broker, "adopt", err);
    if (mpq_sqlite_connect(&broker->db, "adopt", err) < 0 ||
        mpq_sqlite_value(&broker->db, &until_ms, MPQ_SQL_OWNER_LEASE, err, "i", broker->owner) < 0)
        return -1;
    return until_ms <= (int64_t)mpq_clock_wall_ms();
}

int mpq_sqlite_adopt(mpq_broker *head, const char *dead, mpq_batch *out, mpq_error *err)
{
    mpq_sqlite_broker *broker = (mpq_sqlite_broker *)head;
    mpq_sqlite_queue queue;
    int64_t owner;
    mpq_batch_clear(out);
    int rc = dead ? 0 : check_own_lease(broker, err);
    out->ended = rc > 0;
    if (rc != 0)
        return rc;
    rc = mpq_sqlite_begin_as_owner(broker, "adopt", &queue, err);
    if (rc != 0) {
        out->lost = rc > 0;
        return rc;
    }
    rc = find_dead(broker, dead, &owner, out, err);
    if (rc == 1 && !dead)
        return finish_look(broker, out, err);
    if (rc == 0)
        rc = retire(broker, &queue, owner, dead ? INT64_MAX : 0, out, err);
    rc = mpq_sqlite_finish(broker, &queue, rc, err);
    if (rc != 0)
        mpq_batch_clear(out);
    return rc;
}
