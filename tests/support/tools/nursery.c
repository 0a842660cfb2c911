/*
 * nursery LIMIT COMMAND...: runs a command, at most LIMIT seconds, and sees to it that none of its descendants outlives
 * it, daemons included: as their subreaper it inherits every one that loses its parent. What is still there a few
 * seconds after the command's end is listed and killed, and the exit status is then 99. 124: the limit was reached.
 * Ends everything also when it is told to stop or when its own parent dies.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 5000, POLL_MS = 20, STATUS_LEFT = 99, STATUS_LIMIT = 124 };

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static void read_proc(pid_t pid, const char *file, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
    FILE *f = fopen(path, "r");
    size_t len = f ? fread(out, 1, size - 1, f) : 0;
    out[len] = '\0';
    for (size_t i = 0; i + 1 < len; i++)
        if (out[i] == '\0')
            out[i] = ' ';
    if (f)
        fclose(f);
}

static pid_t parent_of(pid_t pid)
{
    char stat[512];
    read_proc(pid, "stat", stat, sizeof stat);
    const char *after_name = strrchr(stat, ')');
    return after_name && strlen(after_name) > 4 ? (pid_t)atol(after_name + 4) : 0;
}

static void kill_children(bool tell)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (struct dirent *entry; (entry = readdir(proc));) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;
        if (pid <= 0 || parent_of(pid) != getpid())
            continue;
        char command[256];
        read_proc(pid, "cmdline", command, sizeof command);
        if (tell && command[0]) /* without a command line it has ended already */
            fprintf(stderr, "left running: %ld %s\n", (long)pid, command);
        kill(pid, SIGKILL);
    }
    closedir(proc);
}

/* True when there is no child any more. Keeps the status of `wanted`. */
static bool reap(pid_t wanted, int *status)
{
    int got;
    pid_t pid;
    while ((pid = waitpid(-1, &got, WNOHANG)) > 0)
        if (pid == wanted)
            *status = got;
    return pid < 0 && errno == ECHILD;
}

static bool wait_for_all(pid_t wanted, int *status, int for_ms)
{
    for (int waited = 0; waited < for_ms && !stop_signal; waited += POLL_MS) {
        if (reap(wanted, status))
            return true;
        nap();
    }
    return reap(wanted, status);
}

static void kill_all(pid_t wanted, int *status, bool tell)
{
    for (int round = 0; !reap(wanted, status); round++) {
        kill_children(tell && round == 0);
        nap();
    }
}

static pid_t start(char **argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    return pid;
}

static int finish(pid_t child, int limit_s)
{
    int status = -1;
    time_t end = time(NULL) + limit_s;
    while (status == -1 && !stop_signal && time(NULL) < end) {
        reap(child, &status);
        nap();
    }
    if (status == -1) {
        int ignored = 0;
        kill_all(child, &ignored, false);
        if (!stop_signal)
            fprintf(stderr, "not finished after %d seconds\n", limit_s);
        return stop_signal ? 128 + stop_signal : STATUS_LIMIT;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (wait_for_all(0, &status, GRACE_MS))
        return code;
    kill_all(0, &status, true);
    return STATUS_LEFT;
}

int main(int argc, char **argv)
{
    if (argc < 3 || atoi(argv[1]) <= 0) {
        fprintf(stderr, "usage: nursery LIMIT COMMAND...\n");
        return 2;
    }
    pid_t parent = getppid();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
        perror("prctl");
        return 1;
    }
    if (getppid() != parent)
        return 1;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    pid_t child = start(argv + 2);
    if (child < 0) {
        perror("fork");
        return 1;
    }
    return finish(child, atoi(argv[1]));
}
