/* The asking end of the control socket against a service that answers as no service should. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "control_wire.h"
#include "pidfile.h"
#include "test.h"

static mpq_config config;
static pid_t service;

static mpq_control_reply reply = {
    .magic = MPQ_CONTROL_MAGIC, .version = MPQ_CONTROL_VERSION, .row_bytes = sizeof(mpq_status_row)};

/* The reply to whatever is asked, with `count` descriptors of a file of `bytes`. */
static void answer_one(int listener, size_t count, off_t bytes)
{
    enum { FDS_MAX = 4 };
    mpq_control_request request;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {&reply, sizeof reply};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    int client = accept(listener, NULL, NULL), fds[FDS_MAX];
    for (size_t i = 0; i < count; i++)
        if ((fds[i] = memfd_create("rows", MFD_CLOEXEC)) < 0 || ftruncate(fds[i], bytes) < 0)
            _exit(1);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
    if (recv(client, &request, sizeof request, 0) != (ssize_t)sizeof request ||
        sendmsg(client, &message, MSG_NOSIGNAL) != (ssize_t)sizeof reply)
        _exit(1);
}

static void end_service(void)
{
    kill(service, SIGKILL);
    waitpid(service, NULL, 0);
    mpq_config_fini(&config);
}

/* The lock on the pid file is what makes it the service. */
static void start_service(size_t count, off_t bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mpq_pidfile file;
    char byte;
    int ready[2];
    mpq_config_init(&config);
    config.name = strdup("demo");
    config.pid_path = strdup(test_tmpdir());
    CHECK(pipe(ready) == 0 && mpq_pidfile_path(&config, "sock", address.sun_path, sizeof address.sun_path, NULL) == 0);
    unlink(address.sun_path);
    service = fork();
    if (service == 0) {
        int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        alarm(60);
        if (mpq_pidfile_acquire(&config, &file, NULL) < 0 ||
            bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4) < 0 ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            answer_one(listener, count, bytes);
    }
    atexit(end_service);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(descriptors_nobody_asked_for_are_not_kept)
{
    mpq_status_row *rows = NULL;
    size_t count = 0;
    mpq_error err = {0};
    start_service(2, sizeof(mpq_status_row));
    if (test_failed())
        return;
    int before = count_descriptors();
    for (int i = 0; i < 3; i++) {
        if (mpq_control_status(&config, &rows, &count, &err) == 0)
            free(rows);
        CHECK_INT(mpq_control_reload(&config, &err), 0);
    }
    CHECK_INT(count_descriptors(), before);
}

TEST(more_rows_than_a_service_can_have_are_refused)
{
    mpq_status_row *rows = NULL;
    size_t count = 0;
    mpq_error err = {0};
    start_service(1, (off_t)sizeof(mpq_status_row) << 24);
    if (test_failed())
        return;
    CHECK_INT(mpq_control_status(&config, &rows, &count, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_STATE);
    CHECK_STR(err.text, "the service's answer is damaged");
}

TEST(a_failure_without_a_reason_gets_one)
{
    mpq_error err = {0};
    reply.failed = 1;
    start_service(1, 0);
    if (test_failed())
        return;
    CHECK_INT(mpq_control_reload(&config, &err), -1);
    CHECK_STR(err.text, "service \"demo\" answers in an unknown way: is it another version?");
}
