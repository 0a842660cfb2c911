/* The control socket against clients that do not behave. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "control_server.h"
#include "fake_service.h"
#include "pidfile.h"
#include "test.h"

static fake_service service;

static int dial(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mpq_pidfile_path(&service.config, "sock", address.sun_path, sizeof address.sun_path, NULL);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Sends the bytes and waits for what comes back: the length of it, 0 = disconnected. */
static ssize_t say(const void *bytes, size_t len)
{
    char answer[4096];
    int fd = dial(SOCK_SEQPACKET);
    if (fd < 0 || send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return -2;
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    close(fd);
    return got < 0 && errno == ECONNRESET ? 0 : got;
}

static void check_alive(void)
{
    mpq_status_row row;
    CHECK(fake_service_row(&service, "manager", "idle", &row));
    CHECK_INT(row.pid, service.pid);
}

static void check_stops(void)
{
    CHECK_INT(fake_service_stop(&service), 0);
    CHECK_INT(fake_service_left(1000), 0);
    CHECK(!fake_service_logged(&service, "Sanitizer"));
}

TEST(control_disconnects_rubbish_without_an_answer)
{
    char rubbish[4096];
    mpq_control_request request = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, MPQ_CONTROL_STOP};
    fake_service_init(&service, "rubbish");
    CHECK_INT(fake_service_start(&service), 0);
    memset(rubbish, 0xa5, sizeof rubbish);
    size_t lengths[] = {1, 7, 8, 9, 64, 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        CHECK_INT(say(rubbish, lengths[i]), 0);
    CHECK_INT(say(&request, sizeof request - 1), 0);
    memcpy(rubbish, &request, sizeof request);
    CHECK_INT(say(rubbish, sizeof request + 1), 0);
    request.version++;
    CHECK_INT(say(&request, sizeof request), 0);
    request.version--;
    request.magic++;
    CHECK_INT(say(&request, sizeof request), 0);
    request.magic--;
    request.command = 77;
    CHECK_INT(say(&request, sizeof request), 0);
    CHECK_INT(dial(SOCK_STREAM), -1);
    check_alive();
    check_stops();
}

TEST(control_is_not_blocked_by_clients_that_say_nothing)
{
    int fds[40];
    char byte;
    fake_service_init(&service, "silent");
    CHECK_INT(fake_service_start(&service), 0);
    for (size_t i = 0; i < 40; i++)
        fds[i] = dial(SOCK_SEQPACKET);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    uint64_t began = mpq_clock_monotonic_ms();
    CHECK_INT(recv(fds[0], &byte, 1, 0), 0); /* the manager hangs up */
    CHECK(mpq_clock_monotonic_ms() - began < 4000);
    fake_service_pause(200);
    check_alive();
    for (size_t i = 0; i < 40; i++)
        close(fds[i]);
    check_stops();
}

TEST(control_survives_clients_that_leave_in_the_middle)
{
    mpq_control_request status = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, MPQ_CONTROL_STATUS};
    mpq_control_request reload = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, MPQ_CONTROL_RELOAD};
    fake_service_init(&service, "leaving");
    CHECK_INT(fake_service_start(&service), 0);
    for (int i = 0; i < 50; i++) {
        int fd = dial(SOCK_SEQPACKET);
        CHECK(fd >= 0);
        const mpq_control_request *request = i == 25 ? &reload : &status;
        CHECK_INT(send(fd, request, sizeof *request, 0), sizeof *request);
        close(fd);
        fake_service_pause(2);
    }
    CHECK(fake_service_await(&service, "preload", 2));
    fake_service_pause(300);
    check_alive();
    check_stops();
}

TEST(control_socket_is_private)
{
    char path[512];
    struct stat st;
    fake_service_init(&service, "private");
    CHECK_INT(fake_service_start(&service), 0);
    mpq_pidfile_path(&service.config, "sock", path, sizeof path, NULL);
    CHECK_INT(lstat(path, &st), 0);
    CHECK(S_ISSOCK(st.st_mode));
    CHECK_INT(st.st_mode & 07777, 0600);
    check_stops();
}

TEST(control_refuses_strangers)
{
    fake_service_init(&service, "stranger");
    if (geteuid() != 0)
        SKIP("needs root to become somebody else");
    /* The service as another user, asked by a third one whom the file modes would let pass. */
    CHECK_INT(fake_service_start(&service), 0);
    char path[512];
    mpq_pidfile_path(&service.config, "sock", path, sizeof path, NULL);
    CHECK_INT(chmod(path, 0777), 0);
    CHECK_INT(chmod(service.directory, 0777), 0);
    CHECK_INT(chmod(test_tmpdir(), 0777), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mpq_control_request request = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, MPQ_CONTROL_STOP};
        if (setuid(12345) < 0)
            _exit(1);
        ssize_t got = say(&request, sizeof request);
        /* Hung up on, before or after the request has arrived. */
        _exit(got == 0 || (got < 0 && (errno == ECONNRESET || errno == EPIPE)) ? 0 : 2);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    check_alive();
    check_stops();
}

TEST(control_replaces_a_stale_socket_and_nothing_else)
{
    char path[512];
    fake_service_init(&service, "stale");
    mpq_pidfile_path(&service.config, "sock", path, sizeof path, NULL);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    fake_service_launch(&service);
    CHECK_INT(fake_service_join(&service, 5000), 1);
    CHECK(fake_service_logged(&service, "is in the way of the control socket"));
    CHECK_INT(access(path, F_OK), 0);
    CHECK_INT(unlink(path), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mpq_pidfile_path(&service.config, "sock", address.sun_path, sizeof address.sun_path, NULL);
    fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    CHECK_INT(fake_service_start(&service), 0);
    check_stops();
}

TEST(control_says_when_the_path_is_too_long)
{
    char path[400];
    fake_service_init(&service, "long");
    size_t len = strlen(service.directory);
    snprintf(path, sizeof path, "%s", service.directory);
    while (len < 120) {
        len += (size_t)snprintf(path + len, sizeof path - len, "/a-rather-long-name-of-a-directory");
        CHECK_INT(mkdir(path, 0700), 0);
    }
    free(service.config.pid_path);
    service.config.pid_path = strdup(path);
    fake_service_launch(&service);
    CHECK_INT(fake_service_join(&service, 5000), 1);
    CHECK(fake_service_logged(&service, "at most 107 are possible: choose a shorter pid path"));
    CHECK_INT(fake_service_left(0), 0);
}

/* Something cleans /tmp: a stop still works, by signal. */
TEST(control_stops_a_service_whose_socket_is_gone)
{
    char path[512];
    fake_service_init(&service, "gone");
    CHECK_INT(fake_service_start(&service), 0);
    mpq_pidfile_path(&service.config, "sock", path, sizeof path, NULL);
    CHECK_INT(unlink(path), 0);
    mpq_status_row *rows;
    size_t count;
    CHECK_INT(mpq_control_status(&service.config, &rows, &count, &service.error), -1);
    CHECK(strstr(service.error.text, "control socket") != NULL);
    check_stops();
}

TEST(control_gives_up_on_a_service_that_does_not_answer)
{
    fake_service_init(&service, "frozen");
    CHECK_INT(fake_service_start(&service), 0);
    kill(service.pid, SIGSTOP);
    CHECK_INT(mpq_control_stop(&service.config, 300, &service.error), -1);
    CHECK(strstr(service.error.text, "has not answered within") != NULL);
    kill(service.pid, SIGCONT);
    CHECK_INT(fake_service_join(&service, 10000), 0); /* it was asked, after all */
    CHECK_INT(fake_service_left(1000), 0);
}

TEST(control_answers_when_nothing_runs)
{
    mpq_status_row *rows;
    size_t count;
    fake_service_init(&service, "nobody");
    CHECK_INT(mpq_control_running(&service.config, &service.error), 0);
    CHECK_INT(mpq_control_stop(&service.config, 0, &service.error), 1);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), 1);
    CHECK_INT(mpq_control_status(&service.config, &rows, &count, &service.error), 1);
}
