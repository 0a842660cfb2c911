/* The Lua scripts of the Redis driver (scripts/<name>.lua, embedded by the build) and how they are called. */
#ifndef MPQ_REDIS_SCRIPTS_H
#define MPQ_REDIS_SCRIPTS_H

#include "redis_conn.h"

enum mpq_redis_script {
    MPQ_SCRIPT_ADOPT,
    MPQ_SCRIPT_ATTACH,
    MPQ_SCRIPT_CLEAR,
    MPQ_SCRIPT_COUNTS,
    MPQ_SCRIPT_DETACH,
    MPQ_SCRIPT_EXCHANGE,
    MPQ_SCRIPT_PUSH,
    MPQ_SCRIPT_RENEW,
    MPQ_SCRIPT_COUNT
};

typedef struct mpq_redis_script_text {
    const char *name;
    const char *text;
    size_t len;
    const char *sha1;
} mpq_redis_script_text;

const mpq_redis_script_text *mpq_redis_script(enum mpq_redis_script script);

/* Begins a call: the keys have to follow, then the arguments. */
void mpq_redis_script_begin(mpq_redis_cmd *cmd, enum mpq_redis_script script, size_t key_count);
/* Makes the server know it. */
int mpq_redis_script_load(mpq_redis_conn *conn, enum mpq_redis_script script, uint64_t deadline_ms, mpq_error *err);
/* Calls and waits; loads the script first where the server has forgotten it. */
int mpq_redis_script_call(mpq_redis_conn *conn, enum mpq_redis_script script, mpq_redis_cmd *cmd, uint64_t deadline_ms,
                          redisReply **out, mpq_error *err);

#endif
