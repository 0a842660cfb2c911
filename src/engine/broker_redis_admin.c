/* Looking at a queue from outside, and emptying it. */
#include "broker_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_FIRST = 10, PAGE_MAX = 1000, PAGE_BYTES = 1 << 20 };

/* The keys of counts.lua and clear.lua. */
static void write_keys(mpq_redis_cmd *cmd, enum mpq_redis_script script, const char *keys)
{
    static const char *const suffixes[] = {"ready", "delayed", "failed", "stats", "nodes", "retired", "seq:gates"};
    mpq_redis_script_begin(cmd, script, sizeof suffixes / sizeof *suffixes);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        mpq_redis_cmd_key(cmd, keys, suffixes[i], NULL);
    mpq_redis_cmd_str(cmd, keys);
}

static int ask_about(mpq_redis *redis, enum mpq_redis_script script, const char *queue, redisReply **out,
                     mpq_error *err)
{
    char *keys = mpq_redis_keys(redis, queue);
    if (!keys)
        return mpq_error_set_memory(err);
    write_keys(&redis->cmd, script, keys);
    free(keys);
    return mpq_redis_ask(redis, script, true, out, err);
}

int mpq_redis_counts(mpq_broker *broker, const char *queue, mpq_counts *out, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    uint64_t *const fields[] = {&out->pushed, &out->ready, &out->delayed, &out->running, &out->failed, &out->done};
    size_t count = sizeof fields / sizeof *fields;
    redisReply *reply;
    if (ask_about(redis, MPQ_SCRIPT_COUNTS, queue, &reply, err) < 0)
        return -1;
    bool valid = reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
    for (size_t i = 0; valid && i < count; i++) {
        valid = reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
        *fields[i] = valid ? (uint64_t)reply->element[i]->integer : 0;
    }
    freeReplyObject(reply);
    return valid ? 0 : mpq_redis_unexpected(&redis->calls, "counts", err);
}

int mpq_redis_clear(mpq_broker *broker, const char *queue, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    redisReply *reply;
    if (ask_about(redis, MPQ_SCRIPT_CLEAR, queue, &reply, err) < 0)
        return -1;
    bool done = mpq_redis_is_status(reply, "OK");
    freeReplyObject(reply);
    return done ? 0 : mpq_redis_unexpected(&redis->calls, "clear", err);
}

typedef struct page {
    redisReply *reply; /* owned: [cursor, [field, value, ...]] */
    const redisReply *pairs;
    char cursor[32]; /* "0" = this was the last */
} page;

static int read_page(mpq_redis *redis, const char *keys, unsigned count, page *at, mpq_error *err)
{
    mpq_redis_cmd *cmd = &redis->cmd;
    if (mpq_redis_conn_ensure(&redis->calls, &redis->config, redis->where, err) < 0)
        return -1;
    mpq_redis_cmd_begin(cmd);
    mpq_redis_cmd_str(cmd, "HSCAN");
    mpq_redis_cmd_key(cmd, keys, "failed", NULL);
    mpq_redis_cmd_str(cmd, at->cursor);
    mpq_redis_cmd_str(cmd, "COUNT");
    mpq_redis_cmd_u64(cmd, count);
    if (mpq_redis_conn_call(&redis->calls, "failed", mpq_redis_cmd_end(cmd), mpq_redis_deadline(redis), &at->reply,
                            err) < 0)
        return -1;
    const redisReply *reply = at->reply;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[0]->len > 0 && (size_t)reply->element[0]->len < sizeof at->cursor &&
        reply->element[1]->type == REDIS_REPLY_ARRAY && reply->element[1]->elements % 2 == 0) {
        memcpy(at->cursor, reply->element[0]->str, (size_t)reply->element[0]->len + 1);
        at->pairs = reply->element[1];
        return 0;
    }
    freeReplyObject(at->reply);
    return mpq_redis_unexpected(&redis->calls, "failed", err);
}

/* Pages of about a megabyte, whatever the size of a record. */
static unsigned next_count(const page *at, unsigned count)
{
    size_t bytes = 0, records = at->pairs->elements / 2;
    for (size_t i = 1; i < at->pairs->elements; i += 2)
        bytes += mpq_redis_slice(at->pairs->element[i]).len;
    if (bytes == 0)
        return count;
    size_t fits = PAGE_BYTES * records / bytes;
    return fits < 1 ? 1 : fits > PAGE_MAX ? PAGE_MAX : (unsigned)fits;
}

/* A true server's cursors never come back. Those of one that would send us around for ever do, and meet the one that is
 * remembered: a later one each time, after twice as many pages. */
typedef struct circle {
    char cursor[sizeof(((page *)0)->cursor)];
    unsigned pages, until;
} circle;

static bool goes_in_circles(circle *seen, const page *at)
{
    if (strcmp(seen->cursor, at->cursor) == 0)
        return true;
    if (seen->pages++ == seen->until) {
        seen->until = 2 * seen->pages;
        memcpy(seen->cursor, at->cursor, sizeof seen->cursor);
    }
    return false;
}

/* Records that come or go while it runs may be seen twice or not at all. */
int mpq_redis_failed(mpq_broker *broker, const char *queue, mpq_failed_fn fn, void *arg, mpq_error *err)
{
    mpq_redis *redis = (mpq_redis *)broker;
    page at = {.cursor = "0"};
    circle seen = {.cursor = ""};
    unsigned count = PAGE_FIRST;
    int rc = 0, stop = 0;
    char *keys = mpq_redis_keys(redis, queue);
    if (!keys)
        return mpq_error_set_memory(err);
    do {
        rc = read_page(redis, keys, count, &at, err);
        if (rc < 0)
            break;
        for (size_t i = 1; !stop && i < at.pairs->elements; i += 2)
            stop = fn(arg, mpq_redis_slice(at.pairs->element[i]));
        count = next_count(&at, count);
        freeReplyObject(at.reply);
        if (goes_in_circles(&seen, &at))
            rc = mpq_redis_unexpected(&redis->calls, "failed", err);
    } while (rc == 0 && !stop && strcmp(at.cursor, "0") != 0);
    free(keys);
    return rc;
}
