#include "sqlite_sql.h"

#include "sqlite_db.h"

#include <stdarg.h>

/*
 * An envelope is stored once, in `job`, and stays there until the job ends; where the job is, is a small row in exactly
 * one of ready, delayed, running and failed. So a large job is not copied from place to place.
 *
 * ready: by position, not by time, so a clock that is set back changes no order. Positions of a queue grow at its tail
 * and shrink at its head, and are never used twice. running: `position` is the one that the job was reserved from.
 * owner: `generation` is a random number given at each attach; a request of an earlier attach has another one. An owner
 * without jobs whose lease was taken is deleted; ids are never used again.
 */
const char mpq_sqlite_schema[] =
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL DEFAULT 0,"
    " tail INTEGER NOT NULL DEFAULT 0, record INTEGER NOT NULL DEFAULT 0, pushed INTEGER NOT NULL DEFAULT 0,"
    " ready INTEGER NOT NULL DEFAULT 0, delayed INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
    " failed INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE job(id INTEGER PRIMARY KEY, envelope BLOB NOT NULL);"
    "CREATE TABLE ready(queue INTEGER NOT NULL, position INTEGER NOT NULL, job INTEGER NOT NULL,"
    " PRIMARY KEY(queue, position)) WITHOUT ROWID;"
    "CREATE TABLE delayed(queue INTEGER NOT NULL, due_at INTEGER NOT NULL, job INTEGER NOT NULL,"
    " PRIMARY KEY(queue, due_at, job)) WITHOUT ROWID;"
    "CREATE TABLE running(owner INTEGER NOT NULL, id BLOB NOT NULL, job INTEGER NOT NULL, position INTEGER NOT NULL,"
    " PRIMARY KEY(owner, id, job)) WITHOUT ROWID;"
    "CREATE TABLE failed(queue INTEGER NOT NULL, position INTEGER NOT NULL, job INTEGER NOT NULL,"
    " PRIMARY KEY(queue, position)) WITHOUT ROWID;"
    "CREATE TABLE owner(id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, name TEXT NOT NULL,"
    " generation INTEGER NOT NULL, lease_until INTEGER NOT NULL, retired INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE(queue, name));"
    "CREATE TABLE producer(producer INTEGER NOT NULL, queue INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " seen_at INTEGER NOT NULL, PRIMARY KEY(producer, queue)) WITHOUT ROWID;"
    "CREATE TABLE state(pruned_at INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0);";

#define QUEUE_COLUMNS "id, head, tail, record, pushed, ready, delayed, running, failed, done"

const char *const mpq_sqlite_texts[MPQ_SQL_COUNT] = {
    [MPQ_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [MPQ_SQL_COMMIT] = "COMMIT",
    [MPQ_SQL_ROLLBACK] = "ROLLBACK",

    [MPQ_SQL_QUEUE_ADD] = "INSERT INTO queue(name) VALUES(?1)",
    [MPQ_SQL_QUEUE_BY_NAME] = "SELECT " QUEUE_COLUMNS " FROM queue WHERE name = ?1",
    [MPQ_SQL_QUEUE_BY_ID] = "SELECT " QUEUE_COLUMNS " FROM queue WHERE id = ?1",
    [MPQ_SQL_QUEUE_SAVE] = "UPDATE queue SET head = ?2, tail = ?3, record = ?4, pushed = ?5, ready = ?6, delayed = ?7,"
                           " running = ?8, failed = ?9, done = ?10 WHERE id = ?1",

    [MPQ_SQL_JOB_ADD] = "INSERT INTO job(envelope) VALUES(?1)",
    [MPQ_SQL_JOB_CHANGE] = "UPDATE job SET envelope = ?2 WHERE id = ?1",
    [MPQ_SQL_JOB_DROP] = "DELETE FROM job WHERE id = ?1",

    [MPQ_SQL_READY_ADD] = "INSERT INTO ready(queue, position, job) VALUES(?1, ?2, ?3)",
    [MPQ_SQL_READY_LIST] = "SELECT ready.position, job.id, job.envelope FROM ready CROSS JOIN job ON job.id = ready.job"
                           " WHERE ready.queue = ?1 ORDER BY ready.position LIMIT ?2",
    [MPQ_SQL_READY_DROP] = "DELETE FROM ready WHERE queue = ?1 AND position <= ?2",
    [MPQ_SQL_READY_CUT] = "SELECT position FROM ready WHERE queue = ?1 AND position <= ?2 ORDER BY position"
                          " LIMIT 1 OFFSET ?3",
    [MPQ_SQL_READY_DROP_JOBS] =
        "DELETE FROM job WHERE id IN (SELECT job FROM ready WHERE queue = ?1 AND position <= ?2)",

    [MPQ_SQL_DELAYED_ADD] = "INSERT INTO delayed(queue, due_at, job) VALUES(?1, ?2, ?3)",
    [MPQ_SQL_DELAYED_FIRST] = "SELECT due_at FROM delayed WHERE queue = ?1 ORDER BY due_at LIMIT 1",
    [MPQ_SQL_DELAYED_DUE] = "SELECT due_at, job FROM delayed WHERE queue = ?1 AND due_at <= ?2 ORDER BY due_at, job"
                            " LIMIT ?3",
    [MPQ_SQL_DELAYED_DROP] = "DELETE FROM delayed WHERE queue = ?1 AND (due_at, job) <= (?2, ?3)",
    [MPQ_SQL_DELAYED_CUT] = "SELECT due_at, job FROM delayed WHERE queue = ?1 ORDER BY due_at, job LIMIT 1 OFFSET ?2",
    [MPQ_SQL_DELAYED_DROP_JOBS] =
        "DELETE FROM job WHERE id IN (SELECT job FROM delayed WHERE queue = ?1 AND (due_at, job) <= (?2, ?3))",

    [MPQ_SQL_RUNNING_ADD] = "INSERT INTO running(owner, id, job, position) VALUES(?1, ?2, ?3, ?4)",
    [MPQ_SQL_RUNNING_FIND] = "SELECT job FROM running WHERE owner = ?1 AND id = ?2 LIMIT 1",
    [MPQ_SQL_RUNNING_END] = "DELETE FROM running WHERE owner = ?1 AND id = ?2 AND job = ?3",
    [MPQ_SQL_RUNNING_IDS] = "SELECT id FROM running WHERE owner = ?1 ORDER BY position",
    [MPQ_SQL_RUNNING_LIST] = "SELECT job FROM running WHERE owner = ?1 ORDER BY position",
    [MPQ_SQL_RUNNING_DROP] = "DELETE FROM running WHERE owner = ?1",
    [MPQ_SQL_RUNNING_ADOPT] = "SELECT job.envelope, running.id, job.id FROM running JOIN job ON job.id = running.job"
                              " WHERE running.owner = ?1 ORDER BY running.position LIMIT ?2",
    [MPQ_SQL_RUNNING_ANY] = "SELECT 1 FROM running WHERE owner = ?1 LIMIT 1",
    [MPQ_SQL_RUNNING_CLEAR_JOBS] = "DELETE FROM job WHERE id IN (SELECT running.job FROM owner JOIN running ON"
                                   " running.owner = owner.id WHERE owner.queue = ?1)",
    [MPQ_SQL_RUNNING_CLEAR] = "DELETE FROM running WHERE owner IN (SELECT id FROM owner WHERE queue = ?1)",

    [MPQ_SQL_FAILED_ADD] = "INSERT INTO failed(queue, position, job) VALUES(?1, ?2, ?3)",
    [MPQ_SQL_FAILED_LIST] = "SELECT failed.position, job.envelope FROM failed CROSS JOIN job ON job.id = failed.job"
                            " WHERE failed.queue = ?1 AND failed.position > ?2 ORDER BY failed.position LIMIT 100",
    [MPQ_SQL_FAILED_DROP] = "DELETE FROM failed WHERE queue = ?1 AND position <= ?2",
    [MPQ_SQL_FAILED_CUT] = "SELECT position FROM failed WHERE queue = ?1 AND position <= ?2 ORDER BY position"
                           " LIMIT 1 OFFSET ?3",
    [MPQ_SQL_FAILED_DROP_JOBS] =
        "DELETE FROM job WHERE id IN (SELECT job FROM failed WHERE queue = ?1 AND position <= ?2)",

    [MPQ_SQL_OWNER_ADD] = "INSERT INTO owner(queue, name, generation, lease_until) VALUES(?1, ?2, ?3, ?4)",
    [MPQ_SQL_OWNER_RESUME] = "UPDATE owner SET generation = ?2, lease_until = ?3 WHERE id = ?1",
    [MPQ_SQL_OWNER_BY_NAME] = "SELECT id FROM owner WHERE queue = ?1 AND name = ?2 AND retired = 0",
    [MPQ_SQL_OWNER_HOLD] = "UPDATE owner SET lease_until = ?3 WHERE id = ?1 AND generation = ?2 AND retired = 0",
    [MPQ_SQL_OWNER_RENEW] = "UPDATE owner SET lease_until = ?3 WHERE queue = ?1 AND name = ?2 AND retired = 0",
    [MPQ_SQL_OWNER_ENDED] = "SELECT id, name FROM owner WHERE queue = ?1 AND id <> ?2 AND lease_until <= ?3"
                            " ORDER BY lease_until LIMIT 1",
    [MPQ_SQL_OWNER_NEXT] = "SELECT lease_until FROM owner WHERE queue = ?1 AND id <> ?2 ORDER BY lease_until LIMIT 1",
    [MPQ_SQL_OWNER_LEASE] = "SELECT lease_until FROM owner WHERE id = ?1",
    [MPQ_SQL_OWNER_NAMED] = "SELECT id, name FROM owner WHERE queue = ?1 AND id <> ?2 AND name = ?3",
    [MPQ_SQL_OWNER_RETIRED] = "SELECT id FROM owner WHERE queue = ?1 AND name = ?2 AND retired = 1",
    [MPQ_SQL_OWNER_RETIRE] = "UPDATE owner SET retired = 1, lease_until = min(lease_until, ?2) WHERE id = ?1",
    [MPQ_SQL_OWNER_DROP] = "DELETE FROM owner WHERE id = ?1",

    [MPQ_SQL_PRODUCER_ACCEPT] = "INSERT INTO producer(producer, queue, sequence, seen_at) VALUES(?1, ?2, ?3, ?4)"
                                " ON CONFLICT(producer, queue) DO UPDATE SET sequence = ?3, seen_at = ?4"
                                " WHERE ?3 > sequence",
    [MPQ_SQL_PRODUCER_PRUNE] = "DELETE FROM producer WHERE seen_at < ?1",
    [MPQ_SQL_PRUNED_AT] = "SELECT pruned_at FROM state",
    [MPQ_SQL_PRUNED_SET] = "UPDATE state SET pruned_at = ?1",
};

static int bind_one(sqlite3_stmt *statement, int at, char type, va_list *args)
{
    if (type == 'i')
        return sqlite3_bind_int64(statement, at, va_arg(*args, int64_t));
    if (type == 't')
        return sqlite3_bind_text(statement, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
    mpq_slice bytes = va_arg(*args, mpq_slice);
    return sqlite3_bind_blob64(statement, at, bytes.len ? bytes.data : "", bytes.len, SQLITE_STATIC);
}

static sqlite3_stmt *bind_all(mpq_sqlite *db, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, va_list *args)
{
    sqlite3_stmt **cached = &db->statements[sql];
    if (!*cached && sqlite3_prepare_v3(db->handle, mpq_sqlite_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, cached,
                                       NULL) != SQLITE_OK) {
        mpq_sqlite_fail(db, err);
        return NULL;
    }
    for (int i = 0; types[i]; i++) {
        if (bind_one(*cached, i + 1, types[i], args) == SQLITE_OK)
            continue;
        mpq_sqlite_fail(db, err);
        return NULL;
    }
    return *cached;
}

sqlite3_stmt *mpq_sqlite_bind(mpq_sqlite *db, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *statement = bind_all(db, sql, err, types, &args);
    va_end(args);
    return statement;
}

int mpq_sqlite_step(mpq_sqlite *db, sqlite3_stmt *statement, mpq_error *err)
{
    if (!statement)
        return -1;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 0;
    int result = rc == SQLITE_DONE ? 1 : mpq_sqlite_fail(db, err);
    sqlite3_reset(statement);
    return result;
}

int mpq_sqlite_run(mpq_sqlite *db, int64_t *changes, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *statement = bind_all(db, sql, err, types, &args);
    va_end(args);
    if (mpq_sqlite_step(db, statement, err) < 0)
        return -1;
    if (changes)
        *changes = sqlite3_changes(db->handle);
    return 0;
}

int mpq_sqlite_value(mpq_sqlite *db, int64_t *out, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *statement = bind_all(db, sql, err, types, &args);
    va_end(args);
    int rc = mpq_sqlite_step(db, statement, err);
    if (rc != 0)
        return rc;
    *out = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

mpq_slice mpq_sqlite_column(sqlite3_stmt *statement, int column)
{
    const char *data = sqlite3_column_blob(statement, column);
    return mpq_slice_of(data, (size_t)sqlite3_column_bytes(statement, column));
}
