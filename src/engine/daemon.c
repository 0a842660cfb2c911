#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

enum { OUTPUT_MAX_BYTES = 16 << 20 };
#define STARTED "started"

/* Reads until everybody who could write is gone. */
static size_t read_outcome(int fd, char *text, size_t size)
{
    size_t len = 0;
    while (len < size - 1) {
        ssize_t got = read(fd, text + len, size - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    text[len] = 0;
    return len;
}

static int await_outcome(const mpq_config *config, int fd, pid_t between, mpq_error *err)
{
    char text[sizeof err->text];
    size_t len = read_outcome(fd, text, sizeof text);
    close(fd);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (strcmp(text, STARTED) == 0)
        return 1;
    if (len == 0)
        return mpq_error_set(err, MPQ_ERROR_STATE,
                             "service \"%s\" has ended while it started, without saying why; see its log",
                             config->name);
    return mpq_error_set(err, MPQ_ERROR_STATE, "%s", text);
}

int mpq_daemon_start(const mpq_config *config, const mpq_host *host, int *report_fd, mpq_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return mpq_error_set_errno(err, errno, "can't create a pipe");
    pid_t pid = mpq_spawn_daemon(host, err);
    if (pid == 0) {
        close(ends[0]);
        *report_fd = ends[1];
        return 0;
    }
    close(ends[1]);
    if (pid > 0)
        return await_outcome(config, ends[0], pid, err);
    close(ends[0]);
    return -1;
}

static void rotate(const char *path)
{
    struct stat st;
    char old[PATH_MAX + 3];
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= OUTPUT_MAX_BYTES)
        return;
    snprintf(old, sizeof old, "%s.1", path);
    (void)rename(path, old);
}

static int open_output(const mpq_config *config, const mpq_service_options *options, mpq_error *err)
{
    char path[PATH_MAX];
    int len;
    if (options->output_path)
        len = snprintf(path, sizeof path, "%s", options->output_path);
    else if (config->log_path)
        len = snprintf(path, sizeof path, "%s/%s/output.log", config->log_path, config->name);
    else
        len = snprintf(path, sizeof path, "/dev/null");
    if (len < 0 || (size_t)len >= sizeof path)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the path of the daemon's output file is too long");
    rotate(path);
    /* A path that was asked for may well be a link, to a terminal for instance. */
    int follow = options->output_path || !config->log_path ? 0 : O_NOFOLLOW;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | follow, 0640);
    if (fd < 0)
        return mpq_error_set_errno(err, errno, "can't open %s for the daemon's output", path);
    return fd;
}

int mpq_daemon_redirect(const mpq_config *config, const mpq_service_options *options, mpq_error *err)
{
    int out = open_output(config, options, err);
    if (out < 0)
        return -1;
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool done =
        in >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0;
    int number = errno;
    if (in > STDERR_FILENO)
        close(in);
    if (out > STDERR_FILENO)
        close(out);
    return done ? 0 : mpq_error_set_errno(err, number, "can't redirect the daemon's output");
}

void mpq_daemon_report(int *report_fd, const char *why)
{
    if (*report_fd < 0)
        return;
    const char *text = why ? why : STARTED;
    while (write(*report_fd, text, strlen(text)) < 0 && errno == EINTR)
        continue;
    close(*report_fd);
    *report_fd = -1;
}
