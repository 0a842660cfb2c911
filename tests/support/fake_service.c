#include "fake_service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "pidfile.h"
#include "procfs.h"
#include "producer.h"
#include "test.h"

enum { PATIENCE_MS = 15000 };

void fake_service_pause(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static char *format(const char *directory, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    return strdup(path);
}

void fake_service_init(fake_service *service, const char *name)
{
    memset(service, 0, sizeof *service);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(service->directory, sizeof service->directory, "%s/%s", test_tmpdir(), name);
    if (mkdir(service->directory, 0700) < 0)
        abort();
    mpq_config *config = &service->config;
    mpq_config_init(config);
    config->name = strdup(name);
    config->pid_path = strdup(service->directory);
    config->log_path = format(service->directory, "log");
    config->log_level = MPQ_LEVEL_DEBUG;
    config->timeout_grace_ms = 200;
    config->stop_timeout_ms = 5000;
    config->start_timeout_ms = 10000;
    config->lease_ms = 2000;
    config->broker.driver = MPQ_DRIVER_SQLITE;
    config->broker.path = format(service->directory, "queue.db");
    config->queues = calloc(1, sizeof *config->queues);
    config->queue_count = 1;
    mpq_queue_config_init(config->queues);
    config->queues->name = strdup("q");
    config->queues->workers = 2;
    config->queues->sleep_ms = 100;
}

void fake_service_fini(fake_service *service)
{
    mpq_config_fini(&service->config);
}

static void run_child(fake_service *service)
{
    fake_host host;
    enum mpq_role role;
    mpq_service_options options = {0};
    char *path = format(service->directory, "stderr");
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    free(path);
    dup2(fd, STDERR_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    fake_host_init(&host, service->directory);
    int status =
        mpq_service_run(&service->config, service->host ? service->host : &host.host, &options, &role, &service->error);
    if (role == MPQ_ROLE_MANAGER && status != 0)
        fprintf(stderr, "start: %s\n", service->error.text);
    fake_service_fini(service);
    fflush(stderr);
    _exit(status);
}

void fake_service_launch(fake_service *service)
{
    fflush(NULL);
    service->pid = fork();
    if (service->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        run_child(service);
    }
}

int fake_service_start(fake_service *service)
{
    fake_service_launch(service);
    for (uint64_t until = mpq_clock_monotonic_ms() + PATIENCE_MS; mpq_clock_monotonic_ms() < until;) {
        mpq_status_row row;
        if (fake_service_row(service, "manager", "idle", &row))
            return 0;
        fake_service_pause(10);
    }
    return -1;
}

int fake_service_join(fake_service *service, unsigned timeout_ms)
{
    uint64_t until = mpq_clock_monotonic_ms() + timeout_ms;
    do {
        int status;
        if (waitpid(service->pid, &status, WNOHANG) == service->pid) {
            service->pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        fake_service_pause(5);
    } while (mpq_clock_monotonic_ms() < until);
    return -1;
}

int fake_service_stop(fake_service *service)
{
    if (mpq_control_stop(&service->config, 0, &service->error) != 0)
        return -1;
    return fake_service_join(service, PATIENCE_MS);
}

static mpq_producer *open_producer(fake_service *service)
{
    mpq_producer *producer = NULL;
    if (mpq_producer_open(&service->config.broker, service->config.payload_max_bytes, &producer, &service->error) < 0) {
        printf("  %s\n", service->error.text);
        abort();
    }
    return producer;
}

void fake_service_push(fake_service *service, const char *payload, unsigned timeout_ms, unsigned fail_number)
{
    mpq_producer *producer = open_producer(service);
    mpq_new_job job = {
        .payload = mpq_slice_of(payload, strlen(payload)), .timeout_ms = timeout_ms, .fail_number = fail_number};
    mpq_id id;
    size_t accepted;
    if (mpq_producer_push(producer, "q", &job, 1, &id, &accepted, &service->error) < 0) {
        printf("  %s\n", service->error.text);
        abort();
    }
    mpq_producer_close(producer);
}

int fake_service_await(fake_service *service, const char *text, unsigned count)
{
    uint64_t until = mpq_clock_monotonic_ms() + PATIENCE_MS;
    while (fake_host_count(service->directory, text) < count) {
        if (mpq_clock_monotonic_ms() >= until)
            return 0;
        fake_service_pause(5);
    }
    return 1;
}

typedef struct found {
    int seen;
    mpq_cause cause;
    char message[512];
} found;

static int look(void *arg, mpq_slice envelope)
{
    found *out = arg;
    mpq_job job;
    mpq_cause cause;
    mpq_error err;
    if (mpq_codec_decode(envelope, &job, &err) < 0)
        return 0;
    mpq_reader history = mpq_reader_of(job.history);
    while (mpq_codec_next_cause(&history, &cause, &err) == 0) {
        out->cause = cause;
        snprintf(out->message, sizeof out->message, "%.*s", (int)cause.message.len, cause.message.data);
        out->seen = 1;
    }
    return 0;
}

int fake_service_failed(fake_service *service, enum mpq_end *end, int *code, char *message, size_t size)
{
    uint64_t until = mpq_clock_monotonic_ms() + PATIENCE_MS;
    mpq_producer *producer = open_producer(service);
    mpq_broker *broker = mpq_producer_broker(producer);
    found out = {0};
    while (!out.seen && mpq_clock_monotonic_ms() < until) {
        if (broker->ops->failed(broker, "q", look, &out, &service->error) < 0)
            break;
        if (!out.seen)
            fake_service_pause(10);
    }
    mpq_producer_close(producer);
    *end = out.cause.end;
    *code = out.cause.code;
    snprintf(message, size, "%s", out.message);
    return out.seen ? 0 : -1;
}

mpq_counts fake_service_counts(fake_service *service)
{
    mpq_counts counts = {0};
    mpq_producer *producer = open_producer(service);
    mpq_broker *broker = mpq_producer_broker(producer);
    if (broker->ops->counts(broker, "q", &counts, &service->error) < 0)
        printf("  %s\n", service->error.text);
    mpq_producer_close(producer);
    return counts;
}

int fake_service_drained(fake_service *service)
{
    uint64_t until = mpq_clock_monotonic_ms() + PATIENCE_MS;
    while (mpq_clock_monotonic_ms() < until) {
        mpq_counts counts = fake_service_counts(service);
        if (counts.ready + counts.delayed + counts.running == 0)
            return 1;
        fake_service_pause(20);
    }
    return 0;
}

int fake_service_row(fake_service *service, const char *type, const char *state, mpq_status_row *row)
{
    mpq_status_row *rows = NULL;
    size_t count = 0;
    int found_it = 0;
    if (mpq_control_status(&service->config, &rows, &count, &service->error) != 0)
        return 0;
    for (size_t i = 0; i < count && !found_it; i++) {
        if (strcmp(rows[i].type, type) != 0 || (state && strcmp(rows[i].state, state) != 0))
            continue;
        *row = rows[i];
        found_it = 1;
    }
    free(rows);
    return found_it;
}

pid_t fake_service_pid(fake_service *service, const char *type, const char *state)
{
    mpq_status_row row;
    return fake_service_row(service, type, state, &row) ? row.pid : 0;
}

pid_t fake_service_await_other(fake_service *service, const char *type, const char *state, pid_t old)
{
    for (int i = 0; i < 1000; i++) {
        pid_t pid = fake_service_pid(service, type, state);
        if (pid && pid != old)
            return pid;
        fake_service_pause(10);
    }
    return 0;
}

size_t fake_service_left(unsigned timeout_ms)
{
    uint64_t until = mpq_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        pid_t pids[64];
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        size_t count = mpq_procfs_children(getpid(), pids, 64);
        if (count == 0 || mpq_clock_monotonic_ms() >= until)
            return count;
        fake_service_pause(5);
    }
}

static int file_contains(const char *path, const char *text)
{
    char line[8192];
    int yes = 0;
    FILE *file = fopen(path, "re");
    while (file && !yes && fgets(line, sizeof line, file))
        yes = strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return yes;
}

int fake_service_logged(const fake_service *service, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/log/%s", service->directory, service->config.name);
    DIR *dir = opendir(path);
    int yes = 0;
    struct dirent *entry;
    while (dir && !yes && (entry = readdir(dir))) {
        char file[2048];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        yes = entry->d_name[0] != '.' && file_contains(file, text);
    }
    if (dir)
        closedir(dir);
    snprintf(path, sizeof path, "%s/stderr", service->directory);
    return yes || file_contains(path, text);
}

int fake_service_has_file(const fake_service *service, const char *suffix)
{
    char path[512];
    mpq_pidfile_path(&service->config, suffix, path, sizeof path, NULL);
    return access(path, F_OK) == 0;
}

void fake_service_check_clean(const fake_service *service)
{
    CHECK_INT(fake_service_left(1000), 0);
    CHECK(!fake_service_has_file(service, "pid"));
    CHECK(!fake_service_has_file(service, "sock"));
    CHECK(!fake_service_logged(service, "Sanitizer"));
    CHECK(!fake_service_logged(service, "runtime error"));
}

void fake_service_check_stops(fake_service *service)
{
    CHECK_INT(fake_service_stop(service), 0);
    CHECK(!fake_service_has_file(service, "board"));
    fake_service_check_clean(service);
}
