/*
 * What a service finds in its pid path when it starts: a board file that a dead service has left, or that somebody or
 * something has written, and a pid file of any content. What the board tells is then really taken over, by a lane whose
 * store holds jobs of the dead service.
 *
 * Input: what lies there and how, then the file's bytes, or changes of a true board (see `change`).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"
#include "lane.h"
#include "pidfile.h"

#include "fuzz.h"

enum what { BOARD_BYTES, BOARD_CHANGED, PID_FILE, WHATS };
enum place { REGULAR, SYMLINK, FIFO, DIRECTORY, WRITABLE_BY_ALL, PLACES };
enum { JOBS = 3, CHANGES_MAX = 40, PUMPS = 6, SPARE_BYTES = 4096 };

#define DISPATCHER "dead@node:1.0000000a"
#define GRAB_WORKER "dead@node:2.0000000b"

static mpq_config config;
static char board_path[PATH_MAX], pid_path[PATH_MAX], target_path[PATH_MAX];
static char *model; /* a true board */
static size_t model_bytes;

/* -- files ---------------------------------------------------------------------------------------------------- */

static void write_file(const char *path, mpq_slice bytes, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && fchmod(fd, mode) == 0);
    MUST(bytes.len == 0 || write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    close(fd);
}

static void put(const char *path, enum place place, mpq_slice bytes)
{
    if (place == SYMLINK) {
        write_file(target_path, bytes, 0600);
        MUST(symlink(target_path, path) == 0);
    } else if (place == FIFO) {
        MUST(mkfifo(path, 0600) == 0);
    } else if (place == DIRECTORY) {
        MUST(mkdir(path, 0700) == 0);
    } else {
        write_file(path, bytes, place == WRITABLE_BY_ALL ? 0666 : 0600);
    }
}

static void take_away(const char *path)
{
    if (unlink(path) < 0 && errno != ENOENT)
        MUST(rmdir(path) == 0);
}

static bool is_refused(enum place place)
{
    return place == SYMLINK || place == FIFO || place == DIRECTORY;
}

static size_t read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    ssize_t got = read(fd, out, size);
    MUST(got >= 0);
    close(fd);
    return (size_t)got;
}

/* The clock stands still unless it is told not to, so that leases end when they should. */
static uint64_t now_ms = 1000000;
uint64_t __wrap_mpq_clock_monotonic_ms(void);
uint64_t __wrap_mpq_clock_monotonic_us(void);

uint64_t __wrap_mpq_clock_monotonic_ms(void)
{
    return now_ms;
}

uint64_t __wrap_mpq_clock_monotonic_us(void)
{
    return now_ms * 1000;
}

/* -- the dead service's jobs ---------------------------------------------------------------------------------- */

static void must(int rc, const mpq_error *err)
{
    if (rc != 0)
        fuzz_fail(__FILE__, __LINE__, err->text);
}

static void push_jobs(void)
{
    static uint64_t sequence;
    mpq_buf bytes[JOBS] = {{0}};
    mpq_push_item items[JOBS];
    mpq_broker *broker;
    mpq_error err;
    mpq_push push = {.queue = "q", .producer = 1, .sequence = ++sequence, .items = items, .count = JOBS};
    for (unsigned char i = 0; i < JOBS; i++) {
        mpq_job job = {.id = {{i}}, .fail_number = 2};
        mpq_codec_encode(&job, &bytes[i]);
        items[i] = (mpq_push_item){mpq_buf_slice(&bytes[i]), 0};
    }
    must(mpq_broker_open(&config.broker, &broker, &err), &err);
    must(broker->ops->push(broker, &push, &err), &err);
    mpq_broker_close(broker);
    for (int i = 0; i < JOBS; i++)
        mpq_buf_fini(&bytes[i]);
}

/* Reserves and dies; nothing remains of its lease. */
static void hold_jobs(const char *owner, uint32_t count)
{
    mpq_broker *broker;
    mpq_batch batch;
    mpq_buf held = {0};
    mpq_error err;
    mpq_exchange take = {.want = count};
    mpq_batch_init(&batch);
    must(mpq_broker_open(&config.broker, &broker, &err), &err);
    must(broker->ops->attach(broker, "q", owner, 0, MPQ_ATTACH_FRESH, &held, &err), &err);
    must(mpq_broker_exchange(broker, &take, 100, &batch, &err), &err);
    MUST(batch.count == count);
    mpq_buf_fini(&held);
    mpq_batch_fini(&batch);
    mpq_broker_close(broker);
}

/* Whatever the board says, the jobs of the dead service are ours now and none is lost. */
static void take_over(mpq_board *board)
{
    mpq_process process = {.config = &config, .board = *board};
    mpq_lane *lane = calloc(1, sizeof *lane);
    mpq_counts counts;
    mpq_error err;
    MUST(lane);
    push_jobs();
    hold_jobs(DISPATCHER, 2);
    hold_jobs(GRAB_WORKER, 1);
    now_ms++; /* after the end of their leases */
    must(mpq_lane_open(&process, 0, lane, &err), &err);
    must(mpq_lane_attach(lane, &err), &err);
    must(mpq_lane_maintain(lane, &err) < 0, &err); /* takes what the board tells */
    for (int i = 0; i < PUMPS; i++) {
        mpq_lane_pump(lane); /* and, after a while, what it does not */
        now_ms += config.lease_ms / 3;
    }
    must(mpq_lane_detach(lane, &err), &err);
    must(lane->broker->ops->counts(lane->broker, "q", &counts, &err), &err);
    MUST(counts.running == 0 && counts.failed == 0 && counts.ready + counts.delayed == JOBS);
    must(lane->broker->ops->clear(lane->broker, "q", &err), &err);
    mpq_lane_close(lane);
    free(lane);
}

/* -- the board ------------------------------------------------------------------------------------------------ */

static void check_legacy(const mpq_board_legacy *legacy)
{
    const mpq_board_file *file = legacy->file;
    mpq_cause cause;
    MUST(file->queue_count <= MPQ_QUEUES_MAX);
    MUST(legacy->bytes == mpq_board_file_bytes(file->worker_capacity, file->inherited_count));
    MUST(strlen(file->boot) < sizeof file->boot && strlen(file->node) < sizeof file->node);
    for (size_t i = 0; i < MPQ_QUEUES_MAX; i++) {
        MUST(strlen(file->queues[i].name) < sizeof file->queues[i].name);
        MUST(strlen(file->queues[i].owner) < sizeof file->queues[i].owner);
    }
    for (uint32_t i = 0; i < file->worker_capacity; i++) {
        const mpq_board_worker *worker = &file->workers[i];
        MUST(strlen(worker->owner) < sizeof worker->owner && worker->report_len <= sizeof worker->report);
        MUST(worker->report_end <= MPQ_END_INTERRUPTED);
        mpq_codec_decode_cause(mpq_slice_of(worker->report, worker->report_len), &cause, NULL);
    }
}

/* Of this service's queue nothing is left to settle; a start that is killed here hands the rest on. */
static void check_inherited(mpq_board_file *file)
{
    const mpq_board_inherited *inherited = mpq_board_inheritance(file);
    mpq_board again;
    mpq_error err;
    uint32_t left = 0;
    for (uint32_t i = 0; i < file->inherited_count; i++) {
        MUST(strlen(inherited[i].queue) < sizeof inherited[i].queue);
        MUST(strlen(inherited[i].owner) < sizeof inherited[i].owner);
        MUST(strcmp(inherited[i].queue, "q") != 0);
        left += inherited[i].queue[0] != 0;
    }
    must(mpq_board_open(&config, &again, &err), &err);
    MUST(again.legacy && again.file->inherited_count >= left);
    mpq_board_close(&again, &config, false);
}

static void check_board(enum place place, mpq_slice bytes)
{
    mpq_board board;
    mpq_error err = {0};
    put(board_path, place, bytes);
    if (mpq_board_open(&config, &board, &err) < 0) {
        fuzz_must_explain(&err);
        MUST(is_refused(place));
        take_away(board_path);
        return;
    }
    MUST(!is_refused(place) && (!board.legacy || place == REGULAR));
    MUST(strcmp(board.file->queues[0].name, "q") == 0 && board.file->queue_count == 1);
    if (board.legacy) {
        check_legacy(board.legacy);
        take_over(&board);
        check_inherited(board.file);
    }
    mpq_board_close(&board, &config, true);
    MUST(access(board_path, F_OK) < 0);
}

/* -- changes of a true board ---------------------------------------------------------------------------------- */

static void set_text(char *field, size_t size, mpq_slice text)
{
    memset(field, 0, size);
    if (text.len)
        memcpy(field, text.data, text.len < size ? text.len : size); /* may go without an end */
}

static void change_header(mpq_board_file *file, fuzz_input *input)
{
    uint32_t *const fields[] = {&file->version, &file->size, &file->worker_capacity, &file->queue_count};
    uint32_t *field = fields[fuzz_u8(input) % 4];
    *field = fuzz_u32(input);
}

static void change_worker(mpq_board_worker *worker, uint8_t how, fuzz_input *input)
{
    worker->queue = fuzz_u8(input);
    if (how & 1)
        atomic_store(&worker->run_token, 2 * fuzz_u32(input) + 1);
    if (how & 2)
        worker->job.bytes[0] = fuzz_u8(input);
    if (how & 4)
        set_text(worker->owner, sizeof worker->owner, fuzz_until(input, '\n'));
    if (how & 8) {
        worker->report_end = fuzz_u8(input);
        worker->report_len = fuzz_u32(input);
        set_text(worker->report, sizeof worker->report, fuzz_bytes(input, fuzz_u8(input)));
    }
}

static void change_inherited(mpq_board_inherited *inherited, uint8_t how, fuzz_input *input)
{
    inherited->running = how & 1;
    inherited->job.bytes[0] = fuzz_u8(input);
    if (how & 2)
        set_text(inherited->queue, sizeof inherited->queue, fuzz_until(input, '\n'));
    if (how & 4)
        set_text(inherited->owner, sizeof inherited->owner, fuzz_until(input, '\n'));
}

static void change_bytes(char *image, size_t size, fuzz_input *input)
{
    size_t at = fuzz_u32(input) % size;
    mpq_slice bytes = fuzz_bytes(input, fuzz_u8(input));
    if (bytes.len)
        memcpy(image + at, bytes.data, bytes.len < size - at ? bytes.len : size - at);
}

static void change(char *image, size_t *size, fuzz_input *input)
{
    mpq_board_file *file = (mpq_board_file *)(void *)image;
    uint8_t how = fuzz_u8(input), which = fuzz_u8(input);
    mpq_board_queue *queue = &file->queues[which % MPQ_QUEUES_MAX];
    const mpq_board_file *whole = (const mpq_board_file *)(const void *)model;
    uint32_t workers = whole->worker_capacity, entry = which % (workers + whole->inherited_count);
    mpq_board_inherited *inherited = (mpq_board_inherited *)&file->workers[workers];
    switch (how % 6) {
    case 0:
        set_text(queue->name, sizeof queue->name, fuzz_until(input, '\n'));
        return;
    case 1:
        set_text(queue->owner, sizeof queue->owner, fuzz_until(input, '\n'));
        return;
    case 2:
        if (entry < workers)
            change_worker(&file->workers[entry], how / 6, input);
        else
            change_inherited(&inherited[entry - workers], how / 6, input);
        return;
    case 3:
        change_header(file, input);
        return;
    case 4:
        change_bytes(image, model_bytes, input);
        return;
    default:
        *size = model_bytes + SPARE_BYTES - fuzz_u32(input) % (2 * SPARE_BYTES);
    }
}

static void check_changed_board(enum place place, fuzz_input *input)
{
    char *image = calloc(1, model_bytes + SPARE_BYTES);
    size_t size = model_bytes;
    MUST(image);
    memcpy(image, model, model_bytes);
    for (int i = 0; input->left > 0 && i < CHANGES_MAX; i++)
        change(image, &size, input);
    check_board(place, mpq_slice_of(image, size));
    free(image);
}

/* -- the pid file --------------------------------------------------------------------------------------------- */

static void check_pid_file(enum place place, mpq_slice bytes)
{
    mpq_pidfile file;
    mpq_error err = {0};
    char content[64], expected[32];
    put(pid_path, place, bytes);
    MUST(mpq_pidfile_holder(&config, &err) == (place == SYMLINK ? -1 : 0)); /* the lock counts, not the content */
    if (mpq_pidfile_acquire(&config, &file, &err) < 0) {
        fuzz_must_explain(&err);
        MUST(is_refused(place) && err.kind == MPQ_ERROR_CONFIG);
        take_away(pid_path);
        return;
    }
    MUST(!is_refused(place));
    size_t len = read_file(pid_path, content, sizeof content);
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    MUST(len == strlen(expected) && memcmp(content, expected, len) == 0);
    mpq_pidfile_release(&file);
    MUST(access(pid_path, F_OK) < 0);
}

/* -- beginning ------------------------------------------------------------------------------------------------ */

static void prepare_model(void)
{
    mpq_board board;
    mpq_error err;
    for (int i = 0; i < 2; i++) { /* the second inherits from the first */
        must(mpq_board_open(&config, &board, &err), &err);
        snprintf(board.file->queues[0].owner, sizeof board.file->queues[0].owner, "%s", DISPATCHER);
        mpq_board_worker *worker = &board.file->workers[2];
        snprintf(worker->owner, sizeof worker->owner, "%s", GRAB_WORKER);
        if (i == 0)
            mpq_board_close(&board, &config, false);
    }
    model_bytes = board.file->size;
    model = malloc(model_bytes);
    MUST(model);
    memcpy(model, board.file, model_bytes);
    mpq_board_close(&board, &config, true);
}

static void prepare(void)
{
    if (model)
        return;
    mpq_config_init(&config);
    config.name = strdup("fuzz");
    config.pid_path = strdup(fuzz_directory());
    config.broker.driver = MPQ_DRIVER_MEMORY;
    config.payload_max_bytes = 1 << 20;
    config.queues = calloc(1, sizeof *config.queues);
    config.queue_count = 1;
    mpq_queue_config_init(&config.queues[0]);
    config.queues[0].name = strdup("q");
    config.queues[0].workers = 2;
    MUST(mpq_pidfile_path(&config, "board", board_path, sizeof board_path, NULL) == 0);
    MUST(mpq_pidfile_path(&config, "pid", pid_path, sizeof pid_path, NULL) == 0);
    MUST(mpq_pidfile_path(&config, "target", target_path, sizeof target_path, NULL) == 0);
    prepare_model();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = fuzz_input_of(data, size);
    prepare();
    enum what what = fuzz_u8(&input) % WHATS;
    enum place place = fuzz_u8(&input) % PLACES;
    unsigned fds = fuzz_open_fds();
    if (what == BOARD_BYTES)
        check_board(place, mpq_slice_of(input.at, input.left));
    else if (what == BOARD_CHANGED)
        check_changed_board(place, &input);
    else
        check_pid_file(place, mpq_slice_of(input.at, input.left));
    MUST(fuzz_open_fds() == fds);
    return 0;
}
