#include "redis_conn.h"

#include "clock.h"
#include "crashpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    READ_BYTES = 64 * 1024,  /* one recv */
    KEPT_BYTES = 256 * 1024, /* hiredis gives a larger empty buffer back */
    NEED_MAJOR = 6,
    NEED_MINOR = 2,
    ELEMENTS_MAX = 1 << 16 /* of one array: more than any answer has */
};

/* One string can have half a gigabyte, and some answers are made of several. */
#define ANSWER_MAX_BYTES (UINT64_C(2) << 30)

/* -- failures ------------------------------------------------------------------------------------------------- */

/* The connection ends with it. */
static int break_off(mpq_redis_conn *conn, enum mpq_error_kind kind, const char *what, const char *cause,
                     mpq_error *err)
{
    mpq_error_set(err, kind, "%s: %s: %s", conn->where, what, cause);
    mpq_redis_conn_close(conn);
    return -1;
}

static int break_off_errno(mpq_redis_conn *conn, int number, const char *what, mpq_error *err)
{
    char cause[160];
    snprintf(cause, sizeof cause, "connection lost: %s", strerror(number));
    return break_off(conn, MPQ_ERROR_CONNECT, what, cause, err);
}

int mpq_redis_unexpected(mpq_redis_conn *conn, const char *what, mpq_error *err)
{
    return break_off(conn, MPQ_ERROR_BROKER, what, "the server's answer makes no sense; is it a Redis?", err);
}

/* Servers wrap what a command in a script answered: before version 7 in front ("ERR Error running script (...):
 * @user_script:1: @user_script: 1: -OOM command ..."), since then behind ("OOM command ... script: <sha1>, ..."). */
static mpq_slice unwrap(const char *text)
{
    if (strncmp(text, "ERR Error running script", 24) == 0) {
        const char *inner = strstr(text, ": -");
        text = inner ? inner + 3 : text;
    }
    const char *tail = strstr(text, " script: ");
    return mpq_slice_of(text, tail ? (size_t)(tail - text) : strlen(text));
}

static bool asks_to_come_again(mpq_slice text)
{
    static const char *const codes[] = {"LOADING ", "BUSY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN "};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (text.len > strlen(codes[i]) && memcmp(text.data, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

int mpq_redis_refused(mpq_redis_conn *conn, const char *what, const redisReply *reply, mpq_error *err)
{
    mpq_slice text = unwrap(reply->str);
    enum mpq_error_kind kind = asks_to_come_again(text) ? MPQ_ERROR_CONNECT : MPQ_ERROR_BROKER;
    mpq_error_set(err, kind, "%s: %s: %.*s", conn->where, what, (int)text.len, text.data);
    /* A replica now: the name we connected to may lead to the new master next time. */
    if (text.len > 9 && memcmp(text.data, "READONLY ", 9) == 0)
        mpq_redis_conn_close(conn);
    return -1;
}

bool mpq_redis_is_error(const redisReply *reply, const char *code)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, code, strlen(code)) == 0;
}

bool mpq_redis_is_status(const redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, text) == 0;
}

mpq_slice mpq_redis_slice(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING)
        return mpq_slice_of("", 0);
    return mpq_slice_of(reply->str, (size_t)reply->len);
}

/* -- transport ------------------------------------------------------------------------------------------------ */

int mpq_redis_conn_fd(const mpq_redis_conn *conn)
{
    return conn->context ? conn->context->fd : -1;
}

void mpq_redis_conn_close(mpq_redis_conn *conn)
{
    if (conn->context)
        redisFree(conn->context);
    conn->context = NULL;
}

/* 0 = ready, or interrupted: try again; 1 = the deadline has passed. */
static int wait_for(const mpq_redis_conn *conn, short events, uint64_t deadline_ms)
{
    uint64_t now = mpq_clock_monotonic_ms();
    if (now >= deadline_ms)
        return 1;
    struct pollfd entry = {.fd = conn->context->fd, .events = events};
    uint64_t left = deadline_ms - now;
    poll(&entry, 1, left < 60000 ? (int)left : 60000);
    return 0;
}

static int time_out(mpq_redis_conn *conn, const char *what, mpq_error *err)
{
    return break_off(conn, MPQ_ERROR_TIMEOUT, what, "the server did not answer in time", err);
}

int mpq_redis_conn_write(mpq_redis_conn *conn, const char *what, mpq_slice bytes, uint64_t deadline_ms, mpq_error *err)
{
    if (bytes.len == 0)
        return mpq_error_set_memory(err);
    while (bytes.len > 0) {
        ssize_t n = send(conn->context->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            bytes = mpq_slice_of(bytes.data + n, bytes.len - (size_t)n);
            continue;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return break_off_errno(conn, errno, what, err);
        if (errno != EINTR && wait_for(conn, POLLOUT, deadline_ms) > 0)
            return time_out(conn, what, err);
    }
    return 0;
}

static int break_off_too_large(mpq_redis_conn *conn, const char *what, mpq_error *err)
{
    return break_off(conn, MPQ_ERROR_BROKER, what, "the server's answer is larger than any that makes sense", err);
}

/* What hiredis could not parse. */
static int break_off_parser(mpq_redis_conn *conn, const char *what, mpq_error *err)
{
    char cause[200];
    if (conn->refused_array)
        return break_off_too_large(conn, what, err);
    if (conn->context->reader->err == REDIS_ERR_OOM) {
        mpq_redis_conn_close(conn);
        return mpq_error_set_memory(err);
    }
    snprintf(cause, sizeof cause, "the server's answer makes no sense: %.120s", conn->context->reader->errstr);
    return break_off(conn, MPQ_ERROR_BROKER, what, cause, err);
}

/* 0 = `*len` bytes came, none if interrupted; 1 = nothing is there now. */
static int receive(mpq_redis_conn *conn, const char *what, int flags, char bytes[READ_BYTES], size_t *len,
                   mpq_error *err)
{
    ssize_t n = recv(conn->context->fd, bytes, READ_BYTES, flags);
    *len = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 1;
    if (n < 0)
        return break_off_errno(conn, errno, what, err);
    if (n == 0)
        return break_off(conn, MPQ_ERROR_CONNECT, what, "connection lost: closed by the server", err);
    conn->heard_at_ms = mpq_clock_monotonic_ms();
    return 0;
}

static int feed(mpq_redis_conn *conn, const char *what, const char *bytes, size_t len, mpq_error *err)
{
    if (len > 0 && redisReaderFeed(conn->context->reader, bytes, len) != REDIS_OK)
        return break_off_parser(conn, what, err);
    conn->answer_bytes += len;
    return 0;
}

static int take_bytes(mpq_redis_conn *conn, const char *what, int flags, mpq_error *err)
{
    char bytes[READ_BYTES];
    size_t len;
    int rc = receive(conn, what, flags, bytes, &len, err);
    return rc == 0 ? feed(conn, what, bytes, len, err) : rc;
}

/* Of what is not complete yet only a string can have a whole line: that of its length, behind its type. */
static bool will_be_too_large(const mpq_redis_conn *conn)
{
    const redisReader *reader = conn->context->reader;
    uint64_t announced = 0;
    size_t at = reader->pos;
    for (; at < reader->len && reader->buf[at] >= '0' && reader->buf[at] <= '9'; at++)
        if (announced <= ANSWER_MAX_BYTES)
            announced = announced * 10 + (uint64_t)(reader->buf[at] - '0');
    bool is_string = reader->len - at >= 2 && memcmp(reader->buf + at, "\r\n", 2) == 0;
    return (is_string && announced > ANSWER_MAX_BYTES) || conn->answer_bytes > ANSWER_MAX_BYTES;
}

/* Waiting inside recv saves two system calls; the deadline itself is kept by poll. */
static bool may_block(const mpq_redis_conn *conn, uint64_t deadline_ms)
{
    return conn->recv_ms > 0 && deadline_ms >= conn->recv_ms && mpq_clock_monotonic_ms() <= deadline_ms - conn->recv_ms;
}

int mpq_redis_conn_read(mpq_redis_conn *conn, const char *what, uint64_t deadline_ms, redisReply **out, mpq_error *err)
{
    for (bool first = true;; first = false) {
        void *reply = NULL;
        if (redisReaderGetReply(conn->context->reader, &reply) != REDIS_OK)
            return break_off_parser(conn, what, err);
        if (reply) {
            conn->answer_bytes = 0;
            *out = reply;
            return 0;
        }
        if (will_be_too_large(conn))
            return break_off_too_large(conn, what, err);
        int flags = first && may_block(conn, deadline_ms) ? 0 : MSG_DONTWAIT;
        int rc = take_bytes(conn, what, flags, err);
        if (rc < 0 || (rc > 0 && deadline_ms == 0))
            return rc;
        if (rc > 0 && wait_for(conn, POLLIN, deadline_ms) > 0)
            return time_out(conn, what, err);
    }
}

int mpq_redis_conn_expect(mpq_redis_conn *conn, const char *what, uint64_t deadline_ms, mpq_slice answer,
                          mpq_error *err)
{
    char bytes[READ_BYTES];
    size_t len;
    const redisReader *reader = conn->context->reader;
    if (reader->pos < reader->len || !may_block(conn, deadline_ms))
        return 1;
    int rc = receive(conn, what, 0, bytes, &len, err);
    if (rc != 0 || (len == answer.len && memcmp(bytes, answer.data, len) == 0))
        return rc;
    return feed(conn, what, bytes, len, err) < 0 ? -1 : 1;
}

int mpq_redis_conn_call(mpq_redis_conn *conn, const char *what, mpq_slice bytes, uint64_t deadline_ms, redisReply **out,
                        mpq_error *err)
{
    if (mpq_redis_conn_write(conn, what, bytes, deadline_ms, err) < 0)
        return -1;
    MPQ_CRASH_POINT("store.call.sent");
    if (mpq_redis_conn_read(conn, what, deadline_ms, out, err) < 0)
        return -1;
    if ((*out)->type != REDIS_REPLY_ERROR || mpq_redis_is_error(*out, "NOSCRIPT"))
        return 0;
    mpq_redis_refused(conn, what, *out, err);
    freeReplyObject(*out);
    return -1;
}

/* -- connecting ----------------------------------------------------------------------------------------------- */

static void *create_array(const redisReadTask *task, mpq_redis_element_count count)
{
    mpq_redis_conn *conn = task->privdata;
    conn->refused_array = count > ELEMENTS_MAX;
    return conn->refused_array ? NULL : conn->create_array(task, count);
}

static void limit_arrays(mpq_redis_conn *conn)
{
    redisReader *reader = conn->context->reader;
    conn->functions = *reader->fn;
    conn->create_array = conn->functions.createArray;
    conn->functions.createArray = create_array;
    conn->refused_array = false;
    conn->answer_bytes = 0;
    reader->fn = &conn->functions;
    reader->privdata = conn;
}

static int dial(mpq_redis_conn *conn, const mpq_broker_config *config, mpq_error *err)
{
    uint32_t ms = config->connect_timeout_ms ? config->connect_timeout_ms : 1;
    struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    conn->context = config->socket_path ? redisConnectUnixWithTimeout(config->socket_path, timeout)
                                        : redisConnectWithTimeout(config->host, config->port, timeout);
    if (!conn->context)
        return mpq_error_set_memory(err);
    if (conn->context->err)
        return break_off(conn, MPQ_ERROR_CONNECT, "can't connect", conn->context->errstr, err);
    fcntl(conn->context->fd, F_SETFD, FD_CLOEXEC);
    conn->context->reader->maxbuf = KEPT_BYTES;
    limit_arrays(conn);
    if (!config->socket_path)
        redisEnableKeepAlive(conn->context); /* a refusal costs nothing but the notice of a dead peer */
    return 0;
}

static int call_simple(mpq_redis_conn *conn, const char *what, uint64_t deadline_ms, redisReply **out, mpq_error *err,
                       const char *const *args, size_t count)
{
    mpq_redis_cmd cmd = {0};
    mpq_redis_cmd_begin(&cmd);
    for (size_t i = 0; i < count; i++)
        mpq_redis_cmd_str(&cmd, args[i]);
    int rc = mpq_redis_conn_write(conn, what, mpq_redis_cmd_end(&cmd), deadline_ms, err);
    mpq_redis_cmd_fini(&cmd);
    return rc < 0 ? -1 : mpq_redis_conn_read(conn, what, deadline_ms, out, err);
}

static int check_ok(mpq_redis_conn *conn, const char *what, redisReply *reply, mpq_error *err)
{
    int rc = 0;
    if (reply->type == REDIS_REPLY_ERROR)
        rc = mpq_redis_refused(conn, what, reply, err);
    else if (!mpq_redis_is_status(reply, "OK"))
        rc = mpq_redis_unexpected(conn, what, err);
    freeReplyObject(reply);
    return rc;
}

static int authenticate(mpq_redis_conn *conn, const mpq_broker_config *config, uint64_t deadline_ms, mpq_error *err)
{
    const char *args[3] = {"AUTH"};
    size_t count = 1;
    redisReply *reply;
    if (!config->password)
        return 0;
    if (config->user)
        args[count++] = config->user;
    args[count++] = config->password;
    if (call_simple(conn, "authentication", deadline_ms, &reply, err, args, count) < 0)
        return -1;
    return check_ok(conn, "authentication", reply, err);
}

static int select_database(mpq_redis_conn *conn, const mpq_broker_config *config, uint64_t deadline_ms, mpq_error *err)
{
    char number[16], what[48];
    const char *args[2] = {"SELECT", number};
    redisReply *reply;
    if (config->database == 0)
        return 0;
    snprintf(number, sizeof number, "%u", config->database);
    snprintf(what, sizeof what, "database %u", config->database);
    if (call_simple(conn, what, deadline_ms, &reply, err, args, 2) < 0)
        return -1;
    return check_ok(conn, what, reply, err);
}

static int check_version(mpq_redis_conn *conn, mpq_slice version, mpq_error *err)
{
    int major = 0, minor = 0;
    char text[32], cause[120];
    snprintf(text, sizeof text, "%.*s", version.len < 31 ? (int)version.len : 31, version.data);
    if (sscanf(text, "%d.%d", &major, &minor) != 2 || major > NEED_MAJOR ||
        (major == NEED_MAJOR && minor >= NEED_MINOR))
        return 0;
    snprintf(cause, sizeof cause, "Redis %d.%d or newer is needed, this is %s", NEED_MAJOR, NEED_MINOR, text);
    return break_off(conn, MPQ_ERROR_BROKER, "version", cause, err);
}

/* Servers before 6.0 don't know HELLO. */
static int check_old_version(mpq_redis_conn *conn, uint64_t deadline_ms, mpq_error *err)
{
    static const char *const args[] = {"INFO", "server"};
    redisReply *reply;
    if (call_simple(conn, "version", deadline_ms, &reply, err, args, 2) < 0)
        return -1;
    mpq_slice version = mpq_slice_of("unknown", 7);
    if (reply->type == REDIS_REPLY_STRING) {
        const char *at = strstr(reply->str, "redis_version:");
        if (at)
            version = mpq_slice_of(at + 14, strcspn(at + 14, "\r\n"));
    }
    int rc = check_version(conn, version, err);
    freeReplyObject(reply);
    return rc;
}

/* Names the connection for CLIENT LIST and learns the version in one round trip. A server that forbids the command
 * (ACL) is taken as it is. */
static int greet(mpq_redis_conn *conn, uint64_t deadline_ms, mpq_error *err)
{
    static const char *const args[] = {"HELLO", "2", "SETNAME", "mpqueue"};
    redisReply *reply;
    int rc = 0;
    if (call_simple(conn, "version", deadline_ms, &reply, err, args, 4) < 0)
        return -1;
    if (mpq_redis_is_error(reply, "NOAUTH"))
        rc = mpq_redis_refused(conn, "authentication", reply, err);
    else if (mpq_redis_is_error(reply, "ERR unknown command"))
        rc = check_old_version(conn, deadline_ms, err);
    else if (mpq_redis_is_error(reply, "LOADING"))
        rc = mpq_redis_refused(conn, "can't connect", reply, err);
    else if (reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_ERROR)
        rc = mpq_redis_unexpected(conn, "version", err);
    for (size_t i = 0; rc == 0 && reply->type == REDIS_REPLY_ARRAY && i + 1 < (size_t)reply->elements; i += 2) {
        mpq_slice key = mpq_redis_slice(reply->element[i]);
        if (key.len == 7 && memcmp(key.data, "version", 7) == 0)
            rc = check_version(conn, mpq_redis_slice(reply->element[i + 1]), err);
    }
    freeReplyObject(reply);
    return rc;
}

/* Less than the whole time, so that what is left of a deadline allows it. */
static void limit_recv(mpq_redis_conn *conn, uint32_t timeout_ms)
{
    uint32_t ms = timeout_ms - timeout_ms / 8;
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    if (ms > 0 && setsockopt(conn->context->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0)
        conn->recv_ms = ms;
}

int mpq_redis_conn_open(mpq_redis_conn *conn, const mpq_broker_config *config, const char *where, mpq_error *err)
{
    mpq_redis_conn_close(conn);
    conn->where = where;
    conn->recv_ms = 0;
    conn->transacts = false;
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + config->connect_timeout_ms;
    if (dial(conn, config, err) < 0)
        return -1;
    if (authenticate(conn, config, deadline_ms, err) == 0 && greet(conn, deadline_ms, err) == 0 &&
        select_database(conn, config, deadline_ms, err) == 0) {
        limit_recv(conn, config->read_timeout_ms);
        return 0;
    }
    mpq_redis_conn_close(conn);
    return -1;
}

int mpq_redis_conn_ensure(mpq_redis_conn *conn, const mpq_broker_config *config, const char *where, mpq_error *err)
{
    if (conn->context) {
        /* Nothing is expected between calls: what can be read is the end, or a reply nobody waits for. */
        struct pollfd entry = {.fd = conn->context->fd, .events = POLLIN};
        if (poll(&entry, 1, 0) == 0)
            return 0;
    }
    return mpq_redis_conn_open(conn, config, where, err);
}
