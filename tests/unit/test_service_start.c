/* How a service starts: in the foreground, as a daemon, as the first process; and how it says why it could not. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_service.h"
#include "test.h"

static fake_service service;

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
    CHECK(fake_service_pid(&service, "manager", "idle") == service.pid);
    fake_service_check_stops(&service);
}

static void check_start_fails(const char *why)
{
    CHECK_INT(fake_service_join(&service, 10000), 1);
    CHECK(fake_service_logged(&service, "start: "));
    CHECK(fake_service_logged(&service, why));
    fake_service_check_clean(&service);
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
    fake_service_check_stops(&service);
}

TEST(service_can_be_stopped_while_it_starts)
{
    fake_service_init(&service, "stop-early");
    fake_host_set(service.directory, "preload-hangs", 1);
    fake_service_launch(&service);
    CHECK(fake_service_await(&service, "preload", 1));
    kill(service.pid, SIGTERM);
    CHECK_INT(fake_service_join(&service, 5000), 0);
    fake_service_check_clean(&service);
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
    CHECK(!fake_service_has_file(&service, "pid"));
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
    CHECK(fake_service_pid(&service, "manager", "idle") == pid);
    CHECK_INT(getsid(pid) != getsid(0), 1);
    CHECK_INT(start_daemon(), 1);
    CHECK(fake_service_logged(&service, "is already running"));
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(mpq_control_stop(&service.config, 0, &service.error), 0);
    fake_service_check_clean(&service);
}

TEST(service_daemon_reports_why_it_could_not_start)
{
    fake_service_init(&service, "daemon-fails");
    fake_host_set(service.directory, "preload-fails", 1);
    CHECK_INT(start_daemon(), 1);
    CHECK(fake_service_logged(&service, "start: preload failed: preload was told to fail"));
    fake_service_check_clean(&service);
}
