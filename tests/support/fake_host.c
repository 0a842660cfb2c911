#include "fake_host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

static volatile sig_atomic_t interrupted;

static void path_of(const char *directory, const char *file, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", directory, file);
}

static int is_set(const fake_host *fake, const char *file)
{
    char path[512];
    path_of(fake->directory, file, path, sizeof path);
    return access(path, F_OK) == 0;
}

void fake_host_set(const char *directory, const char *file, int present)
{
    char path[512];
    path_of(directory, file, path, sizeof path);
    int fd = present ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    if (!present)
        unlink(path);
}

static void note(const fake_host *fake, const char *what, mpq_slice text)
{
    char path[512], line[512];
    path_of(fake->directory, "journal", path, sizeof path);
    int len = snprintf(line, sizeof line, "%ld %s %.*s\n", (long)getpid(), what, (int)text.len, text.data);
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        abort();
    close(fd);
}

unsigned fake_host_count(const char *directory, const char *text)
{
    char path[512], line[1024];
    unsigned count = 0;
    path_of(directory, "journal", path, sizeof path);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int misbehave(fake_host *self, const char *what, mpq_error *err)
{
    char file[64];
    note(self, what, mpq_slice_of("", 0));
    snprintf(file, sizeof file, "%s-dies", what);
    if (is_set(self, file)) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers take it */
        raise(SIGSEGV);
    }
    snprintf(file, sizeof file, "%s-hangs", what);
    while (is_set(self, file))
        sleep_ms(20);
    snprintf(file, sizeof file, "%s-fails", what);
    if (is_set(self, file))
        return mpq_error_set(err, MPQ_ERROR_STATE, "%s was told to fail", what);
    return 0;
}

static int preload(void *self, mpq_error *err)
{
    return misbehave(self, "preload", err);
}

static int worker_start(void *self, uint32_t queue_index, mpq_error *err)
{
    (void)queue_index;
    return misbehave(self, "start", err);
}

static void interrupt(void *self)
{
    (void)self;
    interrupted = 1;
}

static void be_interrupted(fake_host *self, mpq_outcome *out)
{
    out->end = MPQ_END_TIMEOUT;
    snprintf(self->message, sizeof self->message, "interrupted");
}

static void end_as(fake_host *self, mpq_outcome *out, enum mpq_end end, int code, const char *message)
{
    out->end = end;
    out->cause.code = code;
    snprintf(self->message, sizeof self->message, "%s", message);
}

static void do_done(fake_host *self, int argument, mpq_outcome *out)
{
    (void)self, (void)argument, (void)out;
}

static void do_throw(fake_host *self, int argument, mpq_outcome *out)
{
    end_as(self, out, MPQ_END_EXCEPTION, argument, "thrown");
}

static void do_exit(fake_host *self, int argument, mpq_outcome *out)
{
    end_as(self, out, MPQ_END_EXIT, argument, "exit");
}

static void do_fatal(fake_host *self, int argument, mpq_outcome *out)
{
    end_as(self, out, MPQ_END_FATAL, argument, "fatal");
    out->leave = true;
}

static void do_raise(fake_host *self, int argument, mpq_outcome *out)
{
    (void)self, (void)out;
    signal(argument, SIG_DFL); /* sanitizers take some */
    raise(argument);
}

static void do_die(fake_host *self, int argument, mpq_outcome *out)
{
    (void)self, (void)out;
    _exit(argument);
}

static void do_sleep(fake_host *self, int argument, mpq_outcome *out)
{
    uint64_t until = mpq_clock_monotonic_ms() + (uint64_t)argument;
    while (!interrupted && mpq_clock_monotonic_ms() < until)
        sleep_ms(5);
    if (interrupted)
        be_interrupted(self, out);
}

static void do_spin(fake_host *self, int argument, mpq_outcome *out)
{
    (void)argument;
    while (!interrupted)
        continue;
    be_interrupted(self, out);
}

static void do_deaf(fake_host *self, int argument, mpq_outcome *out)
{
    (void)self, (void)argument, (void)out;
    for (;;)
        sleep_ms(50);
}

static void do_orphan(fake_host *self, int argument, mpq_outcome *out)
{
    (void)argument, (void)out;
    pid_t pid = fork();
    if (pid == 0) {
        sleep(60);
        _exit(0);
    }
    char text[32];
    int len = snprintf(text, sizeof text, "%ld", (long)pid);
    note(self, "left", mpq_slice_of(text, (size_t)len));
}

static void do_kill_manager(fake_host *self, int argument, mpq_outcome *out)
{
    (void)self, (void)argument, (void)out;
    kill(getppid(), SIGKILL);
    sleep_ms(10000);
}

static const struct {
    const char *name;
    void (*run)(fake_host *self, int argument, mpq_outcome *out);
} commands[] = {{"done", do_done},
                {"throw", do_throw},
                {"exit", do_exit},
                {"fatal", do_fatal},
                {"raise", do_raise},
                {"die", do_die},
                {"sleep", do_sleep},
                {"spin", do_spin},
                {"deaf", do_deaf},
                {"orphan", do_orphan},
                {"kill-manager", do_kill_manager}};

static void run_job(void *arg, const mpq_run *run, mpq_outcome *out)
{
    fake_host *self = arg;
    char name[64] = "";
    int argument = 0;
    char text[128];
    bool is_handler = run->job->phase == MPQ_PHASE_HANDLER;
    interrupted = 0;
    self->message[0] = 0;
    note(self, is_handler ? "handler" : "run", run->job->payload);
    snprintf(text, sizeof text, "%.*s", (int)run->job->payload.len, run->job->payload.data);
    if (is_handler || sscanf(text, "%63s %d", name, &argument) < 1)
        return;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            commands[i].run(self, argument, out);
    out->cause.message = mpq_slice_of(self->message, strlen(self->message));
}

static uint64_t between_jobs(void *self)
{
    while (is_set(self, "between-hangs"))
        sleep_ms(20);
    return 4096;
}

static void nothing(void *self)
{
    (void)self;
}

static void after_fork(void *self, enum mpq_role role)
{
    (void)self, (void)role;
}

static void title(void *self, const char *text)
{
    (void)self, (void)text;
}

void fake_host_init(fake_host *fake, const char *directory)
{
    memset(fake, 0, sizeof *fake);
    fake->directory = directory;
    fake->host = (mpq_host){.self = fake,
                            .before_fork = nothing,
                            .after_fork = after_fork,
                            .preload = preload,
                            .worker_start = worker_start,
                            .run_job = run_job,
                            .between_jobs = between_jobs,
                            .idle = nothing,
                            .interrupt = interrupt,
                            .title = title};
}
