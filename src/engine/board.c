#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pidfile.h"
#include "procfs.h"

enum { HIGH_FD = 512 };

#define ARENA_LEAST_BYTES (UINT64_C(64) << 20)

/* Two generations during a reload, and some that are gone but not settled. */
static uint32_t capacity_for(const mpq_config *config)
{
    uint64_t capacity = 8 + 2 * (uint64_t)config->queue_count;
    for (size_t i = 0; i < config->queue_count; i++)
        capacity += 2 * (uint64_t)config->queues[i].workers;
    return capacity < MPQ_BOARD_CAPACITY_MAX ? (uint32_t)capacity : MPQ_BOARD_CAPACITY_MAX;
}

/* -- shared memory --------------------------------------------------------------------------------------------- */

static void *map_anonymous(uint64_t bytes)
{
    void *memory = MAP_FAILED;
    if (bytes <= SIZE_MAX)
        memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, uint64_t bytes)
{
    if (memory)
        munmap(memory, (size_t)bytes);
}

/* Room for so many of the largest jobs, with the history of their failures. */
static uint64_t arena_bytes_for(const mpq_config *config, uint64_t jobs)
{
    uint64_t most = UINT64_MAX / (4 * MPQ_WORKERS_MAX);
    uint64_t payload = config->payload_max_bytes < most ? config->payload_max_bytes : most;
    uint64_t bytes = jobs * (payload + (1 << 20));
    return bytes > ARENA_LEAST_BYTES ? bytes : ARENA_LEAST_BYTES;
}

/* One for each worker and two to come; where address space is short, two have to do. */
static void *map_arena(const mpq_config *config, size_t i, uint64_t *bytes)
{
    *bytes = arena_bytes_for(config, 2 + (uint64_t)config->queues[i].workers);
    void *memory = map_anonymous(*bytes);
    if (memory)
        return memory;
    *bytes = arena_bytes_for(config, 2);
    return map_anonymous(*bytes);
}

static int open_ring(const mpq_config *config, mpq_board *board, size_t i, mpq_error *err)
{
    void *memory = map_anonymous(mpq_ring_bytes());
    board->arenas[i] = memory ? map_arena(config, i, &board->arena_bytes[i]) : NULL;
    if (!board->arenas[i]) {
        int number = errno;
        unmap(memory, mpq_ring_bytes());
        return mpq_error_set_errno(err, number,
                                   "can't reserve %llu MiB of address space for the jobs of queue %s (it follows from "
                                   "the largest payload that is allowed)",
                                   (unsigned long long)((board->arena_bytes[i] + mpq_ring_bytes()) >> 20),
                                   config->queues[i].name);
    }
    board->rings[i] = mpq_ring_init(memory, board->arenas[i], board->arena_bytes[i]);
    return 0;
}

static int open_rings(const mpq_config *config, mpq_board *board, mpq_error *err)
{
    board->rings = calloc(config->queue_count + 1, sizeof *board->rings);
    board->arenas = calloc(config->queue_count + 1, sizeof *board->arenas);
    board->arena_bytes = calloc(config->queue_count + 1, sizeof *board->arena_bytes);
    if (!board->rings || !board->arenas || !board->arena_bytes)
        return mpq_error_set_memory(err);
    for (size_t i = 0; i < config->queue_count; i++)
        if (open_ring(config, board, i, err) < 0)
            return -1;
    return 0;
}

static void close_rings(const mpq_config *config, mpq_board *board)
{
    for (size_t i = 0; board->rings && board->arenas && board->arena_bytes && i < config->queue_count; i++) {
        unmap(board->rings[i], mpq_ring_bytes());
        unmap(board->arenas[i], board->arena_bytes[i]);
    }
    free(board->rings);
    free(board->arenas);
    free(board->arena_bytes);
}

/* With a high number: when a job closes descriptors that are not its own, the next file that is opened does not get
 * this one, and is not written to by us. */
static int open_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD) : -1;
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

static int open_shared(mpq_board *board, mpq_error *err)
{
    board->shared = map_anonymous(sizeof *board->shared);
    if (!board->shared)
        return mpq_error_set_errno(err, errno, "can't map shared memory");
    board->dispatcher_wake_fd = open_eventfd();
    board->manager_wake_fd = open_eventfd();
    if (board->dispatcher_wake_fd < 0 || board->manager_wake_fd < 0)
        return mpq_error_set_errno(err, errno, "can't create an eventfd");
    return 0;
}

/* -- the file -------------------------------------------------------------------------------------------------- */

static void fill_file(const mpq_config *config, mpq_board_file *file, uint32_t capacity, const mpq_board_legacy *legacy)
{
    mpq_board_stamp(file);
    file->worker_capacity = capacity;
    file->inherited_count = legacy ? mpq_board_legacy_inherit(legacy, mpq_board_inheritance(file)) : 0;
    file->size = (uint32_t)mpq_board_file_bytes(capacity, file->inherited_count);
    file->queue_count = (uint32_t)config->queue_count;
    atomic_store(&file->manager_pid, (int32_t)getpid());
    mpq_procfs_boot_id(file->boot);
    if (gethostname(file->node, sizeof file->node) < 0 || file->node[0] == '\0')
        snprintf(file->node, sizeof file->node, "localhost");
    file->node[sizeof file->node - 1] = '\0';
    for (size_t i = 0; i < config->queue_count; i++)
        snprintf(file->queues[i].name, sizeof file->queues[i].name, "%s", config->queues[i].name);
    for (uint32_t i = 0; i < capacity; i++)
        atomic_store(&file->workers[i].slot, MPQ_SLOT_NONE);
}

/* The blocks are allocated now: on a full disk a write to the mapping would kill the process much later. */
static mpq_board_file *map_file(int fd, const char *path, size_t bytes, mpq_error *err)
{
    int number = posix_fallocate(fd, 0, (off_t)bytes);
    if (number != 0) {
        mpq_error_set_errno(err, number, "can't allocate %zu KiB for the board file %s", bytes >> 10, path);
        return NULL;
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED)
        return memory;
    mpq_error_set_errno(err, errno, "can't map the board file %s", path);
    return NULL;
}

static int create_file(const char *path, mpq_error *err)
{
    if (unlink(path) == 0 || errno == ENOENT) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && fchmod(fd, 0600) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    mpq_error_set_errno(err, errno,
                        "can't create the board file %s (uid %u); make its directory writable for this user or choose "
                        "another pid path",
                        path, (unsigned)geteuid());
    if (err)
        err->kind = MPQ_ERROR_CONFIG;
    return -1;
}

/* Under another name until it is complete: whenever we are killed there is one whole board, the old or the new. */
static int open_file(const mpq_config *config, const char *path, mpq_board *board, mpq_error *err)
{
    char fresh[PATH_MAX];
    uint32_t capacity = capacity_for(config);
    uint32_t inherited = board->legacy ? mpq_board_legacy_inherit(board->legacy, NULL) : 0;
    size_t bytes = mpq_board_file_bytes(capacity, inherited);
    if (mpq_pidfile_path(config, "board.new", fresh, sizeof fresh, err) < 0)
        return -1;
    int fd = create_file(fresh, err);
    if (fd < 0)
        return -1;
    board->file = map_file(fd, fresh, bytes, err);
    close(fd);
    if (board->file) {
        fill_file(config, board->file, capacity, board->legacy);
        if (rename(fresh, path) == 0)
            return 0;
        mpq_error_set_errno(err, errno, "can't give the board file its name %s", path);
    }
    unlink(fresh);
    return -1;
}

int mpq_board_open(const mpq_config *config, mpq_board *out, mpq_error *err)
{
    char path[PATH_MAX];
    memset(out, 0, sizeof *out);
    out->dispatcher_wake_fd = out->manager_wake_fd = -1;
    if (config->queue_count > MPQ_QUEUES_MAX)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "a service can have at most %d queues, not %zu", MPQ_QUEUES_MAX,
                             config->queue_count);
    if (mpq_pidfile_path(config, "board", path, sizeof path, err) == 0 &&
        mpq_board_legacy_read(path, &out->legacy, err) == 0 && open_shared(out, err) == 0 &&
        open_rings(config, out, err) == 0 && open_file(config, path, out, err) == 0)
        return 0;
    mpq_board_close(out, config, false);
    return -1;
}

void mpq_board_close(mpq_board *board, const mpq_config *config, bool remove_file)
{
    char path[PATH_MAX];
    if (board->file)
        unmap(board->file, board->file->size);
    close_rings(config, board);
    unmap(board->shared, sizeof *board->shared);
    if (board->dispatcher_wake_fd >= 0)
        close(board->dispatcher_wake_fd);
    if (board->manager_wake_fd >= 0)
        close(board->manager_wake_fd);
    mpq_board_legacy_free(board->legacy);
    if (remove_file && mpq_pidfile_path(config, "board", path, sizeof path, NULL) == 0)
        unlink(path);
    memset(board, 0, sizeof *board);
    board->dispatcher_wake_fd = board->manager_wake_fd = -1;
}

mpq_board_inherited *mpq_board_inheritance(mpq_board_file *file)
{
    return (mpq_board_inherited *)&file->workers[file->worker_capacity];
}

/* -- use ------------------------------------------------------------------------------------------------------- */

int mpq_board_reserve_worker(mpq_board *board, uint32_t queue, uint32_t generation)
{
    mpq_board_file *file = board->file;
    for (uint32_t i = 0; i < file->worker_capacity; i++) {
        mpq_board_worker *worker = &file->workers[i];
        if (atomic_load(&worker->state) != MPQ_WORKER_EMPTY)
            continue;
        worker->queue = queue;
        worker->generation = generation;
        atomic_store(&worker->state, MPQ_WORKER_SPAWNING);
        return (int)i;
    }
    return -1;
}

/* It can fail only when the counter is full, and then the sleeper is being woken already. */
void mpq_board_wake(int event_fd)
{
    uint64_t one = 1;
    ssize_t written = write(event_fd, &one, sizeof one);
    (void)written;
}
