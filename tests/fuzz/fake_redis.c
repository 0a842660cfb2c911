#include "fake_redis.h"

#include <errno.h>
#include <hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "fake_answers.h"

enum { CONNECTIONS_MAX = 256, REQUESTS_MAX = 50000, POLLS_MAX = 200000, SAID_MAX = 4 << 20 };

typedef struct connection {
    int fd; /* the server's end, -1 = closed */
    enum fake_redis_use use;
    mpq_buf heard; /* not a whole request yet */
    mpq_buf said;  /* to be sent; pieces end with FAKE_PAUSE */
    size_t sent;
    bool ending; /* close when all is sent */
} connection;

static struct {
    fake_redis_script script;
    fuzz_input answers;
    mpq_slice latest;
    connection connections[CONNECTIONS_MAX];
    size_t connection_count;
    uint64_t now_ms;
    unsigned requests, polls;
    size_t said_bytes;
    bool moved; /* something was sent */
} server;

/* -- what the input wants it to say --------------------------------------------------------------------------- */

static void say_many(connection *c, uint8_t n)
{
    size_t len = (size_t)1 << (n % 18);
    char *at = mpq_buf_reserve(&c->said, len);
    MUST(at);
    memset(at, 'x', len);
    c->said.len += len;
}

static void say_answer(connection *c, mpq_slice answer, const fake_request *asked)
{
    fuzz_input input = {answer.data, answer.len};
    size_t before = c->said.len;
    while (input.left > 0 && server.said_bytes < SAID_MAX) {
        uint8_t byte = fuzz_u8(&input);
        if (byte == FAKE_PROPER && asked)
            fake_answer(&c->said, asked, c->use == FAKE_USE_SUBSCRIBED);
        else if (byte == FAKE_ENVELOPE)
            fake_answer_job(&c->said);
        else if (byte == FAKE_MANY)
            say_many(c, fuzz_u8(&input));
        else if (byte == FAKE_CLOSE)
            c->ending = true;
        else if (byte != FAKE_NOTHING && byte != FAKE_PROPER)
            mpq_buf_append_u8(&c->said, byte);
    }
    server.said_bytes += c->said.len - before;
}

static void answer(connection *c, const fake_request *asked)
{
    enum fake_redis_after after = server.script.after;
    bool prepares = fake_request_is(asked, 0, "HELLO") || fake_request_is(asked, 0, "AUTH") ||
                    fake_request_is(asked, 0, "SELECT") || fake_request_is(asked, 0, "SUBSCRIBE") ||
                    fake_request_is(asked, 0, "SCRIPT");
    c->use = fake_request_is(asked, 0, "SUBSCRIBE") ? FAKE_USE_SUBSCRIBED
             : fake_request_is(asked, 0, "BLMOVE")  ? FAKE_USE_BLOCKED
                                                    : c->use;
    MUST(++server.requests < REQUESTS_MAX); /* else it asks for ever */
    server.now_ms++;
    if (prepares && server.script.easy) {
        fake_answer(&c->said, asked, c->use == FAKE_USE_SUBSCRIBED);
        return;
    }
    if (server.answers.left > 0)
        server.latest = fuzz_until(&server.answers, FAKE_NEXT);
    else if (after == FAKE_AFTER_SILENCE || after == FAKE_AFTER_CLOSE) {
        c->ending |= after == FAKE_AFTER_CLOSE;
        return;
    } else if (after == FAKE_AFTER_PROPER)
        server.latest = mpq_slice_of("", 0);
    if (server.latest.len == 0)
        fake_answer(&c->said, asked, c->use == FAKE_USE_SUBSCRIBED);
    else
        say_answer(c, server.latest, asked);
}

/* -- requests ------------------------------------------------------------------------------------------------- */

/* "<mark><number>\r\n"; false when it is not whole yet. */
static bool take_number(fuzz_input *input, char mark, size_t *out)
{
    const char *end = input->left ? memchr(input->at, '\n', input->left) : NULL;
    if (!end)
        return false;
    MUST(input->at[0] == mark && end[-1] == '\r');
    *out = strtoul(input->at + 1, NULL, 10);
    fuzz_bytes(input, (size_t)(end + 1 - input->at));
    return true;
}

/* The driver's requests are well formed, or it is broken. */
static bool take_request(fuzz_input *input, fake_request *out)
{
    size_t count, len;
    out->count = 0;
    if (!take_number(input, '*', &count))
        return false;
    MUST(count > 0);
    for (size_t i = 0; i < count; i++) {
        if (!take_number(input, '$', &len) || input->left < len + 2)
            return false;
        mpq_slice arg = fuzz_bytes(input, len), end = fuzz_bytes(input, 2);
        MUST(memcmp(end.data, "\r\n", 2) == 0);
        if (out->count < FAKE_ARGS_MAX)
            out->args[out->count++] = arg;
    }
    return true;
}

static void end_connection(connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    mpq_buf_fini(&c->heard);
    mpq_buf_fini(&c->said);
}

static void answer_requests(connection *c)
{
    fuzz_input input = {c->heard.data, c->heard.len};
    fake_request asked;
    size_t used = 0;
    while (!c->ending && input.left > 0 && take_request(&input, &asked)) {
        used = c->heard.len - input.left;
        answer(c, &asked);
    }
    if (used == 0)
        return;
    memmove(c->heard.data, c->heard.data + used, c->heard.len - used);
    c->heard.len -= used;
}

static void listen_to(connection *c)
{
    char bytes[16384];
    ssize_t got;
    while ((got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        mpq_buf_append(&c->heard, bytes, (size_t)got);
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        end_connection(c);
        return;
    }
    answer_requests(c);
}

/* One piece, or as much of it as fits. */
static void send_piece(connection *c)
{
    size_t left = c->said.len - c->sent;
    const char *from = left ? c->said.data + c->sent : "", *pause = memchr(from, FAKE_PAUSE, left);
    size_t len = pause ? (size_t)(pause - from) : left;
    ssize_t sent = len ? send(c->fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN) {
        end_connection(c);
        return;
    }
    c->sent += sent > 0 ? (size_t)sent : 0;
    server.moved |= sent > 0;
    if (pause && sent == (ssize_t)len) {
        c->sent++;
        server.now_ms++;
        server.moved = true;
    }
    if (c->sent == c->said.len && c->ending)
        end_connection(c);
    else if (c->sent == c->said.len)
        c->sent = c->said.len = 0;
}

void fake_redis_act(void)
{
    for (size_t i = 0; i < server.connection_count; i++) {
        connection *c = &server.connections[i];
        if (c->fd >= 0)
            listen_to(c);
        if (c->fd >= 0)
            send_piece(c);
    }
}

void fake_redis_say(enum fake_redis_use use)
{
    mpq_slice answer = server.answers.left ? fuzz_until(&server.answers, FAKE_NEXT) : server.latest;
    for (size_t i = 0; i < server.connection_count; i++)
        if (server.connections[i].fd >= 0 && server.connections[i].use == use)
            say_answer(&server.connections[i], answer, NULL);
    fake_redis_act();
}

/* -- instead of the system ------------------------------------------------------------------------------------ */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
ssize_t __real_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags);
uint64_t __wrap_mpq_clock_monotonic_ms(void);
redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    uint64_t began_ms = server.now_ms;
    MUST(++server.polls < POLLS_MAX); /* else it spins */
    do {
        server.moved = false;
        fake_redis_act();
        int ready = __real_poll(fds, count, 0);
        if (ready != 0 || timeout_ms == 0)
            return ready;
        MUST(timeout_ms > 0); /* else it waits for ever */
    } while (server.moved && server.now_ms < began_ms + (uint64_t)timeout_ms);
    if (server.now_ms < began_ms + (uint64_t)timeout_ms)
        server.now_ms = began_ms + (uint64_t)timeout_ms;
    return 0;
}

/* One that may block returns after the time that its socket has for it. */
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags)
{
    struct timeval limit = {0};
    socklen_t size = sizeof limit;
    if (!(flags & MSG_DONTWAIT)) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        MUST(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0 && limit.tv_sec + limit.tv_usec > 0);
        __wrap_poll(&entry, 1, (int)(limit.tv_sec * 1000 + limit.tv_usec / 1000));
    }
    return __real_recv(fd, bytes, len, flags | MSG_DONTWAIT);
}

uint64_t __wrap_mpq_clock_monotonic_ms(void)
{
    return server.now_ms;
}

redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout)
{
    int fds[2];
    (void)path;
    (void)timeout;
    MUST(server.connection_count < CONNECTIONS_MAX);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    connection *c = &server.connections[server.connection_count++];
    memset(c, 0, sizeof *c);
    c->fd = fds[0];
    return redisConnectFd(fds[1]);
}

void fake_redis_begin(const fake_redis_script *script)
{
    memset(&server, 0, sizeof server);
    fake_answers_begin();
    server.script = *script;
    server.answers.at = script->answers.data;
    server.answers.left = script->answers.len;
    server.now_ms = 1000000;
}

void fake_redis_end(void)
{
    for (size_t i = 0; i < server.connection_count; i++)
        end_connection(&server.connections[i]);
}

uint64_t fake_redis_now_ms(void)
{
    return server.now_ms;
}

void fake_redis_pass_ms(uint64_t ms)
{
    server.now_ms += ms;
}

unsigned fake_redis_requests(void)
{
    return server.requests;
}
