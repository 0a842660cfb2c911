#include "pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCKED = 0, TAKEN = 1, REPLACED = 2 };

int mpq_pidfile_path(const mpq_config *config, const char *suffix, char *out, size_t size, mpq_error *err)
{
    int len = snprintf(out, size, "%s/mpQueue-%s.%s", config->pid_path, config->name, suffix);
    if (len < 0 || (size_t)len >= size)
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the path of the file mpQueue-%s.%s has %d bytes, at most %zu are possible: choose a "
                             "shorter pid path",
                             config->name, suffix, len, size - 1);
    return 0;
}

static int refuse(const char *path, const struct stat *st, mpq_error *err)
{
    if (S_ISLNK(st->st_mode))
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the pid file %s is a symbolic link, which is refused for safety: remove it or choose "
                             "another pid path",
                             path);
    if (!S_ISREG(st->st_mode))
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the pid file %s is not a regular file: remove it or choose another pid path", path);
    if (st->st_uid != geteuid())
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the pid file %s belongs to another user (uid %u, this process has uid %u): run the "
                             "service as that user, remove the file or choose another pid path",
                             path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_nlink > 1)
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "the pid file %s is also known under another name (hard link), which is refused for "
                             "safety: remove it",
                             path);
    return 0;
}

static int explain_open(const char *path, int number, mpq_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0 && refuse(path, &st, err) < 0)
        return -1;
    if (number == ENOENT || number == ENOTDIR)
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "can't create the pid file %s: its directory does not exist; create it or choose another "
                             "pid path",
                             path);
    mpq_error_set_errno(err, number,
                        "can't write the pid file %s (uid %u); make its directory writable for this user or choose "
                        "another pid path",
                        path, (unsigned)geteuid());
    if (err)
        err->kind = MPQ_ERROR_CONFIG;
    return -1;
}

/* Private: whoever can read it can lock it, and so keep the service from starting, or pass for it.
 * O_NONBLOCK: a FIFO put there must not hang us before it is refused. */
static int open_checked(const char *path, int flags, mpq_error *err)
{
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return explain_open(path, errno, err);
    struct stat st;
    int outcome = fstat(fd, &st) == 0 ? refuse(path, &st, err) : mpq_error_set_errno(err, errno, "can't stat %s", path);
    if (outcome == 0 && (st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        outcome = mpq_error_set_errno(err, errno, "can't make %s private", path);
    if (outcome == 0)
        return fd;
    close(fd);
    return -1;
}

static struct flock whole_file(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return lock;
}

/* The predecessor removes its file when it stops: a lock on a file that has no name any more is worth nothing. */
static bool still_named(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

static int lock_file(int fd, const char *path, mpq_error *err)
{
    struct flock lock = whole_file();
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return still_named(fd, path) ? LOCKED : REPLACED;
    if (errno == EACCES || errno == EAGAIN)
        return TAKEN;
    return mpq_error_set_errno(err, errno, "can't lock the pid file %s", path);
}

static int refuse_second(const mpq_config *config, int fd, mpq_error *err)
{
    struct flock lock = whole_file();
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
        return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" is already running (pid %ld)", config->name,
                             (long)lock.l_pid);
    return mpq_error_set(err, MPQ_ERROR_STATE,
                         "service \"%s\" is already running (in another pid namespace, or it has just ended)",
                         config->name);
}

static int write_pid(const mpq_pidfile *file, mpq_error *err)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(file->fd, 0) == 0 && pwrite(file->fd, text, (size_t)len, 0) == len)
        return 0;
    return mpq_error_set_errno(err, errno ? errno : ENOSPC, "can't write the pid file %s", file->path);
}

int mpq_pidfile_acquire(const mpq_config *config, mpq_pidfile *out, mpq_error *err)
{
    out->fd = -1;
    if (mpq_pidfile_path(config, "pid", out->path, sizeof out->path, err) < 0)
        return -1;
    for (int tries = 0; tries < 100; tries++) {
        int fd = open_checked(out->path, O_RDWR | O_CREAT, err);
        if (fd < 0)
            return -1;
        int outcome = lock_file(fd, out->path, err);
        if (outcome == LOCKED) {
            out->fd = fd;
            errno = 0;
            if (write_pid(out, err) == 0)
                return 0;
            mpq_pidfile_release(out);
            return -1;
        }
        if (outcome == TAKEN)
            refuse_second(config, fd, err);
        close(fd);
        if (outcome != REPLACED)
            return -1;
    }
    return mpq_error_set(err, MPQ_ERROR_SYSTEM, "the pid file %s is replaced again and again by somebody", out->path);
}

void mpq_pidfile_release(mpq_pidfile *file)
{
    if (file->fd < 0)
        return;
    if (still_named(file->fd, file->path))
        unlink(file->path);
    mpq_pidfile_forget(file);
}

void mpq_pidfile_forget(mpq_pidfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

pid_t mpq_pidfile_holder(const mpq_config *config, mpq_error *err)
{
    char path[PATH_MAX];
    if (mpq_pidfile_path(config, "pid", path, sizeof path, err) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0) {
        int number = errno;
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
            return refuse(path, &st, err);
        return mpq_error_set_errno(err, number, "can't read the pid file %s", path);
    }
    struct flock lock = whole_file();
    int outcome = fcntl(fd, F_GETLK, &lock);
    int number = errno;
    close(fd);
    if (outcome < 0)
        return mpq_error_set_errno(err, number, "can't query the lock on %s", path);
    if (lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid <= 0)
        return mpq_error_set(err, MPQ_ERROR_STATE,
                             "service \"%s\" runs in another pid namespace (another container) and can't be reached "
                             "from here",
                             config->name);
    return lock.l_pid;
}
