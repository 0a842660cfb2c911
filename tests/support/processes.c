#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { LIMIT_MS = 10000, STEP_LIMIT_MS = 200, UNTRACEABLE = 77 };

void *process_shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

pid_t process_spawn(void (*body)(uint32_t number), uint32_t number)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body(number);
        _exit(0);
    }
    return pid;
}

void process_stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* "running" as long as it is not blocked, else the number of the system call comes first. */
bool process_is_asleep(pid_t pid)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    return len > 0 && strtol(text, NULL, 10) == SYS_futex && text[0] >= '0' && text[0] <= '9';
}

bool process_wait_for_sleep(pid_t pid)
{
    for (uint64_t until = mpq_clock_monotonic_ms() + LIMIT_MS; mpq_clock_monotonic_ms() < until; usleep(50))
        if (process_is_asleep(pid))
            return true;
    return false;
}

bool process_wait_for_end(pid_t pid)
{
    for (uint64_t until = mpq_clock_monotonic_ms() + LIMIT_MS; mpq_clock_monotonic_ms() < until; usleep(50))
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return true;
    process_stop(pid);
    return false;
}

pid_t process_trace(void (*prepare)(void), void (*operation)(void))
{
    int status = 0;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(UNTRACEABLE);
        if (prepare)
            prepare();
        raise(SIGSTOP);
        operation();
        raise(SIGCONT); /* tells a tracer that it is over, and nobody else */
        _exit(0);
    }
    if (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
        return pid;
    return -1;
}

/* Every stop of a traced child is announced by SIGCHLD. */
static bool await_child(void)
{
    static const struct timespec limit = {.tv_nsec = STEP_LIMIT_MS * 1000000L};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return sigtimedwait(&set, NULL, &limit) == SIGCHLD;
}

bool process_step(pid_t pid)
{
    int status = 0;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
        return false;
    do {
        pid_t stopped = waitpid(pid, &status, WNOHANG);
        if (stopped == pid)
            return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
        if (stopped < 0)
            return false;
    } while (await_child());
    return false;
}

/* While it sleeps in a system call it can't be detached: then it is caught when it comes back. */
void process_release(pid_t pid)
{
    for (uint64_t until = mpq_clock_monotonic_ms() + LIMIT_MS; mpq_clock_monotonic_ms() < until; usleep(50))
        if (ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0)
            return;
}
