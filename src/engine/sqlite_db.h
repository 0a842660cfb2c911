/*
 * One connection of this process to a queue database: opening and checking the file, prepared statements,
 * transactions, and errors in words. Knows the schema's version, not what the tables mean.
 *
 * Connections and fork. SQLite keeps the locks of a process per inode, so a child that opened a connection beside an
 * inherited one would believe it holds its parent's locks, and another process could delete the log under it. Every
 * connection is therefore on a list of this process; connecting in a child first closes what it has inherited, in a
 * way that neither checkpoints nor deletes anything. POSIX locks belong to a process, so the parent's stay.
 */
#ifndef MPQ_SQLITE_DB_H
#define MPQ_SQLITE_DB_H

#include <sqlite3.h>

#include "config.h"
#include "error.h"
#include "sqlite_sql.h"

typedef struct mpq_sqlite mpq_sqlite;
struct mpq_sqlite {
    sqlite3 *handle; /* NULL = not connected */
    sqlite3_stmt *statements[MPQ_SQL_COUNT];
    char *path;        /* owned, absolute */
    const char *doing; /* borrowed: the operation, for messages */
    bool durable;
    bool broken; /* after an error of the file: connect anew before the next operation */
    uint32_t connect_timeout_ms;
    uint32_t read_timeout_ms;
    uint64_t busy_deadline_ms; /* monotonic: how long a lock of another process is waited for */
    int checkpoint_at_pages;   /* length of the log at which this connection copies it next */
    long opened_by;            /* pid */
    mpq_sqlite *next;          /* list of this process's connections */
};

/* Copies what it needs of the configuration; a relative path is made absolute. Does not connect. */
int mpq_sqlite_init(mpq_sqlite *db, const mpq_broker_config *config, mpq_error *err);
void mpq_sqlite_fini(mpq_sqlite *db);
/* The same in a forked child: leaves the parent's log and locks alone. */
void mpq_sqlite_forget(mpq_sqlite *db);

/* Connects unless connected to the file that is at the path now; creates the database when there is none. Every
 * operation begins with it. `doing` is a literal. */
int mpq_sqlite_connect(mpq_sqlite *db, const char *doing, mpq_error *err);

/* Every write happens between begin, which takes the write lock, and commit or rollback. */
int mpq_sqlite_begin(mpq_sqlite *db, mpq_error *err);
int mpq_sqlite_commit(mpq_sqlite *db, mpq_error *err);
void mpq_sqlite_rollback(mpq_sqlite *db);

/* The statement with its parameters bound, or NULL. One character of `types` for each: i int64_t, t const char *,
 * b mpq_slice. Texts and slices are borrowed until the statement is reset. */
sqlite3_stmt *mpq_sqlite_bind(mpq_sqlite *db, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...);
/* 0 = a row; 1 = no more, and the statement is reset; -1 = failed, and it is reset. NULL statement: -1. */
int mpq_sqlite_step(mpq_sqlite *db, sqlite3_stmt *statement, mpq_error *err);
/* bind and step of a statement without rows. `changes` (may be NULL) gets the number of rows it touched. */
int mpq_sqlite_run(mpq_sqlite *db, int64_t *changes, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...);
/* First column of the first row: 0, 1 when there is no row, -1. */
int mpq_sqlite_value(mpq_sqlite *db, int64_t *out, enum mpq_sqlite_sql sql, mpq_error *err, const char *types, ...);

mpq_slice mpq_sqlite_column(sqlite3_stmt *statement, int column);

/* Puts the latest error of the connection into words. Returns -1. */
int mpq_sqlite_fail(mpq_sqlite *db, mpq_error *err);

#endif
