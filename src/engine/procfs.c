#include "procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, out, size - 1);
    close(fd);
    out[len > 0 ? len : 0] = 0;
    return len > 0;
}

typedef struct stat_line {
    char state;
    pid_t parent;
    pid_t group;
    uint64_t born;
} stat_line;

/* The second field is the command's name in parentheses and may hold anything, also spaces and parentheses. */
static bool read_stat(pid_t pid, stat_line *out)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (!read_file(path, text, sizeof text))
        return false;
    const char *rest = strrchr(text, ')');
    long parent = 0, group = 0;
    unsigned long long born = 0;
    if (!rest || sscanf(rest + 1, " %c %ld %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                        &out->state, &parent, &group, &born) != 4)
        return false;
    out->parent = (pid_t)parent;
    out->group = (pid_t)group;
    out->born = born;
    return true;
}

static bool lives(const stat_line *line)
{
    return line->state != 'Z' && line->state != 'X';
}

uint64_t mpq_procfs_born(pid_t pid)
{
    stat_line line;
    return pid > 0 && read_stat(pid, &line) && lives(&line) ? line.born : 0;
}

typedef bool wanted_fn(const stat_line *line, pid_t by);

static size_t list(wanted_fn *wanted, pid_t by, pid_t *pids, size_t max)
{
    DIR *dir = opendir("/proc");
    size_t count = 0;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        stat_line line;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !read_stat(pid, &line) || !wanted(&line, by))
            continue;
        if (count < max)
            pids[count] = pid;
        count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

static bool is_child(const stat_line *line, pid_t parent)
{
    return line->parent == parent;
}

size_t mpq_procfs_children(pid_t parent, pid_t *pids, size_t max)
{
    return list(is_child, parent, pids, max);
}

static bool is_member(const stat_line *line, pid_t group)
{
    return line->group == group && lives(line);
}

size_t mpq_procfs_group(pid_t group, pid_t *pids, size_t max)
{
    return list(is_member, group, pids, max);
}

void mpq_procfs_boot_id(char out[MPQ_BOOT_ID_BYTES])
{
    if (!read_file("/proc/sys/kernel/random/boot_id", out, MPQ_BOOT_ID_BYTES))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
}
