/*
 * The manager's end of the control socket against clients that say anything.
 *
 * Input: steps, one byte each (what to do and which client does it), some followed by more bytes; see `take_step`.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "control_server.h"
#include "fuzz.h"
#include "pidfile.h"

enum { CLIENTS = 20, STEPS_MAX = 200, ROWS_MAX = 3, CLIENT_FOR_MS = 2000 };

typedef struct client {
    int fd; /* -1 = none */
    bool connected;
    unsigned sent[4]; /* by command: whole and right requests, 0 = anything else */
    bool answered;
} client;

static mpq_config config;
static mpq_loop *loop;
static mpq_control_server *server;
static client clients[CLIENTS];
static unsigned asked[4], obeyed[4]; /* by command */
static bool reload_fails, status_fails;
static size_t rows_count;

/* -- the manager ---------------------------------------------------------------------------------------------- */

static void stop(void *arg)
{
    (void)arg;
    obeyed[MPQ_CONTROL_STOP]++;
}

static int reload(void *arg, mpq_error *err)
{
    (void)arg;
    obeyed[MPQ_CONTROL_RELOAD]++;
    return reload_fails ? mpq_error_set(err, MPQ_ERROR_STATE, "the service is being stopped") : 0;
}

static int status(void *arg, mpq_status_row **rows, size_t *count, mpq_error *err)
{
    (void)arg;
    obeyed[MPQ_CONTROL_STATUS]++;
    if (status_fails)
        return mpq_error_set_memory(err);
    *rows = calloc(rows_count + 1, sizeof **rows);
    *count = rows_count;
    return *rows ? 0 : mpq_error_set_memory(err);
}

static void let_server_act(void)
{
    for (int i = 0; i < 3; i++)
        MUST(mpq_loop_once(loop, false) >= 0);
    for (int i = 1; i < 4; i++)
        MUST(obeyed[i] <= asked[i]);
}

/* -- the clients ---------------------------------------------------------------------------------------------- */

static void connect_client(client *c, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (c->fd >= 0)
        return;
    MUST(mpq_pidfile_path(&config, "sock", address.sun_path, sizeof address.sun_path, NULL) == 0);
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    MUST(c->fd >= 0);
    c->connected = connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static void close_client(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void send_bytes(client *c, mpq_slice bytes)
{
    mpq_control_request request;
    if (c->fd < 0 || send(c->fd, bytes.data ? bytes.data : "", bytes.len, MSG_NOSIGNAL) != (ssize_t)bytes.len)
        return;
    if (bytes.len != sizeof request) {
        c->sent[0]++;
        return;
    }
    memcpy(&request, bytes.data, sizeof request);
    bool right = request.magic == MPQ_CONTROL_MAGIC && request.version == MPQ_CONTROL_VERSION &&
                 request.command >= MPQ_CONTROL_STOP && request.command <= MPQ_CONTROL_STATUS;
    c->sent[right ? request.command : 0]++;
    if (right)
        asked[request.command]++;
}

static void send_request(client *c, uint8_t command)
{
    mpq_control_request request = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, command};
    send_bytes(c, mpq_slice_of((const char *)&request, sizeof request));
}

/* The server has no use for descriptors, and must not keep them. */
static void send_descriptor(client *c)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    mpq_control_request request = {MPQ_CONTROL_MAGIC, MPQ_CONTROL_VERSION, MPQ_CONTROL_STATUS};
    struct iovec part = {&request, sizeof request};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &c->fd, sizeof c->fd);
    if (c->fd < 0 || sendmsg(c->fd, &message, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        return;
    c->sent[MPQ_CONTROL_STATUS]++;
    asked[MPQ_CONTROL_STATUS]++;
}

static void check_rows(const struct msghdr *message, const mpq_control_reply *reply)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd;
    struct stat st;
    if (!header)
        return;
    MUST(header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd) && !reply->failed);
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    MUST(fstat(fd, &st) == 0 && st.st_size % (off_t)sizeof(mpq_status_row) == 0);
    MUST(st.st_size <= (off_t)(ROWS_MAX * sizeof(mpq_status_row)));
    close(fd);
}

/* At most one answer, whole, and only to a client that has asked properly. */
static void read_answer(client *c)
{
    mpq_control_reply reply;
    char control[CMSG_SPACE(4 * sizeof(int))];
    struct iovec part = {&reply, sizeof reply};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = c->fd >= 0 ? recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
    if (got <= 0)
        return;
    MUST(got == (ssize_t)sizeof reply && !c->answered && c->sent[1] + c->sent[2] + c->sent[3] > 0);
    MUST(reply.magic == MPQ_CONTROL_MAGIC && reply.version == MPQ_CONTROL_VERSION);
    MUST(reply.row_bytes == sizeof(mpq_status_row) && reply.failed <= 1);
    size_t len = strnlen(reply.text, sizeof reply.text);
    MUST(len < sizeof reply.text && (len > 0) == (reply.failed == 1));
    check_rows(&message, &reply);
    c->answered = true;
}

/* -- steps ---------------------------------------------------------------------------------------------------- */

static void set_manager(uint8_t how)
{
    reload_fails = how & 1;
    status_fails = how & 2;
    rows_count = (how >> 2) % (ROWS_MAX + 1);
}

static void take_step(fuzz_input *input)
{
    uint8_t step = fuzz_u8(input);
    client *c = &clients[(step >> 4) < 15 ? step >> 4 : fuzz_u8(input) % CLIENTS];
    switch (step & 15) {
    case 0:
        connect_client(c, SOCK_SEQPACKET);
        return;
    case 1:
        connect_client(c, SOCK_STREAM);
        return;
    case 2:
        send_request(c, fuzz_u8(input));
        return;
    case 3:
        send_bytes(c, fuzz_bytes(input, fuzz_u8(input)));
        return;
    case 4:
        send_bytes(c, fuzz_bytes(input, sizeof(mpq_control_request)));
        return;
    case 5:
        send_descriptor(c);
        return;
    case 6:
        close_client(c);
        return;
    case 7:
        if (c->fd >= 0)
            shutdown(c->fd, SHUT_WR);
        return;
    case 8:
        mpq_control_server_reloaded(server, step >> 4 & 1 ? "preload failed" : NULL);
        return;
    case 9:
        mpq_control_server_expire(server, mpq_clock_monotonic_ms() + (step >> 4 & 1 ? 2 * CLIENT_FOR_MS : 0));
        return;
    case 10:
        set_manager(fuzz_u8(input));
        return;
    case 11:
        read_answer(c);
        return;
    default:
        let_server_act();
    }
}

/* After their time nobody is left but those who wait for a reload, and they go when it is over. */
static void finish(void)
{
    let_server_act();
    mpq_control_server_expire(server, mpq_clock_monotonic_ms() + 2 * CLIENT_FOR_MS);
    mpq_control_server_reloaded(server, NULL);
    let_server_act();
    MUST(mpq_control_server_expire(server, mpq_clock_monotonic_ms() + 2 * CLIENT_FOR_MS) == UINT64_MAX);
    for (int i = 0; i < CLIENTS; i++) {
        read_answer(&clients[i]);
        close_client(&clients[i]);
    }
}

static void prepare(void)
{
    memset(asked, 0, sizeof asked);
    memset(obeyed, 0, sizeof obeyed);
    set_manager(4);
    for (int i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    if (config.name)
        return;
    mpq_config_init(&config);
    config.name = strdup("fuzz");
    config.pid_path = strdup(fuzz_directory());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mpq_control_handler handler = {NULL, stop, reload, status};
    fuzz_input input = fuzz_input_of(data, size);
    mpq_error err;
    prepare();
    unsigned fds = fuzz_open_fds();
    MUST(mpq_loop_open(&loop, &err) == 0);
    MUST(mpq_control_server_open(&config, loop, &handler, &server, &err) == 0);
    for (int i = 0; input.left > 0 && i < STEPS_MAX; i++)
        take_step(&input);
    finish();
    mpq_control_server_close(server);
    mpq_loop_close(loop);
    MUST(fuzz_open_fds() == fds);
    return 0;
}
