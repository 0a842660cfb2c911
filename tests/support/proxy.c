#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"

enum { PAIRS = 64, READ_BYTES = 65536, ANSWER_MS = 5000 };

enum command { CUT, LOSE_ANSWER, LOSE_REQUEST, DELAY, SILENCE, LOST };

typedef struct order {
    enum command command;
    int32_t argument;
} order;

/* What goes in one direction. */
typedef struct stream {
    mpq_buf in;  /* not a whole request or answer yet */
    mpq_buf out; /* to be written */
    uint64_t not_before_ms;
} stream;

typedef struct pair {
    int client, server; /* -1 = unused */
    pid_t pid;
    stream requests, answers;
    uint64_t request_count, answer_count;
    uint64_t lose; /* number of the answer that is lost; 0 = none */
} pair;

static struct {
    int listen_fd, control_fd;
    char server_path[96];
    pair pairs[PAIRS];
    uint32_t delay_ms;
    bool silent;
    enum command losing; /* CUT = nothing */
    pid_t losing_pid;
    int32_t lost;
} self;

/* -- sockets --------------------------------------------------------------------------------------------------- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void control_path(const proxy *via, char *out, size_t size)
{
    snprintf(out, size, "%s.ctl", via->path);
}

/* -- Redis' protocol ------------------------------------------------------------------------------------------- */

/* Length of the first request or answer in the bytes; 0 = it is not whole yet. */
static size_t frame(const char *data, size_t len)
{
    size_t at = 0;
    for (long pending = 1; pending > 0; pending--) {
        const char *end = at < len ? memchr(data + at, '\n', len - at) : NULL;
        if (!end)
            return 0;
        char type = data[at];
        long number = strtol(data + at + 1, NULL, 10);
        at = (size_t)(end - data) + 1;
        if (type == '*' && number > 0)
            pending += number;
        if (type != '$' || number < 0)
            continue;
        if (len - at < (size_t)number + 2)
            return 0;
        at += (size_t)number + 2;
    }
    return at;
}

static bool changes_something(const char *request, size_t len)
{
    static const char *const commands[] = {"$7\r\nEVALSHA", "$4\r\nEVAL", "$6\r\nBLMOVE", "$4\r\nEXEC"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (memmem(request, len < 40 ? len : 40, commands[i], strlen(commands[i])))
            return true;
    return false;
}

/* -- pairs ----------------------------------------------------------------------------------------------------- */

static void drop(pair *at)
{
    close(at->client);
    close(at->server);
    mpq_buf_fini(&at->requests.in);
    mpq_buf_fini(&at->requests.out);
    mpq_buf_fini(&at->answers.in);
    mpq_buf_fini(&at->answers.out);
    memset(at, 0, sizeof *at);
    at->client = at->server = -1;
}

static void accept_client(void)
{
    struct ucred who = {0};
    socklen_t size = sizeof who;
    int fd = accept4(self.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pair *at = self.pairs;
    while (at < self.pairs + PAIRS && at->client >= 0)
        at++;
    int server = fd >= 0 && at < self.pairs + PAIRS ? connect_to(self.server_path) : -1;
    if (server < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
    at->client = fd;
    at->server = server;
    at->pid = who.pid;
}

static void consume(mpq_buf *buf, size_t len)
{
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

/* False at the end of the connection. */
static bool take(int fd, mpq_buf *in)
{
    char bytes[READ_BYTES];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0)
        mpq_buf_append(in, bytes, (size_t)got);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool give(int fd, stream *way)
{
    if (way->out.len == 0 || mpq_clock_monotonic_ms() < way->not_before_ms)
        return true;
    ssize_t put = send(fd, way->out.data, way->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put > 0)
        consume(&way->out, (size_t)put);
    return put >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool is_meant(const pair *at, size_t len)
{
    return self.losing != CUT && !at->lose && (self.losing_pid == 0 || self.losing_pid == at->pid) &&
           changes_something(at->requests.in.data, len);
}

/* False when the pair was dropped. */
static bool pass_requests(pair *at)
{
    stream *way = &at->requests;
    for (size_t len; way->in.len > 0 && (len = frame(way->in.data, way->in.len)) > 0; consume(&way->in, len)) {
        at->request_count++;
        if (is_meant(at, len)) {
            bool request_too = self.losing == LOSE_REQUEST;
            self.losing = CUT;
            at->lose = at->request_count;
            if (request_too) {
                self.lost++;
                give(at->server, way); /* the requests before it */
                drop(at);
                return false;
            }
        }
        mpq_buf_append(&way->out, way->in.data, len);
    }
    return true;
}

/* False when the pair was dropped. */
static bool pass_answers(pair *at)
{
    stream *way = &at->answers;
    for (size_t len; way->in.len > 0 && (len = frame(way->in.data, way->in.len)) > 0; consume(&way->in, len)) {
        if (++at->answer_count == at->lose) {
            self.lost++;
            give(at->client, way); /* the answers before it */
            drop(at);
            return false;
        }
        if (way->out.len == 0)
            way->not_before_ms = mpq_clock_monotonic_ms() + self.delay_ms;
        mpq_buf_append(&way->out, way->in.data, len);
    }
    return true;
}

static void serve(pair *at, short client, short server)
{
    bool alive = true;
    if (client & (POLLIN | POLLHUP | POLLERR))
        alive = take(at->client, &at->requests.in);
    if (alive && server & (POLLIN | POLLHUP | POLLERR))
        alive = take(at->server, &at->answers.in);
    if (!pass_requests(at) || !pass_answers(at))
        return;
    /* What was said before the end still arrives. */
    alive = give(at->server, &at->requests) && alive;
    alive = give(at->client, &at->answers) && alive;
    if (!alive)
        drop(at);
}

/* -- commands -------------------------------------------------------------------------------------------------- */

static int32_t obey(const order *given)
{
    if (given->command == DELAY)
        self.delay_ms = (uint32_t)given->argument;
    if (given->command == SILENCE)
        self.silent = given->argument != 0;
    if (given->command == LOSE_ANSWER || given->command == LOSE_REQUEST) {
        self.losing = given->command;
        self.losing_pid = given->argument;
    }
    for (pair *at = self.pairs; given->command == CUT && at < self.pairs + PAIRS; at++)
        if (at->client >= 0 && (given->argument == 0 || given->argument == at->pid))
            drop(at);
    return self.lost;
}

static void hear(void)
{
    order given;
    int fd = accept4(self.control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (recv(fd, &given, sizeof given, 0) == (ssize_t)sizeof given) {
        int32_t answer = obey(&given);
        send(fd, &answer, sizeof answer, MSG_NOSIGNAL);
    }
    close(fd);
}

static int command(const proxy *via, enum command command, int32_t argument)
{
    char path[128];
    int32_t answer = -1;
    order given = {command, argument};
    control_path(via, path, sizeof path);
    int fd = connect_to(path);
    struct timeval limit = {ANSWER_MS / 1000, 0};
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, &given, sizeof given, MSG_NOSIGNAL) != (ssize_t)sizeof given ||
        recv(fd, &answer, sizeof answer, 0) != (ssize_t)sizeof answer)
        answer = -1;
    close(fd);
    return answer;
}

/* -- the process ----------------------------------------------------------------------------------------------- */

static int sleep_ms(void)
{
    uint64_t now = mpq_clock_monotonic_ms();
    int ms = 1000;
    for (pair *at = self.pairs; at < self.pairs + PAIRS; at++) {
        if (at->client < 0 || at->answers.out.len == 0)
            continue;
        int left = at->answers.not_before_ms > now ? (int)(at->answers.not_before_ms - now) : 1;
        ms = left < ms ? left : ms;
    }
    return self.silent ? 1000 : ms;
}

/* Writing is tried whenever something has happened; a client or server that is slow to read is looked at again. */
static short events_of(const stream *out)
{
    return (short)(POLLIN | (out->out.len > 0 && out->not_before_ms == 0 ? POLLOUT : 0));
}

static void step(void)
{
    struct pollfd fds[2 + 2 * PAIRS] = {{self.listen_fd, POLLIN, 0}, {self.control_fd, POLLIN, 0}};
    for (size_t i = 0; i < PAIRS; i++) {
        pair *at = &self.pairs[i];
        bool used = at->client >= 0 && !self.silent;
        fds[2 + 2 * i] = (struct pollfd){used ? at->client : -1, events_of(&at->answers), 0};
        fds[3 + 2 * i] = (struct pollfd){used ? at->server : -1, events_of(&at->requests), 0};
    }
    if (poll(fds, 2 + 2 * PAIRS, sleep_ms()) < 0)
        return;
    for (size_t i = 0; i < PAIRS; i++)
        if (self.pairs[i].client >= 0 && !self.silent)
            serve(&self.pairs[i], fds[2 + 2 * i].revents, fds[3 + 2 * i].revents);
    if (fds[0].revents)
        accept_client();
    if (fds[1].revents)
        hear();
}

static void run(const char *server_path)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(self.server_path, sizeof self.server_path, "%s", server_path);
    for (size_t i = 0; i < PAIRS; i++)
        self.pairs[i].client = self.pairs[i].server = -1;
    for (;;)
        step();
}

bool proxy_start(proxy *via, const char *path, const char *server_path)
{
    char control[128];
    snprintf(via->path, sizeof via->path, "%s", path);
    control_path(via, control, sizeof control);
    self.listen_fd = listen_at(path);
    self.control_fd = listen_at(control);
    fflush(NULL);
    via->pid = self.listen_fd >= 0 && self.control_fd >= 0 ? fork() : -1;
    if (via->pid == 0)
        run(server_path);
    close(self.listen_fd);
    close(self.control_fd);
    return via->pid > 0;
}

void proxy_stop(proxy *via)
{
    if (via->pid <= 0)
        return;
    kill(via->pid, SIGKILL);
    waitpid(via->pid, NULL, 0);
    via->pid = 0;
}

bool proxy_cut(const proxy *via, pid_t pid)
{
    return command(via, CUT, pid) >= 0;
}

bool proxy_lose_answer(const proxy *via, pid_t pid)
{
    return command(via, LOSE_ANSWER, pid) >= 0;
}

bool proxy_lose_request(const proxy *via, pid_t pid)
{
    return command(via, LOSE_REQUEST, pid) >= 0;
}

bool proxy_delay(const proxy *via, uint32_t ms)
{
    return command(via, DELAY, (int32_t)ms) >= 0;
}

bool proxy_be_silent(const proxy *via, bool silent)
{
    return command(via, SILENCE, silent) >= 0;
}

int proxy_losses(const proxy *via)
{
    return command(via, LOST, 0);
}
