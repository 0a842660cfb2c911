#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "test.h"

static mpq_loop *loop;
static mpq_error err;
static char order[64];

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void note(void *arg)
{
    strcat(order, arg);
}

static void stop(void *arg)
{
    (void)arg;
    mpq_loop_break(loop);
}

static void take_byte(void *arg)
{
    char byte;
    if (read(*(int *)arg, &byte, 1) == 1)
        strcat(order, "r");
}

TEST(loop_calls_when_a_descriptor_is_readable)
{
    int ends[2];
    mpq_watch *watch;
    CHECK(pipe(ends) == 0);
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_readable(loop, ends[0], take_byte, &ends[0], &watch, &err), 0);
    CHECK_INT(mpq_loop_once(loop, false), 0);
    CHECK_STR(order, "");
    CHECK(write(ends[1], "xy", 2) == 2);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    CHECK_INT(mpq_loop_once(loop, true), 0); /* as long as there is something to read */
    CHECK_INT(mpq_loop_once(loop, false), 0);
    CHECK_STR(order, "rr");
    mpq_watch_close(watch);
    CHECK(write(ends[1], "z", 1) == 1);
    CHECK_INT(mpq_loop_once(loop, false), 0);
    CHECK_STR(order, "rr");
    mpq_loop_close(loop);
}

TEST(loop_runs_timers_in_order_and_once)
{
    mpq_watch *a, *b, *c, *end;
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, note, "a", &a, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, note, "b", &b, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, note, "c", &c, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, stop, NULL, &end, &err), 0);
    mpq_watch_start(a, 30000);
    mpq_watch_start(b, 10000);
    mpq_watch_start(c, 20000);
    mpq_watch_start(end, 60000);
    uint64_t began = now_us();
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK(now_us() - began >= 60000);
    CHECK_STR(order, "bca");
    mpq_watch_start(a, 1000);
    mpq_watch_start(b, 1000);
    mpq_watch_start(a, 30000); /* again: counts from now */
    mpq_watch_start(c, 2000);
    mpq_watch_stop(c);
    mpq_watch_start(end, 10000);
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK_STR(order, "bcab");
    mpq_loop_close(loop);
}

/* Milliseconds would be too coarse: fifty timers of 0.2 ms take 10 ms, not 50. */
TEST(loop_keeps_time_in_microseconds)
{
    mpq_watch *timer;
    int fired = 0;
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, count, &fired, &timer, &err), 0);
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 10; round++) {
        uint64_t began = now_us();
        for (int i = 0; i < 50; i++) {
            mpq_watch_start(timer, 200);
            CHECK_INT(mpq_loop_once(loop, true), 0);
        }
        uint64_t took = now_us() - began;
        CHECK(took >= 50 * 200);
        best = took < best ? took : best;
    }
    CHECK_INT(fired, 500);
    CHECK(best < 40000);
    mpq_loop_close(loop);
}

static void work_long(void *arg)
{
    usleep(30000);
    mpq_watch_start(arg, 20000);
}

/* A timer started at the end of a long callback counts from there. */
TEST(loop_timers_count_from_their_start)
{
    mpq_watch *late, *first;
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, stop, NULL, &late, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, work_long, late, &first, &err), 0);
    mpq_watch_start(first, 0);
    uint64_t began = now_us();
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK(now_us() - began >= 50000);
    mpq_loop_close(loop);
}

TEST(loop_reports_signals)
{
    mpq_watch *one, *two;
    int first = 0, second = 0;
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGUSR1, count, &first, &one, &err), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGUSR2, count, &second, &two, &err), 0);
    raise(SIGUSR1);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    raise(SIGUSR2);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    raise(SIGUSR1);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    CHECK_INT(first, 2);
    CHECK_INT(second, 1);
    mpq_loop_close(loop);
    struct sigaction action;
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
}

static void close_itself(void *arg)
{
    mpq_watch_close(*(mpq_watch **)arg);
    strcat(order, "x");
    mpq_loop_break(loop);
}

TEST(loop_watches_may_close_themselves)
{
    static mpq_watch *readable, *timer, *on_signal;
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_readable(loop, ends[0], close_itself, &readable, &readable, &err), 0);
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK_INT(mpq_loop_timer(loop, close_itself, &timer, &timer, &err), 0);
    mpq_watch_start(timer, 0);
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGUSR1, close_itself, &on_signal, &on_signal, &err), 0);
    raise(SIGUSR1);
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK_STR(order, "xxx");
    mpq_loop_close(loop);
}

TEST(loop_refuses_what_it_cannot_watch)
{
    mpq_watch *watch = NULL;
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    close(ends[0]);
    CHECK_INT(mpq_loop_readable(loop, ends[0], stop, NULL, &watch, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_SYSTEM);
    CHECK_INT(err.sys_errno, EBADF);
    CHECK(watch == NULL);
    mpq_loop_close(loop);
}

static int open_descriptors(void)
{
    int found = 0;
    for (int fd = 3; fd < 256; fd++)
        found += fcntl(fd, F_GETFD) >= 0;
    return found;
}

TEST(loop_says_when_there_are_no_descriptors)
{
    struct rlimit usual, few;
    int before = open_descriptors();
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    int status = -1, lowest = dup(0);
    close(lowest);
    few = usual;
    for (few.rlim_cur = (rlim_t)lowest; few.rlim_cur < (rlim_t)lowest + 4; few.rlim_cur++) {
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        status = mpq_loop_open(&loop, &err);
        CHECK_INT(status, -1);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    CHECK_INT(open_descriptors(), before);
    CHECK_INT(status, -1);
    CHECK_INT(err.kind, MPQ_ERROR_SYSTEM);
    CHECK_INT(err.sys_errno, EMFILE);
}

TEST(loop_close_frees_everything)
{
    mpq_watch *watch;
    int ends[2], n = 0;
    bool others[256];
    CHECK(pipe(ends) == 0);
    int before = open_descriptors();
    for (int fd = 0; fd < 256; fd++)
        others[fd] = fcntl(fd, F_GETFD) >= 0;
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_readable(loop, ends[0], count, &n, &watch, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, count, &n, &watch, &err), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGUSR1, count, &n, &watch, &err), 0);
    CHECK(open_descriptors() > before);
    for (int fd = 3; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && !others[fd])
            CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    mpq_loop_close(loop);
    mpq_loop_close(NULL);
    CHECK_INT(open_descriptors(), before);
}

/* The child forgets the loop, uses one of its own and catches a signal that the parent watches as well. */
static int live_as_child(int inherited_fd, int expected_fds)
{
    mpq_watch *watch;
    int heard = 0;
    sigset_t mask;
    mpq_loop_forget(loop);
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (open_descriptors() != expected_fds)
        return 2;
    if (fcntl(inherited_fd, F_GETFD) < 0)
        return 3;
    struct sigaction action;
    if (sigaction(SIGUSR1, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
        return 4;
    if (mpq_loop_open(&loop, &err) != 0 || mpq_loop_signal(loop, SIGUSR1, count, &heard, &watch, &err) != 0)
        return 5;
    raise(SIGUSR1);
    mpq_loop_once(loop, true);
    mpq_loop_close(loop);
    return heard == 1 ? 0 : 6;
}

TEST(loop_forgotten_by_a_child_still_serves_the_parent)
{
    mpq_watch *readable, *timer, *usr1, *chld, *end;
    int ends[2], status = 0, signals = 0, deaths = 0, plain = open_descriptors() + 2;
    sigset_t all, before;
    CHECK(pipe(ends) == 0);
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_readable(loop, ends[0], take_byte, &ends[0], &readable, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, note, "t", &timer, &err), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGUSR1, count, &signals, &usr1, &err), 0);
    CHECK_INT(mpq_loop_signal(loop, SIGCHLD, count, &deaths, &chld, &err), 0);
    CHECK_INT(mpq_loop_timer(loop, stop, NULL, &end, &err), 0);
    mpq_watch_start(timer, 30000);
    CHECK_INT(mpq_loop_once(loop, false), 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        int code = live_as_child(ends[0], plain);
        fflush(stdout);
        exit(code); /* through the leak checker */
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    /* Now that the child is gone: everything still arrives here, and nothing of the child's. */
    CHECK(write(ends[1], "x", 1) == 1);
    mpq_watch_start(end, 100000);
    CHECK_INT(mpq_loop_run(loop), 0);
    CHECK_STR(order, "rt");
    CHECK_INT(signals, 0);
    CHECK_INT(deaths, 1);
    raise(SIGUSR1);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    CHECK_INT(signals, 1);
    mpq_loop_close(loop);
    mpq_loop_forget(NULL);
}

/* With no descriptor to be had the child can't make the loop its own; the parent must not notice. */
TEST(loop_forget_without_descriptors_leaves_the_parent_alone)
{
    mpq_watch *readable;
    int ends[2], status = 0;
    CHECK(pipe(ends) == 0);
    CHECK_INT(mpq_loop_open(&loop, &err), 0);
    CHECK_INT(mpq_loop_readable(loop, ends[0], take_byte, &ends[0], &readable, &err), 0);
    CHECK_INT(mpq_loop_once(loop, false), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NOFILE, &none);
        fclose(stderr);
        mpq_loop_forget(loop);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK_INT(mpq_loop_once(loop, true), 0);
    CHECK_STR(order, "r");
    mpq_loop_close(loop);
}
