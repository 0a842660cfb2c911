#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "test.h"

static mpq_config config;
static mpq_board board;
static mpq_error err;
static char path[256], fresh_path[256];

static void configure(uint32_t workers, size_t queues)
{
    static unsigned number;
    char dir[128], name[32];
    snprintf(dir, sizeof dir, "%s/%ld-%u", test_tmpdir(), (long)getpid(), ++number);
    CHECK(mkdir(dir, 0755) == 0);
    mpq_config_init(&config);
    free(config.name);
    free(config.pid_path);
    config.name = strdup("demo");
    config.pid_path = strdup(dir);
    config.queues = calloc(queues, sizeof *config.queues);
    config.queue_count = queues;
    for (size_t i = 0; i < queues; i++) {
        mpq_queue_config_init(&config.queues[i]);
        snprintf(name, sizeof name, "queue-%zu", i);
        config.queues[i].name = strdup(name);
        config.queues[i].workers = workers;
    }
    snprintf(path, sizeof path, "%s/mpQueue-demo.board", dir);
    snprintf(fresh_path, sizeof fresh_path, "%s/mpQueue-demo.board.new", dir);
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

#define CONFIGURE(workers, queues)                                                                                     \
    do {                                                                                                               \
        configure(workers, queues);                                                                                    \
        if (test_failed())                                                                                             \
            return;                                                                                                    \
    } while (0)

/* Leaves the file of a service that was killed, with traces of what it did. */
static void leave_dead_board(void)
{
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    mpq_board_worker *worker = &board.file->workers[5];
    snprintf(board.file->queues[1].owner, sizeof board.file->queues[1].owner, "host/1/abc");
    snprintf(worker->owner, sizeof worker->owner, "host/2/def");
    worker->queue = 1;
    memset(worker->job.bytes, 0x5a, sizeof worker->job.bytes);
    atomic_store(&worker->run_token, 77);
    mpq_board_close(&board, &config, false);
}

TEST(board_is_created_whole_and_private)
{
    struct stat st;
    CONFIGURE(3, 2);
    umask(0);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(lstat(path, &st) == 0);
    CHECK_INT(st.st_mode, S_IFREG | 0600);
    CHECK_INT(st.st_size, board.file->size);
    CHECK((uint64_t)st.st_blocks * 512 >= board.file->size);
    CHECK(!exists(fresh_path));
    CHECK(board.legacy == NULL);
    CHECK_INT(board.file->worker_capacity, 2 * 6 + 2 * 2 + 8);
    CHECK_INT(board.file->queue_count, 2);
    CHECK_STR(board.file->queues[1].name, "queue-1");
    CHECK_STR(board.file->queues[1].owner, "");
    CHECK_INT(board.file->manager_pid, getpid());
    CHECK(board.file->node[0] != '\0');
    CHECK(board.file->workers[0].slot == MPQ_SLOT_NONE);
    CHECK_INT(fcntl(board.dispatcher_wake_fd, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(board.manager_wake_fd, F_GETFL) & O_NONBLOCK);
    CHECK(mpq_ring_largest(board.rings[0]) >= 2 * config.payload_max_bytes + (1 << 20));
    mpq_board_close(&board, &config, true);
    CHECK(!exists(path));
    mpq_config_fini(&config);
}

/* A tenth of all address space for each of ten workers is too much, but two of the largest jobs still find room. */
TEST(board_makes_do_with_less_room_where_address_space_is_short)
{
    uint64_t payload = UINT64_C(16) << 40;
    CONFIGURE(10, 1);
    void *probe = mmap(NULL, 3 * payload, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED)
        SKIP("less address space than usual");
    munmap(probe, 3 * payload);
    config.payload_max_bytes = payload;
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(mpq_ring_largest(board.rings[0]) >= 2 * payload);
    CHECK(mpq_ring_largest(board.rings[0]) < 3 * payload);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

TEST(board_close_gives_everything_back)
{
    int before = open_descriptors();
    CONFIGURE(3, 2);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mpq_board_open(&config, &board, &err), 0);
        void *ring = board.rings[1], *arena = board.arenas[0], *file = board.file, *shared = board.shared;
        unsigned char map[1];
        mpq_board_close(&board, &config, false);
        CHECK(mincore(ring, 1, map) < 0 && mincore(arena, 1, map) < 0);
        CHECK(mincore(file, 1, map) < 0 && mincore(shared, 1, map) < 0);
    }
    CHECK_INT(open_descriptors(), before);
    mpq_config_fini(&config);
}

TEST(board_is_shared_with_children)
{
    CONFIGURE(1, 1);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t slot;
        while ((slot = mpq_ring_claim(board.rings[0], 4)) == MPQ_SLOT_NONE)
            mpq_ring_wait(board.rings[0], 0, mpq_ring_kicks(board.rings[0]), 1000);
        mpq_ring_slot(board.rings[0], slot)->run_us = (uint32_t)mpq_ring_envelope(board.rings[0], slot).data[2 << 20];
        atomic_store(&board.file->workers[0].jobs, 42);
        atomic_store(&board.shared->settled, 43);
        mpq_ring_finish(board.rings[0], slot, board.dispatcher_wake_fd);
        mpq_board_wake(board.manager_wake_fd);
        _exit(0);
    }
    mpq_ring_feeder *feeder;
    char *large = calloc(1, 3 << 20);
    large[2 << 20] = 99;
    CHECK_INT(mpq_ring_feeder_open(board.rings[0], &feeder, &err), 0);
    CHECK_INT(mpq_ring_post(feeder, mpq_slice_of(large, 3 << 20), 1, 1), 0);
    free(large);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    uint32_t slot = 0;
    CHECK_INT(mpq_ring_take_finished(feeder, &slot, 1), 1);
    CHECK_INT(mpq_ring_slot(board.rings[0], slot)->run_us, 99);
    CHECK_INT(board.file->workers[0].jobs, 42);
    CHECK_INT(board.shared->settled, 43);
    uint64_t wakes = 0;
    CHECK_INT(read(board.manager_wake_fd, &wakes, sizeof wakes), sizeof wakes);
    CHECK_INT(wakes, 1);
    mpq_ring_feeder_close(feeder);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

static void check_inherited(const mpq_board_inherited *inherited)
{
    CHECK_STR(inherited[0].queue, "queue-1");
    CHECK_STR(inherited[0].owner, "host/1/abc");
    CHECK_INT(inherited[0].running, 0);
    CHECK_STR(inherited[1].queue, "queue-1");
    CHECK_STR(inherited[1].owner, "host/2/def");
    CHECK_INT(inherited[1].running, 1);
    CHECK_INT(inherited[1].job.bytes[15], 0x5a);
}

TEST(board_hands_a_dead_services_table_over)
{
    CONFIGURE(3, 2);
    leave_dead_board();
    CHECK(exists(path));
    /* A smaller service reads the table of a larger one, too. */
    config.queues[0].workers = config.queues[1].workers = 1;
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy != NULL);
    const mpq_board_file *dead = board.legacy->file;
    CHECK_INT(dead->worker_capacity, 24);
    CHECK_STR(dead->queues[1].owner, "host/1/abc");
    CHECK_STR(dead->workers[5].owner, "host/2/def");
    CHECK_INT(dead->workers[5].run_token, 77);
    CHECK_INT(dead->workers[5].job.bytes[15], 0x5a);
    CHECK_INT(board.file->worker_capacity, 16);
    CHECK_INT(board.file->inherited_count, 2);
    check_inherited(mpq_board_inheritance(board.file));
    CHECK_INT(board.file->workers[5].run_token, 0);
    CHECK_STR(board.file->queues[1].owner, "");
    mpq_board_close(&board, &config, true);
    /* After a clean stop there is nothing. */
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy == NULL);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

/* One killed after the other, each before it has settled anything: the last one knows of them all. */
TEST(board_keeps_what_is_inherited_until_it_is_settled)
{
    CONFIGURE(3, 2);
    leave_dead_board();
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mpq_board_open(&config, &board, &err), 0);
        CHECK_INT(board.file->inherited_count, 2 + i);
        check_inherited(mpq_board_inheritance(board.file) + i); /* the youngest come first */
        snprintf(board.file->queues[0].owner, sizeof board.file->queues[0].owner, "again-%d", i);
        mpq_board_close(&board, &config, false);
    }
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    mpq_board_inherited *inherited = mpq_board_inheritance(board.file);
    CHECK_INT(board.file->inherited_count, 5);
    CHECK_STR(inherited[0].owner, "again-2");
    CHECK_STR(inherited[2].owner, "again-0");
    for (int i = 0; i < 3; i++)
        inherited[i].queue[0] = '\0';
    mpq_board_close(&board, &config, false);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK_INT(board.file->inherited_count, 2);
    check_inherited(mpq_board_inheritance(board.file));
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

TEST(board_inherits_only_so_much)
{
    CONFIGURE(MPQ_WORKERS_MAX / MPQ_QUEUES_MAX, MPQ_QUEUES_MAX);
    for (int round = 0; round < 4; round++) {
        CHECK_INT(mpq_board_open(&config, &board, &err), 0);
        CHECK_INT(board.file->inherited_count, round < 2 ? round * 2 * MPQ_WORKERS_MAX : MPQ_INHERITED_MAX);
        for (uint32_t i = 0; i < board.file->worker_capacity; i++)
            atomic_store(&board.file->workers[i].run_token, 1);
        mpq_board_close(&board, &config, false);
    }
    mpq_config_fini(&config);
}

typedef void (*damage_fn)(mpq_board_file *file, size_t *bytes);

static void wrong_magic(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->magic[0] ^= 1;
}

static void wrong_version(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->version++;
}

static void wrong_size(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->size--;
}

static void huge_capacity(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->worker_capacity = UINT32_MAX;
}

static void more_capacity(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->worker_capacity++;
}

static void too_many_queues(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->queue_count = MPQ_QUEUES_MAX + 1;
}

static void huge_inheritance(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->inherited_count = UINT32_MAX;
}

static void more_inheritance(mpq_board_file *file, size_t *bytes)
{
    (void)bytes;
    file->inherited_count++;
}

static void truncated(mpq_board_file *file, size_t *bytes)
{
    (void)file;
    *bytes -= 1;
}

static void header_only(mpq_board_file *file, size_t *bytes)
{
    (void)file;
    *bytes = 20;
}

static void empty(mpq_board_file *file, size_t *bytes)
{
    (void)file;
    *bytes = 0;
}

/* A capacity whose size wraps around 32 bits to that of the file. */
static void wrapping_capacity(mpq_board_file *file, size_t *bytes)
{
    file->worker_capacity += (uint32_t)((UINT64_C(1) << 32) / sizeof(mpq_board_worker));
    file->size = (uint32_t)(sizeof *file + file->worker_capacity * (uint32_t)sizeof(mpq_board_worker));
    (void)bytes;
}

static size_t read_file(char *to, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, to, size);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

TEST(board_ignores_a_damaged_table)
{
    static const damage_fn damages[] = {wrong_magic,   wrong_version,     wrong_size,       huge_capacity,
                                        more_capacity, too_many_queues,   truncated,        header_only,
                                        empty,         wrapping_capacity, huge_inheritance, more_inheritance};
    static _Alignas(64) char bytes[1 << 20];
    CONFIGURE(3, 2);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        leave_dead_board();
        size_t len = read_file(bytes, sizeof bytes);
        damages[i]((mpq_board_file *)bytes, &len);
        write_file(path, bytes, len);
        if (mpq_board_open(&config, &board, &err) != 0 || board.legacy != NULL)
            test_fail(__FILE__, __LINE__, "damage %zu was not noticed: %s", i, err.text);
        CHECK_STR(board.file->queues[0].name, "queue-0");
        mpq_board_close(&board, &config, true);
    }
    mpq_config_fini(&config);
}

TEST(board_makes_a_dead_table_safe_to_read)
{
    static _Alignas(64) char bytes[1 << 20];
    CONFIGURE(3, 2);
    leave_dead_board();
    size_t len = read_file(bytes, sizeof bytes);
    mpq_board_file *file = (mpq_board_file *)bytes;
    memset(bytes + offsetof(mpq_board_file, boot), 0xff, len - offsetof(mpq_board_file, boot));
    CHECK_INT(file->worker_capacity, 24);
    write_file(path, bytes, len);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy != NULL);
    const mpq_board_file *dead = board.legacy->file;
    CHECK_INT(strlen(dead->node), sizeof dead->node - 1);
    CHECK_INT(strlen(dead->boot), sizeof dead->boot - 1);
    CHECK_INT(strlen(dead->queues[63].name), MPQ_QUEUE_NAME_MAX);
    CHECK_INT(strlen(dead->queues[0].owner), MPQ_OWNER_MAX);
    CHECK_INT(strlen(dead->workers[23].owner), MPQ_OWNER_MAX);
    CHECK_INT(dead->workers[23].report_len, 0);
    CHECK_INT(dead->workers[23].report_end, 0);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

TEST(board_does_not_trust_a_table_that_others_can_write)
{
    CONFIGURE(3, 2);
    leave_dead_board();
    CHECK(chmod(path, 0666) == 0);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy == NULL);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

/* Refused with a sentence that names the file; what is there stays as it is and nothing leaks. */
static void expect_refusal(const char *why)
{
    int before = open_descriptors();
    memset(&err, 0, sizeof err);
    CHECK_INT(mpq_board_open(&config, &board, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    if (!strstr(err.text, path) || !strstr(err.text, why))
        test_fail(__FILE__, __LINE__, "the message is \"%s\"", err.text);
    CHECK(exists(path));
    CHECK(!exists(fresh_path));
    CHECK_INT(open_descriptors(), before);
}

TEST(board_refuses_a_symbolic_link)
{
    char target[300];
    CONFIGURE(1, 1);
    snprintf(target, sizeof target, "%s/target", config.pid_path);
    write_file(target, "precious", 8);
    CHECK(symlink(target, path) == 0);
    expect_refusal("symbolic link");
    struct stat st;
    CHECK(stat(target, &st) == 0 && st.st_size == 8);
    unlink(target);
    expect_refusal("symbolic link");
    mpq_config_fini(&config);
}

TEST(board_refuses_what_is_no_regular_file)
{
    CONFIGURE(1, 1);
    CHECK(mkdir(path, 0700) == 0);
    expect_refusal("not a regular file");
    CHECK(rmdir(path) == 0);
    CHECK(mkfifo(path, 0600) == 0);
    expect_refusal("not a regular file");
    mpq_config_fini(&config);
}

TEST(board_refuses_another_users_file)
{
    if (geteuid() != 0)
        SKIP("needs root to make a file of another user");
    CONFIGURE(1, 1);
    write_file(path, "x", 1);
    CHECK(chown(path, 65534, 65534) == 0);
    expect_refusal("another user");
    mpq_config_fini(&config);
}

TEST(board_says_which_directory_is_missing)
{
    CONFIGURE(1, 1);
    CHECK(rmdir(config.pid_path) == 0);
    CHECK_INT(mpq_board_open(&config, &board, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK(strstr(err.text, config.pid_path) != NULL);
    CHECK(strstr(err.text, "No such file") != NULL);
    mpq_config_fini(&config);
}

TEST(board_says_when_the_disk_is_full)
{
    struct rlimit limit = {8192, 8192};
    CONFIGURE(3, 2);
    leave_dead_board();
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_INT(mpq_board_open(&config, &board, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_SYSTEM);
    CHECK_INT(err.sys_errno, EFBIG);
    CHECK(strstr(err.text, path) != NULL);
    /* The predecessor's table is still there for the next attempt. */
    CHECK(exists(path));
    CHECK(!exists(fresh_path));
    mpq_config_fini(&config);
}

TEST(board_survives_a_start_that_was_killed)
{
    CONFIGURE(3, 2);
    leave_dead_board();
    write_file(fresh_path, "half", 4);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy != NULL);
    CHECK(!exists(fresh_path));
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

TEST(board_reserves_every_worker_entry_once)
{
    CONFIGURE(2, 1);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    uint32_t capacity = board.file->worker_capacity;
    for (uint32_t i = 0; i < capacity; i++) {
        CHECK_INT(mpq_board_reserve_worker(&board, 0, 9), i);
        CHECK_INT(board.file->workers[i].state, MPQ_WORKER_SPAWNING);
        CHECK_INT(board.file->workers[i].generation, 9);
    }
    CHECK_INT(mpq_board_reserve_worker(&board, 0, 9), -1);
    atomic_store(&board.file->workers[3].state, MPQ_WORKER_EMPTY);
    atomic_store(&board.file->workers[4].state, MPQ_WORKER_DEAD);
    CHECK_INT(mpq_board_reserve_worker(&board, 0, 10), 3);
    CHECK_INT(mpq_board_reserve_worker(&board, 0, 10), -1);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}

TEST(board_holds_the_largest_service)
{
    CONFIGURE(MPQ_WORKERS_MAX / MPQ_QUEUES_MAX, MPQ_QUEUES_MAX);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK_INT(board.file->worker_capacity, 2 * MPQ_WORKERS_MAX);
    CHECK(board.rings[MPQ_QUEUES_MAX - 1] != NULL);
    mpq_board_close(&board, &config, false);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(board.legacy != NULL);
    mpq_board_close(&board, &config, true);
    config.queue_count = MPQ_QUEUES_MAX + 1;
    CHECK_INT(mpq_board_open(&config, &board, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    config.queue_count = MPQ_QUEUES_MAX;
    mpq_config_fini(&config);
}

TEST(board_wake_never_blocks)
{
    struct pollfd poll_fd = {.events = POLLIN};
    uint64_t most = UINT64_MAX - 1;
    CONFIGURE(1, 1);
    CHECK_INT(mpq_board_open(&config, &board, &err), 0);
    CHECK(write(board.dispatcher_wake_fd, &most, sizeof most) == sizeof most);
    mpq_board_wake(board.dispatcher_wake_fd);
    poll_fd.fd = board.dispatcher_wake_fd;
    CHECK_INT(poll(&poll_fd, 1, 0), 1);
    mpq_board_close(&board, &config, true);
    mpq_config_fini(&config);
}
