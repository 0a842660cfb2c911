/* Commands in Redis' protocol. */
#include "redis_conn.h"

#include <string.h>

enum {
    HEADER_BYTES = 24, /* room for "*<count>\r\n" in front of the arguments */
    NUMBER_BYTES = 20
};

void mpq_redis_cmd_fini(mpq_redis_cmd *cmd)
{
    mpq_buf_fini(&cmd->buf);
    cmd->count = 0;
}

void mpq_redis_cmd_begin(mpq_redis_cmd *cmd)
{
    static const char room[HEADER_BYTES];
    mpq_buf_clear(&cmd->buf);
    mpq_buf_append(&cmd->buf, room, sizeof room);
    cmd->count = cmd->first_count = 0;
}

/* Backwards: this runs several times for each job. Returns where it begins. */
static char *write_number(uint64_t value, char *end)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

/* "$<len>\r\n" */
static void begin_arg(mpq_redis_cmd *cmd, size_t len)
{
    char text[HEADER_BYTES];
    char *end = text + sizeof text - 2;
    memcpy(end, "\r\n", 2);
    char *at = write_number(len, end);
    *--at = '$';
    mpq_buf_append(&cmd->buf, at, (size_t)(text + sizeof text - at));
    cmd->count++;
}

void mpq_redis_cmd_bytes(mpq_redis_cmd *cmd, const void *data, size_t len)
{
    begin_arg(cmd, len);
    mpq_buf_append(&cmd->buf, data, len);
    mpq_buf_append(&cmd->buf, "\r\n", 2);
}

void mpq_redis_cmd_str(mpq_redis_cmd *cmd, const char *text)
{
    mpq_redis_cmd_bytes(cmd, text, strlen(text));
}

void mpq_redis_cmd_u64(mpq_redis_cmd *cmd, uint64_t value)
{
    char text[NUMBER_BYTES];
    char *at = write_number(value, text + sizeof text);
    mpq_redis_cmd_bytes(cmd, at, (size_t)(text + sizeof text - at));
}

void mpq_redis_cmd_key(mpq_redis_cmd *cmd, const char *prefix, const char *suffix, const char *name)
{
    begin_arg(cmd, strlen(prefix) + strlen(suffix) + (name ? strlen(name) : 0));
    mpq_buf_append_str(&cmd->buf, prefix);
    mpq_buf_append_str(&cmd->buf, suffix);
    if (name)
        mpq_buf_append_str(&cmd->buf, name);
    mpq_buf_append(&cmd->buf, "\r\n", 2);
}

void mpq_redis_cmd_then(mpq_redis_cmd *cmd, size_t count)
{
    if (!cmd->first_count)
        cmd->first_count = cmd->count;
    mpq_buf_printf(&cmd->buf, "*%zu\r\n", count);
}

/* The count is known last but comes first: it is written right-aligned into the room kept for it. */
mpq_slice mpq_redis_cmd_end(mpq_redis_cmd *cmd)
{
    if (cmd->buf.failed)
        return mpq_slice_of(NULL, 0);
    char *end = cmd->buf.data + HEADER_BYTES - 2;
    memcpy(end, "\r\n", 2);
    char *at = write_number(cmd->first_count ? cmd->first_count : cmd->count, end);
    *--at = '*';
    return mpq_slice_of(at, (size_t)(cmd->buf.data + cmd->buf.len - at));
}
