#include "control_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "pidfile.h"

enum { CLIENTS_MAX = 16, CLIENT_FOR_MS = 2000, BACKLOG = 16 };

typedef struct client {
    mpq_control_server *server;
    int fd; /* -1 = free */
    mpq_watch *watch;
    bool waits_for_reload;
    uint64_t ask_by_ms;
} client;

struct mpq_control_server {
    mpq_loop *loop;
    mpq_control_handler handler;
    int fd;
    mpq_watch *watch;
    dev_t device; /* of the socket file, so that only our own is removed */
    ino_t inode;
    struct sockaddr_un address;
    client clients[CLIENTS_MAX];
};

/* -- clients --------------------------------------------------------------------------------------------------- */

static void hang_up(client *c)
{
    if (c->watch)
        mpq_watch_close(c->watch);
    if (c->fd >= 0)
        close(c->fd);
    c->watch = NULL;
    c->fd = -1;
}

/* The only packet a client is ever sent: it always fits into the empty socket buffer. `rows_fd` -1 = none. */
static void answer(client *c, const char *why, int rows_fd)
{
    mpq_control_reply reply = {.magic = MPQ_CONTROL_MAGIC,
                               .version = MPQ_CONTROL_VERSION,
                               .failed = why != NULL,
                               .row_bytes = sizeof(mpq_status_row)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {&reply, sizeof reply};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    snprintf(reply.text, sizeof reply.text, "%s", why ? why : "");
    if (rows_fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &rows_fd, sizeof rows_fd);
    }
    (void)sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    hang_up(c);
}

static int store_rows(const mpq_status_row *rows, size_t count, mpq_error *err)
{
    size_t left = count * sizeof *rows;
    const char *at = (const char *)rows;
    int fd = memfd_create("mpqueue-status", MFD_CLOEXEC);
    if (fd < 0)
        return mpq_error_set_errno(err, errno, "can't create a memory file");
    while (left > 0) {
        ssize_t written = write(fd, at, left);
        if (written <= 0) {
            mpq_error_set_errno(err, errno, "can't write a memory file");
            close(fd);
            return -1;
        }
        at += written;
        left -= (size_t)written;
    }
    return fd;
}

static void answer_status(client *c)
{
    mpq_error err = {0};
    mpq_status_row *rows = NULL;
    size_t count = 0;
    int fd = -1;
    const mpq_control_handler *handler = &c->server->handler;
    if (handler->status(handler->arg, &rows, &count, &err) == 0)
        fd = store_rows(rows, count, &err);
    answer(c, fd >= 0 ? NULL : err.text, fd);
    free(rows);
    if (fd >= 0)
        close(fd);
}

static void begin_reload(client *c)
{
    mpq_error err = {0};
    const mpq_control_handler *handler = &c->server->handler;
    if (handler->reload(handler->arg, &err) < 0)
        answer(c, err.text, -1);
    else
        c->waits_for_reload = true;
}

static void obey(client *c, uint16_t command)
{
    const mpq_control_handler *handler = &c->server->handler;
    if (command == MPQ_CONTROL_STATUS) {
        answer_status(c);
    } else if (command == MPQ_CONTROL_RELOAD) {
        begin_reload(c);
    } else if (command == MPQ_CONTROL_STOP) {
        handler->stop(handler->arg);
        answer(c, NULL, -1);
    } else {
        hang_up(c);
    }
}

/* A packet longer than a request is cut by the kernel, so one byte more is asked for. A client that waits for a reload
 * has nothing more to say: whatever comes, its end of file included, ends it. */
static void client_readable(void *arg)
{
    client *c = arg;
    union {
        mpq_control_request request;
        char bytes[sizeof(mpq_control_request) + 1];
    } packet;
    ssize_t got = recv(c->fd, packet.bytes, sizeof packet.bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != (ssize_t)sizeof packet.request || packet.request.magic != MPQ_CONTROL_MAGIC ||
        packet.request.version != MPQ_CONTROL_VERSION || c->waits_for_reload)
        hang_up(c);
    else
        obey(c, packet.request.command);
}

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static client *free_place(mpq_control_server *server)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd < 0)
            return &server->clients[i];
    return NULL;
}

static void accept_client(void *arg)
{
    mpq_control_server *server = arg;
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    client *c = free_place(server);
    if (!c || !is_allowed(fd)) {
        close(fd);
        return;
    }
    *c = (client){.server = server, .fd = fd, .ask_by_ms = mpq_clock_monotonic_ms() + CLIENT_FOR_MS};
    if (mpq_loop_readable(server->loop, fd, client_readable, c, &c->watch, NULL) < 0)
        hang_up(c);
}

void mpq_control_server_reloaded(mpq_control_server *server, const char *why)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd >= 0 && server->clients[i].waits_for_reload)
            answer(&server->clients[i], why, -1);
}

uint64_t mpq_control_server_expire(mpq_control_server *server, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client *c = &server->clients[i];
        if (c->fd < 0 || c->waits_for_reload)
            continue;
        if (c->ask_by_ms <= now_ms)
            hang_up(c);
        else if (c->ask_by_ms < next)
            next = c->ask_by_ms;
    }
    return next;
}

/* -- the socket ------------------------------------------------------------------------------------------------ */

static int clear_way(const char *path, mpq_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : mpq_error_set_errno(err, errno, "can't look at the control socket %s", path);
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return mpq_error_set(
            err, MPQ_ERROR_CONFIG,
            "%s is in the way of the control socket: it is no socket of this user; remove it or choose "
            "another pid path",
            path);
    if (unlink(path) < 0)
        return mpq_error_set_errno(err, errno, "can't replace the control socket %s", path);
    return 0;
}

static int listen_at(mpq_control_server *server, mpq_error *err)
{
    const char *path = server->address.sun_path;
    struct stat st;
    if (clear_way(path, err) < 0)
        return -1;
    server->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0)
        return mpq_error_set_errno(err, errno, "can't create the control socket");
    mode_t mask = umask(0177);
    int bound = bind(server->fd, (struct sockaddr *)&server->address, sizeof server->address);
    int number = errno;
    umask(mask);
    if (bound < 0)
        return mpq_error_set_errno(err, number, "can't create the control socket %s", path);
    if (lstat(path, &st) == 0) {
        server->device = st.st_dev;
        server->inode = st.st_ino;
    }
    if (listen(server->fd, BACKLOG) < 0)
        return mpq_error_set_errno(err, errno, "can't listen at the control socket %s", path);
    return mpq_loop_readable(server->loop, server->fd, accept_client, server, &server->watch, err);
}

int mpq_control_server_open(const mpq_config *config, mpq_loop *loop, const mpq_control_handler *handler,
                            mpq_control_server **out, mpq_error *err)
{
    mpq_control_server *server = calloc(1, sizeof *server);
    if (!server)
        return mpq_error_set_memory(err);
    server->loop = loop;
    server->handler = *handler;
    server->fd = -1;
    server->address.sun_family = AF_UNIX;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server->clients[i].fd = -1;
    if (mpq_pidfile_path(config, "sock", server->address.sun_path, sizeof server->address.sun_path, err) < 0 ||
        listen_at(server, err) < 0) {
        mpq_control_server_close(server);
        return -1;
    }
    *out = server;
    return 0;
}

static void remove_file(const mpq_control_server *server)
{
    struct stat st;
    if (server->inode != 0 && lstat(server->address.sun_path, &st) == 0 && st.st_dev == server->device &&
        st.st_ino == server->inode)
        unlink(server->address.sun_path);
}

void mpq_control_server_close(mpq_control_server *server)
{
    if (!server)
        return;
    remove_file(server);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        hang_up(&server->clients[i]);
    if (server->watch)
        mpq_watch_close(server->watch);
    if (server->fd >= 0)
        close(server->fd);
    free(server);
}

void mpq_control_server_forget(mpq_control_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        server->clients[i].watch = NULL;
        hang_up(&server->clients[i]);
    }
    if (server->fd >= 0)
        close(server->fd);
    free(server);
}
