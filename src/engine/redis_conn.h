/*
 * One connection to a Redis server: commands out, replies in, everything bounded by a deadline. hiredis connects and
 * parses; reading and writing are done here, without blocking beyond the deadline and without SIGPIPE.
 *
 * Deadlines are mpq_clock_monotonic_ms() values. `what` names the operation for the error's text, which begins
 * "<where>: <what>: ". After a failure of the transport, a timeout or a reply that makes no sense the connection is
 * closed: a late answer must not be taken for the next one's.
 */
#ifndef MPQ_REDIS_CONN_H
#define MPQ_REDIS_CONN_H

#include "buf.h"
#include "config.h"
#include "error.h"

#include <hiredis.h>

/* A command in Redis' protocol, written argument by argument. Zero-initialised memory is an empty one; reusable. */
typedef struct mpq_redis_cmd {
    mpq_buf buf; /* owned */
    size_t count;
    size_t first_count; /* arguments of the first command, once another was begun behind it */
} mpq_redis_cmd;

void mpq_redis_cmd_fini(mpq_redis_cmd *cmd);
void mpq_redis_cmd_begin(mpq_redis_cmd *cmd);
void mpq_redis_cmd_bytes(mpq_redis_cmd *cmd, const void *data, size_t len);
void mpq_redis_cmd_str(mpq_redis_cmd *cmd, const char *text);
void mpq_redis_cmd_u64(mpq_redis_cmd *cmd, uint64_t value);
/* prefix, suffix and name (may be NULL) as one argument. */
void mpq_redis_cmd_key(mpq_redis_cmd *cmd, const char *prefix, const char *suffix, const char *name);
/* Begins another command, of `count` arguments, behind this one: both are sent at once and have an answer each. */
void mpq_redis_cmd_then(mpq_redis_cmd *cmd, size_t count);
/* What to send. Empty when out of memory. */
mpq_slice mpq_redis_cmd_end(mpq_redis_cmd *cmd);

#if HIREDIS_MAJOR >= 1
typedef size_t mpq_redis_element_count;
#else
typedef int mpq_redis_element_count;
#endif

/* Does not move while it is connected: its parser refers to it. */
typedef struct mpq_redis_conn {
    redisContext *context; /* owned; NULL = not connected */
    const char *where;     /* borrowed */
    uint64_t answer_bytes; /* received of the answer that is not complete yet */
    uint64_t heard_at_ms;  /* when something was last received */
    uint32_t recv_ms;      /* a blocking recv returns after this time; 0 = it would not */
    bool transacts;        /* MULTI and EXEC were obeyed */
    /* hiredis makes room for as many elements as an array's header announces; ours refuses what can't be. */
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *task, mpq_redis_element_count count);
    bool refused_array;
} mpq_redis_conn;

/* Connects, authenticates, selects the database and checks the server's version within connect_timeout_ms. */
int mpq_redis_conn_open(mpq_redis_conn *conn, const mpq_broker_config *config, const char *where, mpq_error *err);
void mpq_redis_conn_close(mpq_redis_conn *conn);
/* Connects if not connected, or again if the server has closed a connection that was kept. */
int mpq_redis_conn_ensure(mpq_redis_conn *conn, const mpq_broker_config *config, const char *where, mpq_error *err);
int mpq_redis_conn_fd(const mpq_redis_conn *conn);

int mpq_redis_conn_write(mpq_redis_conn *conn, const char *what, mpq_slice bytes, uint64_t deadline_ms, mpq_error *err);
/* 0 = `*out` is a reply (an error reply, too), freed by freeReplyObject; -1 = failed. A deadline of 0 never waits:
 * 1 = nothing complete yet. */
int mpq_redis_conn_read(mpq_redis_conn *conn, const char *what, uint64_t deadline_ms, redisReply **out, mpq_error *err);
/* For what is asked often and mostly answered alike, without parsing. 0 = exactly these bytes came, 1 = something else,
 * or nothing yet: to be read. */
int mpq_redis_conn_expect(mpq_redis_conn *conn, const char *what, uint64_t deadline_ms, mpq_slice answer,
                          mpq_error *err);
/* Writes, reads, and turns an error reply into -1, except NOSCRIPT, which comes back as a reply. */
int mpq_redis_conn_call(mpq_redis_conn *conn, const char *what, mpq_slice bytes, uint64_t deadline_ms, redisReply **out,
                        mpq_error *err);

bool mpq_redis_is_error(const redisReply *reply, const char *code);
bool mpq_redis_is_status(const redisReply *reply, const char *text);
/* The reply's bytes; empty for anything but a string. */
mpq_slice mpq_redis_slice(const redisReply *reply);

/* Turns an error reply into -1: CONNECT when the server asks to come again later, else BROKER. */
int mpq_redis_refused(mpq_redis_conn *conn, const char *what, const redisReply *reply, mpq_error *err);
/* -1 for a reply of a type or size that the operation can't have; closes. */
int mpq_redis_unexpected(mpq_redis_conn *conn, const char *what, mpq_error *err);

#endif
