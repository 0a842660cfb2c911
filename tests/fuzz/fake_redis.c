#include "fake_redis.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "codec.h"
#include "redis_scripts.h"

enum { CONNECTIONS_MAX = 256, REQUESTS_MAX = 2000, POLLS_MAX = 20000, ARGS_MAX = 64, SAID_MAX = 4 << 20 };

typedef struct connection {
    int fd; /* the server's end, -1 = closed */
    enum fake_redis_use use;
    mpq_buf heard; /* not a whole request yet */
    mpq_buf said;  /* to be sent; pieces end with FAKE_PAUSE */
    size_t sent;
    bool ending; /* close when all is sent */
} connection;

typedef struct request {
    mpq_slice args[ARGS_MAX]; /* the first ones */
    size_t count;
} request;

static struct {
    fake_redis_script script;
    fuzz_input answers;
    mpq_slice latest;
    connection connections[CONNECTIONS_MAX];
    size_t connection_count;
    uint64_t now_ms;
    unsigned requests, polls;
    size_t said_bytes;
    uint32_t jobs;
    bool adopted;
    bool moved; /* something was sent */
} server;

/* -- what a true server would say ----------------------------------------------------------------------------- */

static bool is(const request *asked, size_t index, const char *word)
{
    return index < asked->count && asked->args[index].len == strlen(word) &&
           memcmp(asked->args[index].data, word, strlen(word)) == 0;
}

static void say(connection *c, const char *text)
{
    mpq_buf_append_str(&c->said, text);
}

static void say_bulk(connection *c, mpq_slice bytes)
{
    mpq_buf_printf(&c->said, "$%zu\r\n", bytes.len);
    mpq_buf_append_slice(&c->said, bytes);
    say(c, "\r\n");
}

static void say_job(connection *c)
{
    mpq_buf bytes = {0};
    mpq_job job = {.payload = mpq_slice_of("work", 4), .fail_number = 3};
    job.id.bytes[MPQ_ID_BYTES - 1] = (unsigned char)('a' + server.jobs++ % 26);
    mpq_codec_encode(&job, &bytes);
    say_bulk(c, mpq_buf_slice(&bytes));
    mpq_buf_fini(&bytes);
}

/* The first and the last key say whose jobs are settled. */
static void say_exchange(connection *c, const request *asked)
{
    enum { FIRST_KEY = 3, KEYS = 8, WANT = FIRST_KEY + KEYS + 3, OTHERS = FIRST_KEY + KEYS + 10 };
    mpq_slice own = asked->args[FIRST_KEY], held = asked->args[FIRST_KEY + KEYS - 1];
    bool dead = own.len != held.len || memcmp(own.data, held.data, own.len) != 0;
    MUST(is(asked, 2, "8") && (!dead || is(asked, WANT, "0")));
    size_t want = is(asked, WANT, "0") ? 0 : 2;
    bool refuses = dead && !server.adopted && !is(asked, OTHERS, "0");
    mpq_buf_printf(&c->said, "*%zu\r\n:%d\r\n:0\r\n:-1\r\n:1800000000000\r\n:0\r\n", 5 + want, refuses);
    while (want-- > 0)
        say_job(c);
}

static void say_adopted(connection *c)
{
    if (!server.adopted) {
        say(c, "*3\r\n$4\r\ndead\r\n:0\r\n");
        say_job(c);
    } else {
        say(c, "+NOBODY\r\n");
    }
    server.adopted = !server.adopted;
}

static void say_attached(connection *c)
{
    say(c, "*3\r\n");
    say_bulk(c, mpq_slice_of("00000000000000000001....................................................", 72));
    say(c, ":1\r\n");
    say_bulk(c, mpq_slice_of("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a", 16));
}

static void answer_script(connection *c, const request *asked)
{
    if (is(asked, 1, mpq_redis_script(MPQ_SCRIPT_EXCHANGE)->sha1))
        say_exchange(c, asked);
    else if (is(asked, 1, mpq_redis_script(MPQ_SCRIPT_ATTACH)->sha1))
        say_attached(c);
    else if (is(asked, 1, mpq_redis_script(MPQ_SCRIPT_ADOPT)->sha1))
        say_adopted(c);
    else if (is(asked, 1, mpq_redis_script(MPQ_SCRIPT_COUNTS)->sha1))
        say(c, "*6\r\n:9\r\n:1\r\n:2\r\n:3\r\n:1\r\n:4\r\n");
    else if (is(asked, 1, mpq_redis_script(MPQ_SCRIPT_RENEW)->sha1))
        say(c, ":1\r\n");
    else
        say(c, "+OK\r\n");
}

static void answer_load(connection *c, const request *asked)
{
    for (int i = 0; i < MPQ_SCRIPT_COUNT; i++)
        if (is(asked, 2, mpq_redis_script((enum mpq_redis_script)i)->text)) {
            say_bulk(c, mpq_slice_of(mpq_redis_script((enum mpq_redis_script)i)->sha1, 40));
            return;
        }
    say(c, "-ERR what is this\r\n");
}

static void answer_properly(connection *c, const request *asked)
{
    if (is(asked, 0, "HELLO"))
        say(c, "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n");
    else if (is(asked, 0, "SUBSCRIBE"))
        say(c, "*3\r\n$9\r\nsubscribe\r\n$4\r\nwake\r\n:1\r\n");
    else if (is(asked, 0, "SCRIPT"))
        answer_load(c, asked);
    else if (is(asked, 0, "EVALSHA"))
        answer_script(c, asked);
    else if (is(asked, 0, "PING"))
        say(c, c->use == FAKE_USE_SUBSCRIBED ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n");
    else if (is(asked, 0, "HSCAN")) {
        say(c, "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n");
        say_job(c);
    } else if (is(asked, 0, "INFO"))
        say(c, "$21\r\nredis_version:7.0.1\r\n\r\n");
    else if (is(asked, 0, "RPUSHX") || is(asked, 0, "LMOVE"))
        say(c, "+QUEUED\r\n");
    else if (is(asked, 0, "EXEC"))
        say(c, "*2\r\n:0\r\n$-1\r\n");
    else if (!is(asked, 0, "BLMOVE")) /* that blocks */
        say(c, "+OK\r\n");
}

/* -- what the input wants it to say --------------------------------------------------------------------------- */

static void say_many(connection *c, uint8_t n)
{
    size_t len = (size_t)1 << (n % 18);
    char *at = mpq_buf_reserve(&c->said, len);
    MUST(at);
    memset(at, 'x', len);
    c->said.len += len;
}

static void say_answer(connection *c, mpq_slice answer, const request *asked)
{
    fuzz_input input = {answer.data, answer.len};
    size_t before = c->said.len;
    while (input.left > 0 && server.said_bytes < SAID_MAX) {
        uint8_t byte = fuzz_u8(&input);
        if (byte == FAKE_PROPER && asked)
            answer_properly(c, asked);
        else if (byte == FAKE_ENVELOPE)
            say_job(c);
        else if (byte == FAKE_MANY)
            say_many(c, fuzz_u8(&input));
        else if (byte == FAKE_CLOSE)
            c->ending = true;
        else if (byte != FAKE_NOTHING && byte != FAKE_PROPER)
            mpq_buf_append_u8(&c->said, byte);
    }
    server.said_bytes += c->said.len - before;
}

static void answer(connection *c, const request *asked)
{
    enum fake_redis_after after = server.script.after;
    bool prepares = is(asked, 0, "HELLO") || is(asked, 0, "AUTH") || is(asked, 0, "SELECT") ||
                    is(asked, 0, "SUBSCRIBE") || is(asked, 0, "SCRIPT");
    c->use = is(asked, 0, "SUBSCRIBE") ? FAKE_USE_SUBSCRIBED : is(asked, 0, "BLMOVE") ? FAKE_USE_BLOCKED : c->use;
    MUST(++server.requests < REQUESTS_MAX); /* else it asks for ever */
    server.now_ms++;
    if (prepares && server.script.easy) {
        answer_properly(c, asked);
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
        answer_properly(c, asked);
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
static bool take_request(fuzz_input *input, request *out)
{
    size_t count, len;
    memset(out, 0, sizeof *out);
    if (!take_number(input, '*', &count))
        return false;
    MUST(count > 0);
    for (size_t i = 0; i < count; i++) {
        if (!take_number(input, '$', &len) || input->left < len + 2)
            return false;
        mpq_slice arg = fuzz_bytes(input, len), end = fuzz_bytes(input, 2);
        MUST(memcmp(end.data, "\r\n", 2) == 0);
        if (out->count < ARGS_MAX)
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
    request asked;
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
