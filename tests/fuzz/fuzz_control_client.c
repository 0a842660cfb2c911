/*
 * The asking end of the control socket against a service that answers anything. The service is a child: it holds the
 * pid file's lock, which a process can't see of itself.
 *
 * Input: what to ask, which descriptors come along, how the service behaves, then the bytes of its answer (see
 * `struct behaviour`) and of the file that comes with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "control_wire.h"
#include "fuzz.h"
#include "pidfile.h"

enum {
    PROPER = 1,     /* the answer begins as a proper one; the input's bytes are laid over its text */
    FAILED = 2,     /* which says that it has failed */
    SILENT = 4,     /* closes without an answer */
    TWICE = 8,      /* the answer comes twice */
    DEAF = 16,      /* closes before it has read the question */
    STOP_RARE = 31, /* stopping waits for real, so it is tried less often */
    ANSWER_MAX = 4096
};

enum attachment { NOTHING, FILE_OF_BYTES, FILE_OF_ROWS, HUGE_FILE, PIPE, DIRECTORY, TWO_FILES, SIX_FILES, ATTACHMENTS };

struct behaviour {
    uint8_t flags, attachment;
    uint16_t answer_len, file_len;
    char answer[ANSWER_MAX], file[ANSWER_MAX];
};

static mpq_config config;
static struct behaviour *shared;
static pid_t service;

/* -- the service ---------------------------------------------------------------------------------------------- */

static int make_file(const void *bytes, size_t len)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    return fd;
}

static int make_attachment(const struct behaviour *how)
{
    static const mpq_status_row row = {.queue = "q", .type = "worker", .state = "busy", .job = "0"};
    int fds[2];
    switch (how->attachment) {
    case FILE_OF_ROWS:
        return make_file(&row, sizeof row);
    case HUGE_FILE: {
        int fd = make_file("", 0);
        MUST(ftruncate(fd, (off_t)sizeof row << 22) == 0);
        return fd;
    }
    case PIPE:
        MUST(pipe2(fds, O_CLOEXEC) == 0);
        close(fds[1]);
        return fds[0];
    case DIRECTORY:
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    default:
        return make_file(how->file, how->file_len);
    }
}

static size_t build_answer(const struct behaviour *how, char *out)
{
    mpq_control_reply reply = {.magic = MPQ_CONTROL_MAGIC,
                               .version = MPQ_CONTROL_VERSION,
                               .failed = how->flags & FAILED ? 1 : 0,
                               .row_bytes = sizeof(mpq_status_row)};
    if (!(how->flags & PROPER)) {
        memcpy(out, how->answer, how->answer_len);
        return how->answer_len;
    }
    size_t len = how->answer_len < sizeof reply.text ? how->answer_len : sizeof reply.text;
    memcpy(reply.text, how->answer, len);
    memcpy(out, &reply, sizeof reply);
    return sizeof reply;
}

static void send_answer(int client, const struct behaviour *how)
{
    enum { FDS_MAX = 6 };
    char bytes[ANSWER_MAX + sizeof(mpq_control_reply)];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    size_t count = how->attachment == NOTHING ? 0 : how->attachment == TWO_FILES ? 2 : 1;
    count = how->attachment == SIX_FILES ? FDS_MAX : count;
    struct iovec part = {bytes, build_answer(how, bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[FDS_MAX];
    for (size_t i = 0; i < count; i++)
        fds[i] = make_attachment(how);
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
    }
    sendmsg(client, &message, MSG_NOSIGNAL);
    if (how->flags & TWICE)
        sendmsg(client, &message, MSG_NOSIGNAL);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static void serve(int client)
{
    static struct behaviour how;
    mpq_control_request request;
    how = *shared; /* it may change as soon as the client has what it waits for */
    if (how.flags & DEAF)
        return;
    if (recv(client, &request, sizeof request, 0) != (ssize_t)sizeof request)
        return;
    MUST(request.magic == MPQ_CONTROL_MAGIC && request.version == MPQ_CONTROL_VERSION);
    MUST(request.command >= MPQ_CONTROL_STOP && request.command <= MPQ_CONTROL_STATUS);
    if (!(how.flags & SILENT))
        send_answer(client, &how);
}

static void run_service(int ready_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mpq_pidfile file;
    mpq_error err;
    signal(SIGTERM, SIG_IGN); /* what a client that can't reach us sends */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    MUST(mpq_pidfile_acquire(&config, &file, &err) == 0);
    MUST(mpq_pidfile_path(&config, "sock", address.sun_path, sizeof address.sun_path, &err) == 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    MUST(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0);
    MUST(write(ready_fd, "r", 1) == 1);
    close(ready_fd);
    for (;;) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        MUST(client >= 0);
        serve(client);
        close(client);
    }
}

static void end_service(void)
{
    kill(service, SIGKILL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int ready[2];
    char byte;
    (void)argc;
    (void)argv;
    mpq_config_init(&config);
    config.name = strdup("fuzz");
    config.pid_path = strdup(fuzz_directory());
    config.stop_timeout_ms = 1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED && pipe2(ready, O_CLOEXEC) == 0);
    service = fork();
    MUST(service >= 0);
    if (service == 0)
        run_service(ready[1]);
    close(ready[1]);
    MUST(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    atexit(end_service);
    return 0;
}

/* -- the client ----------------------------------------------------------------------------------------------- */

static void check_status(void)
{
    mpq_status_row *rows = NULL;
    size_t count = 0;
    mpq_error err = {0};
    int rc = mpq_control_status(&config, &rows, &count, &err);
    MUST(rc == 0 || rc == -1);
    if (rc < 0)
        fuzz_must_explain(&err);
    for (size_t i = 0; i < count; i++) {
        MUST(strlen(rows[i].queue) < sizeof rows[i].queue && strlen(rows[i].type) < sizeof rows[i].type);
        MUST(strlen(rows[i].state) < sizeof rows[i].state && strlen(rows[i].job) < sizeof rows[i].job);
    }
    free(rows);
}

static void check_reload(void)
{
    mpq_error err = {0};
    int rc = mpq_control_reload(&config, &err);
    MUST(rc == 0 || rc == -1);
    if (rc < 0)
        fuzz_must_explain(&err);
}

/* It never stops. */
static void check_stop(void)
{
    mpq_error err = {0};
    MUST(mpq_control_stop(&config, 1, &err) == -1);
    fuzz_must_explain(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = fuzz_input_of(data, size);
    uint8_t what = fuzz_u8(&input);
    shared->attachment = fuzz_u8(&input) % ATTACHMENTS;
    shared->flags = fuzz_u8(&input);
    size_t answer_len = fuzz_u8(&input) | (size_t)fuzz_u8(&input) << 8;
    mpq_slice answer = fuzz_bytes(&input, answer_len < ANSWER_MAX ? answer_len : ANSWER_MAX);
    mpq_slice file = fuzz_bytes(&input, ANSWER_MAX);
    shared->answer_len = (uint16_t)answer.len;
    shared->file_len = (uint16_t)file.len;
    if (answer.len)
        memcpy(shared->answer, answer.data, answer.len);
    if (file.len)
        memcpy(shared->file, file.data, file.len);
    unsigned fds = fuzz_open_fds();
    if (what == STOP_RARE)
        check_stop();
    else if (what & 1)
        check_reload();
    else
        check_status();
    MUST(fuzz_open_fds() == fds);
    return 0;
}
