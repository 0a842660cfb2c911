#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared_dir.h"

enum {
    LINE_BYTES = 8192,
    TAG_BYTES = 192,
    FILES_KEPT = 30,
    PIPE_STEP_BYTES = 4096,    /* a pipe that polls writable takes this much without blocking */
    TERMINAL_PATIENCE_MS = 50, /* for the rest of a line that a terminal took the start of */
    FILE_NAME_LEN = sizeof "mpqueue-YYYY-MM-DD.log" - 1
};

/* One of the places lines go to. */
typedef struct log_sink {
    int fd;
    bool torn;     /* the last line ended in its middle */
    uint64_t lost; /* lines that couldn't be written since the last one that could */
} log_sink;

struct mpq_log {
    char *directory; /* NULL = no file */
    int level;
    bool has_terminal;
    log_sink file;
    log_sink terminal;
    struct tm day; /* of the open file */
    char tag[TAG_BYTES];
};

const char *mpq_log_level_name(int level)
{
    static const struct {
        int level;
        const char *name;
    } names[] = {{MPQ_LEVEL_EMERGENCY, "EMERGENCY"},
                 {MPQ_LEVEL_ALERT, "ALERT"},
                 {MPQ_LEVEL_CRITICAL, "CRITICAL"},
                 {MPQ_LEVEL_ERROR, "ERROR"},
                 {MPQ_LEVEL_WARNING, "WARNING"},
                 {MPQ_LEVEL_NOTICE, "NOTICE"},
                 {MPQ_LEVEL_INFO, "INFO"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (level >= names[i].level)
            return names[i].name;
    return "DEBUG";
}

bool mpq_log_enabled(const mpq_log *log, int level)
{
    return log && level >= log->level;
}

void mpq_log_set_tag(mpq_log *log, const char *tag)
{
    if (log)
        snprintf(log->tag, sizeof log->tag, "%s", tag);
}

static int make_directory(const char *path, const char *whole, mpq_error *err)
{
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return mpq_error_set_errno(err, errno, "can't create the log directory %s", whole);
    return mpq_shared_dir_check("log directory", path, err);
}

/* mkdir -p */
static int make_directories(const char *path, mpq_error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return mpq_error_set_errno(err, ENAMETOOLONG, "can't create the log directory %s", path);
    for (const char *slash = path; *slash && (slash = strchr(slash + 1, '/')) != NULL;) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        if (make_directory(part, path, err) < 0)
            return -1;
    }
    return make_directory(path, path, err);
}

static bool is_log_name(const char *name)
{
    static const char pattern[] = "mpqueue-0000-00-00.log";
    if (strlen(name) != FILE_NAME_LEN)
        return false;
    for (size_t i = 0; i < FILE_NAME_LEN; i++)
        if (pattern[i] == '0' ? name[i] < '0' || name[i] > '9' : name[i] != pattern[i])
            return false;
    return true;
}

/* Puts `name` into the sorted `newest` and leaves in `name` what has no place there any more, "" if all have. */
static void keep_newest(char newest[FILES_KEPT][FILE_NAME_LEN + 1], size_t *count, char name[FILE_NAME_LEN + 1])
{
    char swapped[FILE_NAME_LEN + 1];
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(name, newest[i]) <= 0)
            continue;
        memcpy(swapped, newest[i], sizeof swapped);
        memcpy(newest[i], name, sizeof swapped);
        memcpy(name, swapped, sizeof swapped);
    }
    if (*count == FILES_KEPT)
        return;
    memcpy(newest[(*count)++], name, FILE_NAME_LEN + 1);
    name[0] = '\0';
}

static void prune(const char *directory)
{
    char newest[FILES_KEPT][FILE_NAME_LEN + 1], name[FILE_NAME_LEN + 1];
    size_t count = 0;
    DIR *dir = opendir(directory);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!is_log_name(entry->d_name))
            continue;
        memcpy(name, entry->d_name, sizeof name);
        keep_newest(newest, &count, name);
        if (name[0])
            unlinkat(dirfd(dir), name, 0);
    }
    closedir(dir);
}

/* Whoever creates a day's file removes the oldest ones. */
static int open_file(mpq_log *log, const struct tm *day)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    size_t size = strlen(log->directory) + FILE_NAME_LEN + 2;
    char *path = malloc(size);
    if (!path)
        return -1;
    snprintf(path, size, "%s/", log->directory);
    strftime(path + strlen(path), FILE_NAME_LEN + 1, "mpqueue-%Y-%m-%d.log", day);
    int fd = open(path, flags | O_EXCL, 0640);
    bool created = fd >= 0;
    if (!created && errno == EEXIST)
        fd = open(path, flags, 0640);
    int number = errno;
    free(path);
    if (created)
        prune(log->directory);
    errno = number;
    return fd;
}

static bool same_day(const struct tm *a, const struct tm *b)
{
    return a->tm_mday == b->tm_mday && a->tm_mon == b->tm_mon && a->tm_year == b->tm_year;
}

static bool is_deleted(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

/* A new file at a new day, or when somebody deleted the one we write to. Without one the old one goes on. */
static void rotate(mpq_log *log, const struct tm *now)
{
    bool usable = log->file.fd >= 0 && !is_deleted(log->file.fd);
    if (usable && same_day(&log->day, now))
        return;
    if (!usable && make_directories(log->directory, NULL) < 0)
        return;
    int fd = open_file(log, now);
    if (fd < 0)
        return;
    if (log->file.fd >= 0)
        close(log->file.fd);
    log->file.fd = fd;
    log->file.torn = false;
    log->day = *now;
}

static int open_directory(mpq_log *log, const char *directory, mpq_error *err)
{
    time_t now = time(NULL);
    log->directory = strdup(directory);
    if (!log->directory)
        return mpq_error_set_memory(err);
    if (make_directories(log->directory, err) < 0)
        return -1;
    localtime_r(&now, &log->day);
    log->file.fd = open_file(log, &log->day);
    if (log->file.fd < 0)
        return mpq_error_set_errno(err, errno, "can't write a log file in the directory %s", directory);
    return 0;
}

int mpq_log_open(const char *directory, int level, bool terminal, mpq_log **out, mpq_error *err)
{
    mpq_log *log = calloc(1, sizeof *log);
    if (!log)
        return mpq_error_set_memory(err);
    log->level = level;
    log->has_terminal = terminal;
    log->terminal.fd = STDERR_FILENO;
    log->file.fd = -1;
    mpq_log_set_tag(log, "mpqueue");
    if (directory && open_directory(log, directory, err) < 0) {
        mpq_log_close(log);
        return -1;
    }
    *out = log;
    return 0;
}

void mpq_log_close(mpq_log *log)
{
    if (!log)
        return;
    if (log->file.fd >= 0)
        close(log->file.fd);
    free(log->directory);
    free(log);
}

static size_t format_head(const mpq_log *log, int level, const struct timespec *at, const struct tm *now, char *out,
                          size_t size)
{
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", now);
    int len = snprintf(out, size, "%s.%03ld %-5s %s[%ld] ", date, at->tv_nsec / 1000000, mpq_log_level_name(level),
                       log->tag, (long)getpid());
    return len < 0 ? 0 : (size_t)len;
}

/* The C1 controls are the two bytes C2 80 to C2 9F in UTF-8. */
static bool is_control(const unsigned char *at, const unsigned char *start)
{
    if (*at < 0x20 || *at == 0x7F)
        return true;
    return *at == 0xC2 ? at[1] >= 0x80 && at[1] <= 0x9F : *at >= 0x80 && *at <= 0x9F && at > start && at[-1] == 0xC2;
}

/* "..." at the end tells of a cut. */
static size_t append_escaped(char *out, size_t len, size_t size, const char *text)
{
    static const char short_names[] = "\nn\rr\tt";
    static const char cut[] = "...";
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (size - len < 4 + sizeof cut) {
            memcpy(out + len, cut, sizeof cut - 1);
            return len + sizeof cut - 1;
        }
        if (!is_control(at, (const unsigned char *)text)) {
            out[len++] = (char)*at;
            continue;
        }
        const char *name = strchr(short_names, *at);
        if (name && name[1])
            len += (size_t)snprintf(out + len, 5, "\\%c", name[1]);
        else
            len += (size_t)snprintf(out + len, 5, "\\x%02x", *at);
    }
    return len;
}

static bool write_file(log_sink *sink, const char *line, size_t len)
{
    ssize_t written;
    if (sink->fd < 0)
        return false;
    do
        written = write(sink->fd, line, len);
    while (written < 0 && errno == EINTR);
    sink->torn = sink->torn || (written > 0 && (size_t)written < len);
    return written == (ssize_t)len;
}

/* A terminal that was stopped or a pipe nobody reads must not stop us. */
static bool write_terminal(log_sink *sink, const char *line, size_t len)
{
    size_t done = 0;
    while (done < len) {
        struct pollfd entry = {.fd = sink->fd, .events = POLLOUT};
        if (poll(&entry, 1, done ? TERMINAL_PATIENCE_MS : 0) <= 0 || entry.revents != POLLOUT)
            break;
        size_t step = len - done < PIPE_STEP_BYTES ? len - done : PIPE_STEP_BYTES;
        ssize_t written = write(sink->fd, line + done, step);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    sink->torn = sink->torn || (done > 0 && done < len);
    return done == len;
}

typedef bool write_fn(log_sink *sink, const char *line, size_t len);

/* Ends a line that was torn, then tells how many are missing. */
static bool write_note(const mpq_log *log, log_sink *sink, write_fn *write_line)
{
    char note[TAG_BYTES + 256];
    struct timespec at;
    struct tm now;
    size_t len = sink->torn;
    note[0] = '\n';
    clock_gettime(CLOCK_REALTIME, &at);
    localtime_r(&at.tv_sec, &now);
    len += format_head(log, MPQ_LEVEL_WARNING, &at, &now, note + len, sizeof note - len);
    len += (size_t)snprintf(note + len, sizeof note - len, "%llu lines before this one could not be written\n",
                            (unsigned long long)sink->lost);
    return write_line(sink, note, len);
}

static void emit(const mpq_log *log, log_sink *sink, write_fn *write_line, const char *line, size_t len)
{
    if (sink->lost > 0 && !write_note(log, sink, write_line)) {
        sink->lost++;
        return;
    }
    sink->torn = false;
    sink->lost = !write_line(sink, line, len);
}

void mpq_log_write(mpq_log *log, int level, const char *fmt, ...)
{
    char text[LINE_BYTES], line[LINE_BYTES];
    struct timespec at;
    struct tm now;
    if (!mpq_log_enabled(log, level))
        return;
    int saved_errno = errno;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    clock_gettime(CLOCK_REALTIME, &at);
    localtime_r(&at.tv_sec, &now);
    if (log->directory)
        rotate(log, &now);
    size_t len = format_head(log, level, &at, &now, line, sizeof line);
    len = append_escaped(line, len, sizeof line, text);
    line[len++] = '\n';
    if (log->directory)
        emit(log, &log->file, write_file, line, len);
    if (log->has_terminal)
        emit(log, &log->terminal, write_terminal, line, len);
    errno = saved_errno;
}
