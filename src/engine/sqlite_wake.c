#include "sqlite_wake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/inotify.h>
#endif

int mpq_sqlite_wake_init(mpq_sqlite_wake *wake, const char *database_path, mpq_error *err)
{
    *wake = (mpq_sqlite_wake){.file = -1, .watch_fd = -1, .watch = -1};
    size_t size = strlen(database_path) + sizeof "-wake";
    wake->path = malloc(size);
    if (!wake->path)
        return mpq_error_set_memory(err);
    snprintf(wake->path, size, "%s-wake", database_path);
    return 0;
}

void mpq_sqlite_wake_fini(mpq_sqlite_wake *wake)
{
    if (wake->file >= 0)
        close(wake->file);
    if (wake->watch_fd >= 0)
        close(wake->watch_fd);
    free(wake->path);
    *wake = (mpq_sqlite_wake){.file = -1, .watch_fd = -1, .watch = -1};
}

/* Closes the file when it has been removed: nobody would hear of a write to it. */
static void drop_removed(mpq_sqlite_wake *wake)
{
    struct stat st;
    if (wake->file >= 0 && (fstat(wake->file, &st) < 0 || st.st_nlink == 0)) {
        close(wake->file);
        wake->file = -1;
    }
}

/* O_NOFOLLOW and O_NONBLOCK: what lies at the path may be anything. */
void mpq_sqlite_wake_signal(mpq_sqlite_wake *wake)
{
    drop_removed(wake);
    if (wake->file < 0)
        wake->file = open(wake->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (wake->file >= 0 && pwrite(wake->file, "!", 1, 0) < 0) {
        close(wake->file);
        wake->file = -1;
    }
}

#ifdef __linux__

enum { SIGNALS = IN_MODIFY, REPLACED = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF };

/* Everyone who may write to the database shall be able to wake its consumers. */
static void create_file(const mpq_sqlite_wake *wake, const char *database_path)
{
    struct stat st;
    mode_t mode = stat(database_path, &st) == 0 ? st.st_mode & 0666 : 0600;
    int fd = open(wake->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)!fchmod(fd, mode);
    close(fd);
}

/* Watching the same file again is harmless and yields the same number. */
static void watch_file(mpq_sqlite_wake *wake, const char *database_path)
{
    create_file(wake, database_path);
    int before = wake->watch;
    wake->watch = inotify_add_watch(wake->watch_fd, wake->path, SIGNALS | REPLACED | IN_DONT_FOLLOW);
    if (before >= 0 && before != wake->watch)
        inotify_rm_watch(wake->watch_fd, before);
}

void mpq_sqlite_wake_watch(mpq_sqlite_wake *wake, const char *database_path)
{
    if (wake->watch_fd < 0)
        wake->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (wake->watch_fd >= 0 && wake->watch < 0)
        watch_file(wake, database_path);
}

void mpq_sqlite_wake_drain(mpq_sqlite_wake *wake, const char *database_path)
{
    _Alignas(struct inotify_event) char events[4096];
    bool replaced = false;
    ssize_t got;
    if (wake->watch_fd < 0)
        return;
    while ((got = read(wake->watch_fd, events, sizeof events)) > 0) {
        for (char *at = events; at < events + got;) {
            struct inotify_event event;
            memcpy(&event, at, sizeof event);
            replaced |= (event.mask & REPLACED) != 0 && event.wd == wake->watch;
            at += sizeof event + event.len;
        }
    }
    if (replaced || wake->watch < 0)
        watch_file(wake, database_path);
}

#else

void mpq_sqlite_wake_watch(mpq_sqlite_wake *wake, const char *database_path)
{
    (void)wake, (void)database_path;
}

void mpq_sqlite_wake_drain(mpq_sqlite_wake *wake, const char *database_path)
{
    (void)wake, (void)database_path;
}

#endif
