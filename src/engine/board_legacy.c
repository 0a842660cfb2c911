/* The board file of a service that was killed: reading it, and what its successor inherits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"

/* The version changes with every change of what lies in the file. */
enum { VERSION = 4 };
static const char MAGIC[8] = "mpqboard";

size_t mpq_board_file_bytes(uint32_t worker_capacity, uint32_t inherited_count)
{
    return sizeof(mpq_board_file) + worker_capacity * sizeof(mpq_board_worker) +
           inherited_count * sizeof(mpq_board_inherited);
}

void mpq_board_stamp(mpq_board_file *file)
{
    memcpy(file->magic, MAGIC, sizeof MAGIC);
    file->version = VERSION;
}

/* -- reading --------------------------------------------------------------------------------------------------- */

static int refuse(const char *path, const struct stat *st, mpq_error *err)
{
    if (S_ISLNK(st->st_mode))
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the board file %s is a symbolic link, which is refused for safety: remove it or choose "
                             "another pid path",
                             path);
    if (!S_ISREG(st->st_mode))
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the board file %s is not a regular file: remove it or choose another pid path", path);
    if (st->st_uid != geteuid())
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the board file %s belongs to another user (uid %u, this process has uid %u): run the "
                             "service as that user, remove the file or choose another pid path",
                             path, (unsigned)st->st_uid, (unsigned)geteuid());
    return 0;
}

static bool is_plausible(const mpq_board_file *file, size_t bytes)
{
    return memcmp(file->magic, MAGIC, sizeof MAGIC) == 0 && file->version == VERSION && file->size == bytes &&
           file->worker_capacity <= MPQ_BOARD_CAPACITY_MAX && file->inherited_count <= MPQ_INHERITED_MAX &&
           mpq_board_file_bytes(file->worker_capacity, file->inherited_count) == bytes &&
           file->queue_count <= MPQ_QUEUES_MAX;
}

#define END_TEXT(text) ((text)[sizeof(text) - 1] = '\0')

/* Nothing in it may lead a reader out of bounds, whatever the dying service or the disk has done to it. */
static void sanitize(mpq_board_file *file)
{
    END_TEXT(file->node);
    END_TEXT(file->boot);
    for (uint32_t i = 0; i < MPQ_QUEUES_MAX; i++) {
        END_TEXT(file->queues[i].name);
        END_TEXT(file->queues[i].owner);
    }
    for (uint32_t i = 0; i < file->worker_capacity; i++) {
        mpq_board_worker *worker = &file->workers[i];
        END_TEXT(worker->owner);
        if (worker->report_len > sizeof worker->report)
            worker->report_len = 0;
        if (worker->report_end > MPQ_END_INTERRUPTED)
            worker->report_end = 0;
    }
    mpq_board_inherited *inherited = mpq_board_inheritance(file);
    for (uint32_t i = 0; i < file->inherited_count; i++) {
        END_TEXT(inherited[i].queue);
        END_TEXT(inherited[i].owner);
    }
}

static bool read_all(int fd, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* Content that others could have written is no board of ours. */
static bool is_worth_reading(const struct stat *st)
{
    return (st->st_mode & 022) == 0 && st->st_size >= (off_t)sizeof(mpq_board_file) &&
           st->st_size <= (off_t)mpq_board_file_bytes(MPQ_BOARD_CAPACITY_MAX, MPQ_INHERITED_MAX);
}

static int read_legacy(int fd, const struct stat *st, mpq_board_legacy **out, mpq_error *err)
{
    if (!is_worth_reading(st))
        return 0;
    mpq_board_legacy *legacy = malloc(sizeof *legacy);
    size_t bytes = (size_t)st->st_size;
    mpq_board_file *file = malloc(bytes);
    if (!legacy || !file) {
        free(legacy);
        free(file);
        return mpq_error_set_memory(err);
    }
    if (!read_all(fd, file, bytes) || !is_plausible(file, bytes)) {
        free(legacy);
        free(file);
        return 0;
    }
    sanitize(file);
    legacy->file = file;
    legacy->bytes = bytes;
    *out = legacy;
    return 0;
}

static int explain_open(const char *path, int number, mpq_error *err)
{
    struct stat st;
    if (number == ENOENT)
        return 0;
    if (lstat(path, &st) == 0 && refuse(path, &st, err) < 0)
        return -1;
    return mpq_error_set_errno(err, number, "can't read the board file %s", path);
}

/* O_NONBLOCK: a FIFO put there must not hang us before it is refused. */
int mpq_board_legacy_read(const char *path, mpq_board_legacy **out, mpq_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return explain_open(path, errno, err);
    int outcome = fstat(fd, &st) < 0 ? mpq_error_set_errno(err, errno, "can't stat %s", path) : refuse(path, &st, err);
    if (outcome == 0)
        outcome = read_legacy(fd, &st, out, err);
    close(fd);
    return outcome;
}

void mpq_board_legacy_free(mpq_board_legacy *legacy)
{
    if (!legacy)
        return;
    free(legacy->file);
    free(legacy);
}

/* -- inheriting ------------------------------------------------------------------------------------------------ */

typedef struct heirlooms {
    mpq_board_inherited *out; /* NULL: only counts */
    uint32_t count;
} heirlooms;

static void inherit(heirlooms *to, const mpq_board_inherited *what)
{
    if (to->count == MPQ_INHERITED_MAX)
        return;
    if (to->out)
        to->out[to->count] = *what;
    to->count++;
}

static void inherit_from_worker(heirlooms *to, const mpq_board_file *dead, const mpq_board_worker *worker)
{
    mpq_board_inherited what = {.running = atomic_load(&worker->run_token) & 1, .job = worker->job};
    if (worker->queue >= dead->queue_count || (!what.running && !worker->owner[0]))
        return;
    memcpy(what.queue, dead->queues[worker->queue].name, sizeof what.queue);
    memcpy(what.owner, worker->owner, sizeof what.owner);
    inherit(to, &what);
}

uint32_t mpq_board_legacy_inherit(const mpq_board_legacy *legacy, mpq_board_inherited *out)
{
    mpq_board_file *dead = legacy->file;
    const mpq_board_inherited *before = mpq_board_inheritance(dead);
    heirlooms to = {.out = out};
    for (uint32_t i = 0; i < dead->queue_count; i++) {
        mpq_board_inherited what = {.running = 0};
        memcpy(what.queue, dead->queues[i].name, sizeof what.queue);
        memcpy(what.owner, dead->queues[i].owner, sizeof what.owner);
        if (what.owner[0])
            inherit(&to, &what);
    }
    for (uint32_t i = 0; i < dead->worker_capacity; i++)
        inherit_from_worker(&to, dead, &dead->workers[i]);
    for (uint32_t i = 0; i < dead->inherited_count; i++)
        if (before[i].queue[0])
            inherit(&to, &before[i]);
    return to.count;
}
