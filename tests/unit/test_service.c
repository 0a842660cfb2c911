/* The real engine, supervised and supervising, with a fake embedder and an SQLite store. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fake_service.h"
#include "pidfile.h"
#include "procfs.h"
#include "test.h"

static fake_service service;

static int exists(const char *suffix)
{
    char path[512];
    mpq_pidfile_path(&service.config, suffix, path, sizeof path, NULL);
    return access(path, F_OK) == 0;
}

/* Nothing is left: no process, no file that only a running service has, no report of a sanitizer. */
static void check_clean(void)
{
    CHECK_INT(fake_service_left(1000), 0);
    CHECK(!exists("pid"));
    CHECK(!exists("sock"));
    CHECK(!fake_service_logged(&service, "Sanitizer"));
    CHECK(!fake_service_logged(&service, "runtime error"));
}

static pid_t pid_of(const char *type, const char *state)
{
    mpq_status_row row;
    return fake_service_row(&service, type, state, &row) ? row.pid : 0;
}

/* Waits for a process of that type with another pid. */
static pid_t await_other(const char *type, const char *state, pid_t old)
{
    for (int i = 0; i < 1000; i++) {
        pid_t pid = pid_of(type, state);
        if (pid && pid != old)
            return pid;
        fake_service_pause(10);
    }
    return 0;
}

static void check_stops(void)
{
    CHECK_INT(fake_service_stop(&service), 0);
    CHECK(!exists("board"));
    check_clean();
}

TEST(service_runs_jobs_and_stops)
{
    fake_service_init(&service, "plain");
    for (int i = 0; i < 20; i++)
        fake_service_push(&service, "done", 0, 1);
    CHECK_INT(fake_service_start(&service), 0);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run done"), 20);
    CHECK_INT(fake_host_count(service.directory, "preload"), 1);
    CHECK_INT(fake_service_counts(&service).done, 20);
    CHECK_INT(mpq_control_running(&service.config, NULL), service.pid);
    check_stops();
    CHECK_INT(mpq_control_running(&service.config, NULL), 0);
    CHECK_INT(mpq_control_stop(&service.config, 0, NULL), 1);
}

TEST(service_tells_its_status)
{
    mpq_status_row *rows, worker;
    size_t count, workers = 0;
    fake_service_init(&service, "status");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 1500", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    CHECK(fake_service_row(&service, "worker", "busy", &worker));
    CHECK_INT(strlen(worker.job), 32);
    CHECK(worker.job_for_ms < 1500);
    CHECK_STR(worker.queue, "q");
    CHECK_INT(mpq_control_status(&service.config, &rows, &count, &service.error), 0);
    for (size_t i = 0; i < count; i++) {
        workers += strcmp(rows[i].type, "worker") == 0;
        CHECK(rows[i].pid > 0);
        CHECK_INT(mpq_procfs_born(rows[i].pid) != 0, 1);
    }
    free(rows);
    CHECK_INT(workers, 2);
    CHECK_INT(count, 5);
    check_stops();
    CHECK_INT(fake_service_counts(&service).done, 1);
}

/* Workers are children of the manager, and die with it. */
TEST(service_dies_with_its_manager_and_is_taken_over)
{
    enum mpq_end end;
    int code;
    char message[512], expected[64];
    fake_service_init(&service, "manager-killed");
    CHECK_INT(fake_service_start(&service), 0);
    pid_t children[64];
    CHECK_INT(mpq_procfs_children(service.pid, children, 64), 4);
    fake_service_push(&service, "kill-manager", 0, 1);
    CHECK_INT(fake_service_join(&service, 5000), 128 + SIGKILL);
    CHECK_INT(fake_service_left(1000), 0);
    CHECK(exists("pid"));
    CHECK(exists("board"));
    CHECK_INT(mpq_control_running(&service.config, NULL), 0);
    CHECK_INT(fake_service_start(&service), 0);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, MPQ_END_SERVICE_LOST);
    CHECK(fake_service_drained(&service));
    snprintf(expected, sizeof expected, "run kill-manager");
    CHECK_INT(fake_host_count(service.directory, expected), 1);
    check_stops();
}

TEST(service_refuses_a_second_start)
{
    fake_service second;
    char expected[128];
    fake_service_init(&service, "second");
    CHECK_INT(fake_service_start(&service), 0);
    snprintf(expected, sizeof expected, "service \"second\" is already running (pid %d)", (int)service.pid);
    second = service;
    fake_service_launch(&second);
    CHECK_INT(fake_service_join(&second, 5000), 1);
    CHECK(fake_service_logged(&service, expected));
    CHECK(pid_of("manager", "idle") == service.pid);
    check_stops();
}

static void check_cause(const char *payload, unsigned timeout_ms, enum mpq_end expected_end, int expected_code,
                        const char *expected_message)
{
    enum mpq_end end;
    int code;
    char message[512];
    char name[64], *at;
    snprintf(name, sizeof name, "cause-%s", payload);
    while ((at = strchr(name, ' ')))
        *at = '-';
    fake_service_init(&service, name);
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, payload, timeout_ms, 1);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, expected_end);
    CHECK_INT(code, expected_code);
    CHECK_STR(message, expected_message);
    CHECK_INT(fake_host_count(service.directory, "handler"), 1);
    check_stops();
}

TEST(service_names_the_signal_that_killed_a_worker)
{
    check_cause("raise 11", 0, MPQ_END_SIGNAL, 11, "killed by signal 11 (Segmentation fault)");
}

TEST(service_hints_at_memory_when_a_stranger_kills_a_worker)
{
    check_cause("raise 9", 0, MPQ_END_SIGNAL, 9,
                "killed by signal 9 (Killed), not by this service; perhaps the system was out of memory");
}

TEST(service_names_the_status_a_worker_died_with)
{
    check_cause("die 3", 0, MPQ_END_DIED, 3, "the worker exited with status 3 in the middle of the job");
}

TEST(service_takes_a_clean_exit_in_a_job_for_a_death)
{
    check_cause("die 0", 0, MPQ_END_DIED, 0, "the worker exited with status 0 in the middle of the job");
}

TEST(service_interrupts_at_the_time_limit)
{
    check_cause("spin", 300, MPQ_END_TIMEOUT, 0, "interrupted");
}

TEST(service_kills_who_ignores_the_interrupt)
{
    check_cause("deaf", 300, MPQ_END_TIMEOUT, 9,
                "timed out after 0.3 s and did not end within the grace of 0.2 s: killed");
}

TEST(service_counts_a_fatal_error_once)
{
    check_cause("fatal", 0, MPQ_END_FATAL, 0, "fatal");
}

/* Job after job in one worker, each close to its limit: an interrupt meant for one must never hit the next. */
TEST(service_never_interrupts_the_next_job)
{
    fake_service_init(&service, "next");
    service.config.queues->workers = 1;
    for (int i = 0; i < 40; i++)
        fake_service_push(&service, i % 2 ? "sleep 1" : "spin", i % 2 ? 5000 : 20, 1);
    CHECK_INT(fake_service_start(&service), 0);
    CHECK(fake_service_drained(&service));
    mpq_counts counts = fake_service_counts(&service);
    CHECK_INT(counts.done, 20);
    CHECK_INT(counts.failed, 20);
    check_stops();
}

TEST(service_retries_a_job_that_keeps_killing_its_worker_then_fails_it)
{
    fake_service_init(&service, "poison");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "raise 9", 0, 3);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run raise"), 3);
    CHECK_INT(fake_service_counts(&service).failed, 1);
    CHECK_INT(fake_service_counts(&service).done, 1);
    check_stops();
}

TEST(service_replaces_a_killed_dispatcher)
{
    fake_service_init(&service, "dispatcher");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 700", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t old = pid_of("dispatcher", NULL);
    CHECK(old > 0);
    kill(old, SIGKILL);
    CHECK(await_other("dispatcher", "idle", old) > 0);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run sleep"), 1);
    CHECK_INT(fake_service_counts(&service).done, 2);
    check_stops();
}

/* As on a host that was frozen past its lease: what waited in the ring may be running elsewhere. */
TEST(service_begins_no_job_after_the_end_of_its_lease)
{
    fake_service_init(&service, "late");
    service.config.queues->workers = 1;
    service.config.lease_ms = 500;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t worker = pid_of("worker", "idle"), dispatcher = pid_of("dispatcher", NULL);
    kill(worker, SIGSTOP);
    fake_service_push(&service, "done", 0, 1);
    for (int i = 0; i < 500 && fake_service_counts(&service).running == 0; i++)
        fake_service_pause(10);
    CHECK_INT(fake_service_counts(&service).running, 1);
    kill(dispatcher, SIGSTOP);
    fake_service_pause(600);
    kill(worker, SIGCONT);
    fake_service_pause(300);
    CHECK_INT(fake_host_count(service.directory, "run done"), 0);
    kill(dispatcher, SIGCONT);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run done"), 1);
    check_stops();
}

TEST(service_replaces_a_killed_template_without_disturbing_workers)
{
    fake_service_init(&service, "template");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 700", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t old = pid_of("template", NULL);
    kill(old, SIGKILL);
    CHECK(await_other("template", "idle", old) > 0);
    fake_service_push(&service, "die 1", 0, 1);
    CHECK(fake_service_drained(&service));
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 2);
    CHECK_INT(fake_host_count(service.directory, "run sleep"), 1);
    CHECK_INT(fake_host_count(service.directory, "preload"), 2);
    check_stops();
}

TEST(service_replaces_an_idle_worker_that_is_killed)
{
    fake_service_init(&service, "idle-worker");
    service.config.queues->workers = 1;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t old = pid_of("worker", "idle");
    kill(old, SIGKILL);
    CHECK(await_other("worker", "idle", old) > 0);
    old = pid_of("worker", "idle");
    kill(old, SIGTERM);
    CHECK(await_other("worker", "idle", old) > 0);
    CHECK_INT(fake_service_counts(&service).failed, 0);
    check_stops();
}

TEST(service_survives_signals_meant_for_the_whole_group)
{
    fake_service_init(&service, "group");
    CHECK_INT(fake_service_start(&service), 0);
    pid_t dispatcher = pid_of("dispatcher", NULL), template = pid_of("template", NULL), worker = pid_of("worker", NULL);
    int numbers[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        kill(dispatcher, numbers[i]);
        kill(template, numbers[i]);
        kill(worker, numbers[i]);
    }
    kill(dispatcher, SIGTERM);
    kill(template, SIGTERM);
    kill(service.pid, SIGUSR1);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK(pid_of("dispatcher", NULL) == dispatcher);
    CHECK(pid_of("template", NULL) == template);
    CHECK(pid_of("worker", NULL) == worker);
    check_stops();
}

TEST(service_reloads)
{
    mpq_status_row row;
    fake_service_init(&service, "reload");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 800", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t dispatcher = pid_of("dispatcher", NULL);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), 0);
    CHECK_INT(fake_host_count(service.directory, "preload"), 2);
    CHECK(fake_service_row(&service, "worker", "stopping", &row));
    CHECK_INT(row.generation, 1);
    CHECK(fake_service_row(&service, "worker", "idle", &row));
    CHECK_INT(row.generation, 2);
    CHECK(pid_of("dispatcher", NULL) == dispatcher);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 1);
    for (int i = 0; i < 200 && fake_service_row(&service, "template", "stopping", &row); i++)
        fake_service_pause(10);
    CHECK(!fake_service_row(&service, "template", "stopping", &row));
    CHECK(!fake_service_row(&service, "worker", "stopping", &row));
    CHECK_INT(fake_host_count(service.directory, "start"), 4);
    check_stops();
}

TEST(service_reloads_by_signal)
{
    mpq_status_row row;
    fake_service_init(&service, "reload-signal");
    CHECK_INT(fake_service_start(&service), 0);
    kill(service.pid, SIGUSR2);
    CHECK(fake_service_await(&service, "preload", 2));
    for (int i = 0; i < 500 && !(fake_service_row(&service, "worker", "idle", &row) && row.generation == 2); i++)
        fake_service_pause(10);
    CHECK_INT(row.generation, 2);
    check_stops();
}

static void check_reload_fails(const char *name, const char *file, const char *why)
{
    mpq_status_row row;
    fake_service_init(&service, name);
    service.config.start_timeout_ms = 1500;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t worker = pid_of("worker", "idle");
    fake_host_set(service.directory, file, 1);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), -1);
    if (!strstr(service.error.text, why))
        CHECK_STR(service.error.text, why);
    CHECK(strstr(service.error.text, "goes on with the code it had") != NULL);
    CHECK(pid_of("worker", "idle") == worker);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    fake_host_set(service.directory, file, 0);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), 0);
    CHECK(fake_service_row(&service, "worker", "idle", &row));
    CHECK_INT(row.generation, 3);
    check_stops();
}

TEST(service_keeps_the_old_code_when_the_preload_fails)
{
    check_reload_fails("reload-preload", "preload-fails", "preload failed: preload was told to fail");
}

TEST(service_keeps_the_old_code_when_the_preload_dies)
{
    check_reload_fails("reload-dies", "preload-dies", "the template");
}

TEST(service_keeps_the_old_code_when_workers_do_not_start)
{
    check_reload_fails("reload-start", "start-fails", "start was told to fail");
}

TEST(service_keeps_the_old_code_when_workers_hang)
{
    check_reload_fails("reload-hangs", "start-hangs", "no worker of queue \"q\" has started within 1.5 s");
}

TEST(service_refuses_a_reload_during_a_reload)
{
    fake_service_init(&service, "reload-twice");
    CHECK_INT(fake_service_start(&service), 0);
    fake_host_set(service.directory, "preload-hangs", 1);
    kill(service.pid, SIGUSR2);
    CHECK(fake_service_await(&service, "preload", 2));
    CHECK_INT(mpq_control_reload(&service.config, &service.error), -1);
    CHECK_STR(service.error.text, "service \"reload-twice\" is already reloading");
    check_stops();
}

TEST(service_lets_running_jobs_end_at_a_stop)
{
    fake_service_init(&service, "grace");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 600", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    kill(service.pid, SIGTERM);
    CHECK_INT(fake_service_join(&service, 10000), 0);
    check_clean();
    CHECK_INT(fake_service_counts(&service).done, 1);
}

TEST(service_hands_back_what_does_not_end_in_time)
{
    fake_service_init(&service, "grace-over");
    service.config.stop_timeout_ms = 300;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "deaf", 0, 1);
    CHECK(fake_service_await(&service, "run deaf", 1));
    check_stops();
    CHECK_INT(fake_service_counts(&service).ready, 1);
    CHECK_INT(fake_service_counts(&service).failed, 0);
}

TEST(service_stops_at_once_at_the_second_signal)
{
    fake_service_init(&service, "twice");
    service.config.stop_timeout_ms = 60000;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "deaf", 0, 1);
    CHECK(fake_service_await(&service, "run deaf", 1));
    kill(service.pid, SIGINT);
    CHECK_INT(fake_service_join(&service, 300), -1);
    kill(service.pid, SIGINT);
    CHECK_INT(fake_service_join(&service, 5000), 0);
    check_clean();
    CHECK_INT(fake_service_counts(&service).ready, 1);
}

TEST(service_ends_what_jobs_leave_behind)
{
    fake_service_init(&service, "orphan");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "orphan", 0, 1);
    fake_service_push(&service, "raise 9", 0, 1);
    CHECK(fake_service_await(&service, "left", 1));
    CHECK(fake_service_drained(&service));
    check_stops();
}

static void check_start_fails(const char *why)
{
    CHECK_INT(fake_service_join(&service, 10000), 1);
    CHECK(fake_service_logged(&service, "start: "));
    CHECK(fake_service_logged(&service, why));
    check_clean();
}

TEST(service_does_not_start_when_the_preload_fails)
{
    fake_service_init(&service, "no-preload");
    fake_host_set(service.directory, "preload-fails", 1);
    fake_service_launch(&service);
    check_start_fails("preload failed: preload was told to fail");
}

TEST(service_does_not_start_without_its_store)
{
    fake_service_init(&service, "no-store");
    free(service.config.broker.path);
    service.config.broker.path = strdup("/nonexistent/queue.db");
    fake_service_launch(&service);
    check_start_fails("start: ");
    CHECK(fake_service_logged(&service, "/nonexistent/queue.db"));
}

TEST(service_gives_up_a_start_when_no_worker_starts_in_time)
{
    fake_service_init(&service, "no-worker");
    service.config.start_timeout_ms = 1000;
    fake_host_set(service.directory, "start-fails", 1);
    fake_service_launch(&service);
    check_start_fails("no worker of queue \"q\" has started within 1 s; a worker of queue \"q\" could not start: start "
                      "was told to fail");
    /* Damped: at once, at once, then after 0.1, 0.2, 0.4 s for each try of a worker. */
    CHECK(fake_host_count(service.directory, "start") >= 4);
    CHECK(fake_host_count(service.directory, "start") <= 20);
}

TEST(service_waits_for_workers_that_start_at_last)
{
    fake_service_init(&service, "late-worker");
    fake_host_set(service.directory, "start-fails", 1);
    fake_service_launch(&service);
    CHECK(fake_service_await(&service, "start", 3));
    fake_host_set(service.directory, "start-fails", 0);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    check_stops();
}

TEST(service_can_be_stopped_while_it_starts)
{
    fake_service_init(&service, "stop-early");
    fake_host_set(service.directory, "preload-hangs", 1);
    fake_service_launch(&service);
    CHECK(fake_service_await(&service, "preload", 1));
    kill(service.pid, SIGTERM);
    CHECK_INT(fake_service_join(&service, 5000), 0);
    check_clean();
}

TEST(service_replaces_a_worker_that_hangs_in_its_start)
{
    fake_service_init(&service, "hanging-worker");
    service.config.queues->workers = 1;
    service.config.start_timeout_ms = 1000;
    CHECK_INT(fake_service_start(&service), 0);
    fake_host_set(service.directory, "start-hangs", 1);
    fake_service_push(&service, "die 1", 0, 1);
    CHECK(fake_service_await(&service, "start", 3));
    CHECK(fake_service_logged(&service, "could not start: it had not started within 1 s"));
    fake_host_set(service.directory, "start-hangs", 0);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    check_stops();
}

/* What jobs leave behind may run user code, which has the limit that jobs have; what waits behind it goes elsewhere. */
TEST(service_replaces_a_worker_that_hangs_between_two_jobs)
{
    fake_service_init(&service, "between");
    service.config.queues[0].workers = 1;
    service.config.queues[0].timeout_ms = 1500;
    CHECK_INT(fake_service_start(&service), 0);
    fake_host_set(service.directory, "between-hangs", 1);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_await(&service, "run done", 1));
    fake_service_push(&service, "done", 0, 1);
    fake_service_push(&service, "done", 0, 1);
    for (int i = 0; i < 100 && fake_service_counts(&service).ready < 2; i++)
        fake_service_pause(20);
    CHECK_INT(fake_service_counts(&service).ready, 2);
    CHECK(fake_service_await(&service, "start", 2));
    CHECK(fake_service_logged(&service, "took longer than 1.5 s for what jobs had left behind"));
    fake_host_set(service.directory, "between-hangs", 0);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 3);
    check_stops();
}

/* Its job is over and settled; only what it has left behind hangs. */
TEST(service_does_not_run_a_job_again_whose_grab_worker_hangs_after_it)
{
    fake_service_init(&service, "litter");
    service.config.queues[0].workers = 1;
    service.config.queues[0].timeout_ms = 700;
    service.config.queues[0].mode = MPQ_MODE_GRAB;
    CHECK_INT(fake_service_start(&service), 0);
    fake_host_set(service.directory, "between-hangs", 1);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK(fake_service_await(&service, "start", 2));
    CHECK(fake_service_logged(&service, "for what jobs had left behind"));
    fake_service_pause(300);
    CHECK_INT(fake_host_count(service.directory, "run done"), 1);
    CHECK_INT(fake_service_counts(&service).done, 1);
    fake_host_set(service.directory, "between-hangs", 0);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    check_stops();
}

/* The predecessor's jobs are still known after a start that got nowhere. */
TEST(service_keeps_what_it_knows_of_a_predecessor_when_it_can_not_start)
{
    enum mpq_end end;
    int code;
    char message[512];
    fake_service_init(&service, "put-back");
    service.config.lease_ms = 60000;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "kill-manager", 0, 1);
    CHECK_INT(fake_service_join(&service, 5000), 128 + SIGKILL);
    CHECK_INT(fake_service_left(1000), 0);
    char *path = service.config.broker.path;
    service.config.broker.path = strdup("/nonexistent/queue.db");
    fake_service_launch(&service);
    CHECK_INT(fake_service_join(&service, 10000), 1);
    free(service.config.broker.path);
    service.config.broker.path = path;
    CHECK_INT(fake_service_start(&service), 0);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, MPQ_END_SERVICE_LOST);
    check_stops();
}

/* As in a container: signals with their default disposition are not delivered, and every orphan ends up here. */
TEST(service_runs_as_the_first_process)
{
    fake_service_init(&service, "init");
    fflush(NULL);
    service.pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (service.pid < 0)
        SKIP("needs the right to make a pid namespace");
    if (service.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
            _exit(99);
        fake_host host;
        enum mpq_role role;
        mpq_service_options options = {0};
        fake_host_init(&host, service.directory);
        service.config.log_level = MPQ_LEVEL_EMERGENCY;
        _exit(mpq_service_run(&service.config, &host.host, &options, &role, &service.error));
    }
    fake_service_push(&service, "orphan", 0, 1);
    fake_service_push(&service, "raise 9", 0, 1);
    if (!fake_service_drained(&service) && fake_service_join(&service, 0) == 99)
        SKIP("needs the right to mount /proc");
    CHECK_INT(fake_service_counts(&service).done, 1);
    CHECK_INT(fake_service_counts(&service).failed, 1);
    kill(service.pid, SIGTERM);
    CHECK_INT(fake_service_join(&service, 10000), 0);
    CHECK(!exists("pid"));
}

/* Kills whatever it sees, reloads in between: every job ends, once as done or failed, and nothing is left. */
TEST(service_survives_random_kills)
{
    enum { JOBS = 300 };
    fake_service_init(&service, "chaos");
    service.config.queues->workers = 3;
    CHECK_INT(fake_service_start(&service), 0);
    unsigned seed = (unsigned)getpid();
    uint64_t until = mpq_clock_monotonic_ms() + 3000;
    for (int pushed = 0; pushed < JOBS || mpq_clock_monotonic_ms() < until; pushed++) {
        mpq_status_row *rows;
        size_t count;
        if (pushed < JOBS)
            fake_service_push(&service, pushed % 10 == 3 ? "die 1" : pushed % 7 == 1 ? "sleep 20" : "done", 0, 100);
        if (pushed % 4 == 0 && mpq_control_status(&service.config, &rows, &count, &service.error) == 0) {
            const mpq_status_row *victim = &rows[(unsigned)rand_r(&seed) % count];
            if (strcmp(victim->type, "manager") != 0 && victim->pid > 0)
                kill(victim->pid, SIGKILL);
            free(rows);
        }
        if (pushed % 100 == 50)
            kill(service.pid, SIGUSR2);
    }
    CHECK_INT(fake_service_stop(&service), 0);
    mpq_counts counts = fake_service_counts(&service);
    CHECK_INT(counts.pushed, JOBS);
    CHECK_INT(counts.ready + counts.delayed + counts.running + counts.done + counts.failed, JOBS);
    CHECK_INT(counts.running, 0);
    check_clean();
}

/* -- daemon ---------------------------------------------------------------------------------------------------- */

static int start_daemon(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fake_host host;
        enum mpq_role role;
        mpq_service_options options = {.daemon = true};
        fake_host_init(&host, service.directory);
        int status = mpq_service_run(&service.config, &host.host, &options, &role, &service.error);
        char path[512];
        snprintf(path, sizeof path, "%s/stderr", service.directory);
        FILE *file = status != 0 && role == MPQ_ROLE_MANAGER ? fopen(path, "ae") : NULL;
        if (file) {
            fprintf(file, "start: %s\n", service.error.text);
            fclose(file);
        }
        _exit(status);
    }
    service.pid = pid;
    return fake_service_join(&service, 15000);
}

TEST(service_daemon_reports_its_start)
{
    fake_service_init(&service, "daemon");
    CHECK_INT(start_daemon(), 0);
    pid_t pid = mpq_control_running(&service.config, &service.error);
    CHECK(pid > 0 && pid != getpid());
    CHECK(pid_of("manager", "idle") == pid);
    CHECK_INT(getsid(pid) != getsid(0), 1);
    CHECK_INT(start_daemon(), 1);
    CHECK(fake_service_logged(&service, "is already running"));
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(mpq_control_stop(&service.config, 0, &service.error), 0);
    check_clean();
}

TEST(service_daemon_reports_why_it_could_not_start)
{
    fake_service_init(&service, "daemon-fails");
    fake_host_set(service.directory, "preload-fails", 1);
    CHECK_INT(start_daemon(), 1);
    CHECK(fake_service_logged(&service, "start: preload failed: preload was told to fail"));
    check_clean();
}

/* -- grab mode ------------------------------------------------------------------------------------------------- */

TEST(service_settles_a_dead_worker_in_grab_mode)
{
    enum mpq_end end;
    int code;
    char message[512];
    fake_service_init(&service, "grab");
    service.config.queues->mode = MPQ_MODE_GRAB;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "raise 11", 0, 1);
    fake_service_push(&service, "done", 0, 1);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, MPQ_END_SIGNAL);
    CHECK_STR(message, "killed by signal 11 (Segmentation fault)");
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 1);
    check_stops();
}

TEST(service_hands_back_in_grab_mode_what_does_not_end_in_time)
{
    fake_service_init(&service, "grab-stop");
    service.config.queues->mode = MPQ_MODE_GRAB;
    service.config.stop_timeout_ms = 300;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "deaf", 0, 1);
    CHECK(fake_service_await(&service, "run deaf", 1));
    check_stops();
    CHECK_INT(fake_service_counts(&service).ready, 1);
    CHECK_INT(fake_service_counts(&service).failed, 0);
}
