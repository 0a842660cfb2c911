#include "redis_scripts.h"

#include <string.h>

#include "redis_scripts_data.h"

const mpq_redis_script_text *mpq_redis_script(enum mpq_redis_script script)
{
    return &script_texts[script];
}

void mpq_redis_script_begin(mpq_redis_cmd *cmd, enum mpq_redis_script script, size_t key_count)
{
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "EVALSHA");
    mpq_redis_cmd_str(cmd, script_texts[script].sha1);
    mpq_redis_cmd_u64(cmd, key_count);
}

int mpq_redis_script_load(mpq_redis_conn *conn, enum mpq_redis_script script, uint64_t deadline_ms, mpq_error *err)
{
    const mpq_redis_script_text *text = &script_texts[script];
    mpq_redis_cmd cmd = {0};
    redisReply *reply;
    mpq_redis_cmd_begin(&cmd);
    mpq_redis_cmd_str(&cmd, "SCRIPT");
    mpq_redis_cmd_str(&cmd, "LOAD");
    mpq_redis_cmd_bytes(&cmd, text->text, text->len);
    int rc = mpq_redis_conn_call(conn, text->name, mpq_redis_cmd_end(&cmd), deadline_ms, &reply, err);
    mpq_redis_cmd_fini(&cmd);
    if (rc < 0)
        return -1;
    mpq_slice sha1 = mpq_redis_slice(reply);
    if (sha1.len != 40 || memcmp(sha1.data, text->sha1, 40) != 0)
        rc = mpq_redis_unexpected(conn, text->name, err);
    freeReplyObject(reply);
    return rc;
}

int mpq_redis_script_call(mpq_redis_conn *conn, enum mpq_redis_script script, mpq_redis_cmd *cmd, uint64_t deadline_ms,
                          redisReply **out, mpq_error *err)
{
    const char *name = script_texts[script].name;
    mpq_slice bytes = mpq_redis_cmd_end(cmd);
    if (mpq_redis_conn_call(conn, name, bytes, deadline_ms, out, err) < 0)
        return -1;
    if (!mpq_redis_is_error(*out, "NOSCRIPT"))
        return 0;
    freeReplyObject(*out);
    if (mpq_redis_script_load(conn, script, deadline_ms, err) < 0 ||
        mpq_redis_conn_call(conn, name, bytes, deadline_ms, out, err) < 0)
        return -1;
    if (!mpq_redis_is_error(*out, "NOSCRIPT"))
        return 0;
    mpq_redis_refused(conn, name, *out, err);
    freeReplyObject(*out);
    return -1;
}
