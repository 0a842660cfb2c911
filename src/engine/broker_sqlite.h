/*
 * The SQLite driver, for its own files only:
 *   broker_sqlite.c           handle, pushing, counting, the table of functions
 *   broker_sqlite_admin.c     failed records, clearing
 *   broker_sqlite_owner.c     attach, detach, renew, adopt
 *   broker_sqlite_exchange.c  settle and reserve, waiting
 */
#ifndef MPQ_BROKER_SQLITE_H
#define MPQ_BROKER_SQLITE_H

#include "broker.h"
#include "sqlite_db.h"
#include "sqlite_wake.h"

enum { MPQ_SQLITE_OUTSTANDING = 2 };

typedef struct mpq_sqlite_broker {
    mpq_broker head;
    mpq_sqlite db;
    mpq_sqlite_wake wake;
    uint64_t prune_at_ms; /* monotonic: when to look for old producers again */

    /* the owner this handle is bound to; 0 = none */
    int64_t owner;
    int64_t generation;
    int64_t queue;
    uint32_t lease_ms;

    mpq_batch answers[MPQ_SQLITE_OUTSTANDING]; /* oldest first */
    size_t answer_count;
    int64_t told_due_at_ms; /* the earliest due time that the latest answer told of, -1 = none */
} mpq_sqlite_broker;

/* A queue's row, loaded and saved in one transaction. */
typedef struct mpq_sqlite_queue {
    int64_t id;
    int64_t head;   /* the lowest position in use, or below */
    int64_t tail;   /* the next position at the end */
    int64_t record; /* the next position among the failed records */
    mpq_counts counts;
    bool wake;               /* what this transaction does concerns those who wait */
    int64_t added_due_at_ms; /* the earliest due time that this transaction added, -1 = none */
} mpq_sqlite_queue;

/* 0; 1 = no such queue; -1. */
int mpq_sqlite_queue_find(mpq_sqlite *db, const char *name, mpq_sqlite_queue *out, mpq_error *err);
int mpq_sqlite_queue_find_or_add(mpq_sqlite *db, const char *name, mpq_sqlite_queue *out, mpq_error *err);
int mpq_sqlite_queue_load(mpq_sqlite *db, int64_t id, mpq_sqlite_queue *out, mpq_error *err);
int mpq_sqlite_queue_save(mpq_sqlite *db, const mpq_sqlite_queue *queue, mpq_error *err);

/* Put a stored job into one of its places and count it there. */
int mpq_sqlite_add_ready(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t position, int64_t job, mpq_error *err);
int mpq_sqlite_add_delayed(mpq_sqlite *db, mpq_sqlite_queue *queue, uint64_t delay_ms, int64_t job, mpq_error *err);
int mpq_sqlite_add_failed(mpq_sqlite *db, mpq_sqlite_queue *queue, int64_t job, mpq_error *err);
/* The earliest due time, -1 = none. */
int mpq_sqlite_first_due(mpq_sqlite *db, const mpq_sqlite_queue *queue, int64_t *out_at_ms, mpq_error *err);

/* Ends a transaction: with rc 0 saves the queue, commits and wakes who waits, else rolls back. Returns the outcome;
 * a positive rc is returned as it is. */
int mpq_sqlite_finish(mpq_sqlite_broker *broker, mpq_sqlite_queue *queue, int rc, mpq_error *err);

/* Connects, begins, renews the lease and loads the queue. 0; 1 = the lease was taken, or another connection has
 * resumed (nothing is begun); -1. */
int mpq_sqlite_begin_as_owner(mpq_sqlite_broker *broker, const char *doing, mpq_sqlite_queue *queue, mpq_error *err);

int mpq_sqlite_failed(mpq_broker *broker, const char *queue, mpq_failed_fn fn, void *arg, mpq_error *err);
int mpq_sqlite_clear(mpq_broker *broker, const char *queue, mpq_error *err);
int mpq_sqlite_attach(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                      mpq_buf *held, mpq_error *err);
int mpq_sqlite_detach(mpq_broker *broker, mpq_error *err);
int mpq_sqlite_renew(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err);
int mpq_sqlite_adopt(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err);
int mpq_sqlite_send(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err);
int mpq_sqlite_receive(mpq_broker *broker, mpq_batch *out, mpq_error *err);
int mpq_sqlite_fd(mpq_broker *broker);
int mpq_sqlite_wait_arm(mpq_broker *broker, mpq_error *err);
int mpq_sqlite_wait_fds(mpq_broker *broker, int fds[2]);
int mpq_sqlite_wait_collect(mpq_broker *broker, mpq_batch *out, mpq_error *err);

#endif
