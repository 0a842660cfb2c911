/* The real engine, supervised and supervising, with a fake embedder and an SQLite store: at work, and at its end. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fake_service.h"
#include "procfs.h"
#include "test.h"

static fake_service service;

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
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
    CHECK_INT(fake_service_counts(&service).done, 1);
}

TEST(service_survives_signals_meant_for_the_whole_group)
{
    fake_service_init(&service, "group");
    CHECK_INT(fake_service_start(&service), 0);
    pid_t dispatcher = fake_service_pid(&service, "dispatcher", NULL),
          template = fake_service_pid(&service, "template", NULL), worker = fake_service_pid(&service, "worker", NULL);
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
    CHECK(fake_service_pid(&service, "dispatcher", NULL) == dispatcher);
    CHECK(fake_service_pid(&service, "template", NULL) == template);
    CHECK(fake_service_pid(&service, "worker", NULL) == worker);
    fake_service_check_stops(&service);
}

/* -- stopping -------------------------------------------------------------------------------------------------- */

TEST(service_lets_running_jobs_end_at_a_stop)
{
    fake_service_init(&service, "grace");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 600", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    kill(service.pid, SIGTERM);
    CHECK_INT(fake_service_join(&service, 10000), 0);
    fake_service_check_clean(&service);
    CHECK_INT(fake_service_counts(&service).done, 1);
}

TEST(service_hands_back_what_does_not_end_in_time)
{
    fake_service_init(&service, "grace-over");
    service.config.stop_timeout_ms = 300;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "deaf", 0, 1);
    CHECK(fake_service_await(&service, "run deaf", 1));
    fake_service_check_stops(&service);
    CHECK_INT(fake_service_counts(&service).ready, 1);
    CHECK_INT(fake_service_counts(&service).failed, 0);
}

TEST(service_hands_back_in_grab_mode_what_does_not_end_in_time)
{
    fake_service_init(&service, "grab-stop");
    service.config.queues->mode = MPQ_MODE_GRAB;
    service.config.stop_timeout_ms = 300;
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "deaf", 0, 1);
    CHECK(fake_service_await(&service, "run deaf", 1));
    fake_service_check_stops(&service);
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
    fake_service_check_clean(&service);
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
    fake_service_check_stops(&service);
}
