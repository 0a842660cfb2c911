#include "control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control_wire.h"
#include "pidfile.h"
#include "procfs.h"

enum {
    ANSWER_FOR_MS = 5000,
    LOOK_EVERY_MS = 20,
    STOP_EXTRA_MS = 10000,
    RELOAD_EXTRA_MS = 10000,
    ROWS_MAX = 4 * MPQ_WORKERS_MAX /* more than a board has entries */
};

/* The service can't be asked; ordinary only where there is another way. */
enum { ANSWERED = 0, UNREACHABLE = 1 };

pid_t mpq_control_running(const mpq_config *config, mpq_error *err)
{
    return mpq_pidfile_holder(config, err);
}

static int unreachable(const mpq_config *config, const char *why, mpq_error *err)
{
    mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" runs, but its control socket in %s can't be reached: %s",
                  config->name, config->pid_path, why);
    return UNREACHABLE;
}

/* Only the process that holds the pid file's lock is talked to. */
static bool is_peer(int fd, pid_t pid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == pid;
}

static int dial(const mpq_config *config, pid_t pid, int *fd, mpq_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (mpq_pidfile_path(config, "sock", address.sun_path, sizeof address.sun_path, err) < 0)
        return -1;
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return mpq_error_set_errno(err, errno, "can't create a socket");
    if (connect(*fd, (struct sockaddr *)&address, sizeof address) == 0) {
        if (is_peer(*fd, pid))
            return ANSWERED;
        close(*fd);
        return unreachable(config, "it belongs to another process", err);
    }
    int number = errno;
    close(*fd);
    return unreachable(config, number == EAGAIN ? "the service does not answer" : strerror(number), err);
}

static int await(int fd, uint64_t until_ms)
{
    for (;;) {
        uint64_t now = mpq_clock_monotonic_ms();
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = poll(&waiting, 1, now < until_ms ? (int)(until_ms - now) : 0);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return 0;
        if (now >= until_ms)
            return -1;
    }
}

/* `rows_fd` gets the descriptor that came along, or -1. The room is for exactly one, without the padding that a second
 * one would fit into: the kernel drops what finds no room. */
static ssize_t receive(int fd, mpq_control_reply *reply, int *rows_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {reply, sizeof *reply};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
    *rows_fd = -1;
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(rows_fd, CMSG_DATA(header), sizeof *rows_fd);
    return got;
}

static int converse(const mpq_config *config, int fd, enum mpq_control_command command, uint32_t timeout_ms,
                    int *rows_fd, mpq_error *err)
{
    mpq_control_request request = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, (uint16_t)command};
    mpq_control_reply reply = {0};
    if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        return unreachable(config, strerror(errno), err);
    if (await(fd, mpq_clock_monotonic_ms() + timeout_ms) < 0)
        return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" has not answered within %g s", config->name,
                             timeout_ms / 1000.0);
    ssize_t got = receive(fd, &reply, rows_fd);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return mpq_error_set(err, MPQ_ERROR_STATE,
                             "service \"%s\" has closed the connection without an answer: it has ended, or it is "
                             "another version of this extension",
                             config->name);
    reply.text[sizeof reply.text - 1] = 0;
    if (got == (ssize_t)sizeof reply && reply.magic == MPQ_CONTROL_MAGIC && reply.version == MPQ_CONTROL_VERSION &&
        reply.row_bytes == sizeof(mpq_status_row) && (!reply.failed || reply.text[0]))
        return reply.failed ? mpq_error_set(err, MPQ_ERROR_STATE, "%s", reply.text) : ANSWERED;
    return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" answers in an unknown way: is it another version?",
                         config->name);
}

/* ANSWERED, UNREACHABLE (err says why), or -1. */
static int ask(const mpq_config *config, pid_t pid, enum mpq_control_command command, uint32_t timeout_ms, int *rows_fd,
               mpq_error *err)
{
    int fd, ignored = -1;
    int outcome = dial(config, pid, &fd, err);
    if (outcome != ANSWERED)
        return outcome;
    outcome = converse(config, fd, command, timeout_ms, &ignored, err);
    close(fd);
    if (rows_fd && outcome == ANSWERED)
        *rows_fd = ignored;
    else if (ignored >= 0)
        close(ignored);
    return outcome;
}

/* Until the process is gone, not only its lock: between the two it ends what the embedder has to end. */
static int await_end(const mpq_config *config, pid_t pid, uint64_t born, uint32_t timeout_ms, mpq_error *err)
{
    uint64_t until_ms = mpq_clock_monotonic_ms() + timeout_ms;
    struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    for (;;) {
        pid_t holder = mpq_pidfile_holder(config, err);
        if (holder < 0)
            return -1;
        if (holder != pid && (born == 0 || mpq_procfs_born(pid) != born))
            return 0;
        if (mpq_clock_monotonic_ms() >= until_ms)
            return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" (pid %ld) has not ended within %g s",
                                 config->name, (long)pid, timeout_ms / 1000.0);
        nanosleep(&pause, NULL);
    }
}

/* The socket's file may be gone, for instance because something cleans /tmp: the signal asks for the same. */
int mpq_control_stop(const mpq_config *config, uint32_t timeout_ms, mpq_error *err)
{
    pid_t pid = mpq_pidfile_holder(config, err);
    if (pid <= 0)
        return pid < 0 ? -1 : 1;
    uint64_t born = mpq_procfs_born(pid);
    int outcome = ask(config, pid, MPQ_CONTROL_STOP, ANSWER_FOR_MS, NULL, err);
    if (outcome < 0 && mpq_pidfile_holder(config, NULL) == pid)
        return -1;
    if (outcome == UNREACHABLE && kill(pid, SIGTERM) < 0 && errno != ESRCH)
        return mpq_error_set_errno(err, errno, "can't signal service \"%s\" (pid %ld)", config->name, (long)pid);
    return await_end(config, pid, born, timeout_ms ? timeout_ms : config->stop_timeout_ms + STOP_EXTRA_MS, err);
}

int mpq_control_reload(const mpq_config *config, mpq_error *err)
{
    pid_t pid = mpq_pidfile_holder(config, err);
    if (pid <= 0)
        return pid < 0 ? -1 : 1;
    return ask(config, pid, MPQ_CONTROL_RELOAD, config->start_timeout_ms + RELOAD_EXTRA_MS, NULL, err) == ANSWERED ? 0
                                                                                                                   : -1;
}

/* The strings are used by callers who trust them to end. */
static void terminate(mpq_status_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i].queue[sizeof rows[i].queue - 1] = 0;
        rows[i].type[sizeof rows[i].type - 1] = 0;
        rows[i].state[sizeof rows[i].state - 1] = 0;
        rows[i].job[sizeof rows[i].job - 1] = 0;
    }
}

static int load_rows(int fd, mpq_status_row **rows, size_t *count, mpq_error *err)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 0 || (size_t)st.st_size % sizeof **rows != 0 ||
        (size_t)st.st_size / sizeof **rows > ROWS_MAX)
        return mpq_error_set(err, MPQ_ERROR_STATE, "the service's answer is damaged");
    size_t bytes = (size_t)st.st_size;
    char *data = malloc(bytes ? bytes : 1);
    if (!data)
        return mpq_error_set_memory(err);
    size_t have = 0;
    while (have < bytes) {
        ssize_t got = pread(fd, data + have, bytes - have, (off_t)have);
        if (got <= 0) {
            free(data);
            return mpq_error_set(err, MPQ_ERROR_STATE, "the service's answer is cut short");
        }
        have += (size_t)got;
    }
    *rows = (mpq_status_row *)(void *)data;
    *count = bytes / sizeof **rows;
    terminate(*rows, *count);
    return 0;
}

int mpq_control_status(const mpq_config *config, mpq_status_row **rows, size_t *count, mpq_error *err)
{
    int fd = -1;
    pid_t pid = mpq_pidfile_holder(config, err);
    if (pid <= 0)
        return pid < 0 ? -1 : 1;
    if (ask(config, pid, MPQ_CONTROL_STATUS, ANSWER_FOR_MS, &fd, err) != ANSWERED)
        return -1;
    int outcome = load_rows(fd, rows, count, err);
    if (fd >= 0)
        close(fd);
    return outcome;
}
