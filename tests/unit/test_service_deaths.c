/* Processes of a service that are killed or hang, and who takes their place. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "fake_service.h"
#include "pidfile.h"
#include "processes.h"
#include "procfs.h"
#include "redis_server.h"
#include "test.h"

static fake_service service;

/* -- the manager ----------------------------------------------------------------------------------------------- */

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
    CHECK(fake_service_has_file(&service, "pid"));
    CHECK(fake_service_has_file(&service, "board"));
    CHECK_INT(mpq_control_running(&service.config, NULL), 0);
    CHECK_INT(fake_service_start(&service), 0);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, MPQ_END_SERVICE_LOST);
    CHECK(fake_service_drained(&service));
    snprintf(expected, sizeof expected, "run kill-manager");
    CHECK_INT(fake_host_count(service.directory, expected), 1);
    fake_service_check_stops(&service);
}

static mpq_crash_plan *stop_at(const char *point)
{
    uint32_t site = 0;
    while (strcmp(mpq_crash_point_name(site), point) != 0)
        site++;
    mpq_crash_plan *plan = process_shared_memory(sizeof *plan);
    mpq_crash_use(plan, NULL, NULL);
    mpq_crash_arm(plan, site, 0, MPQ_CRASH_STOP, 1);
    return plan;
}

/* A service whose store is a Redis of its own. */
static void open_on_redis(redis_server *server, const char *name)
{
    redis_server_start(server, NULL);
    fake_service_init(&service, name);
    mpq_broker_config_fini(&service.config.broker);
    redis_server_config(server, &service.config.broker);
}

/* The job that is to blame has failed for this reason, after so many runs; and nothing is left of it all. */
static void check_blamed_and_close(redis_server *server, enum mpq_end expected, unsigned runs)
{
    enum mpq_end end;
    int code;
    char message[512];
    CHECK_INT(fake_service_start(&service), 0);
    CHECK_INT(fake_service_failed(&service, &end, &code, message, sizeof message), 0);
    CHECK_INT(end, expected);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run kill-manager"), runs);
    CHECK_INT(fake_service_stop(&service), 0);
    redis_server_kill(server);
    fake_service_check_clean(&service);
}

/* However soon it does so: the dispatcher may have got no further than giving it out. */
TEST(service_counts_a_job_that_woke_it_and_kills_it_at_once)
{
    redis_server server;
    if (!redis_server_available())
        SKIP("no redis-server");
    open_on_redis(&server, "killed-at-once");
    mpq_crash_plan *plan = stop_at("dispatcher.wait.posted");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_pause(200);
    fake_service_push(&service, "kill-manager", 0, 1);
    CHECK_INT(fake_service_join(&service, 5000), 128 + SIGKILL);
    CHECK(plan->victim != 0);
    check_blamed_and_close(&server, MPQ_END_SERVICE_LOST, 1);
}

static void forget_the_board(void)
{
    char path[512];
    mpq_pidfile_path(&service.config, "board", path, sizeof path, NULL);
    CHECK_INT(unlink(path), 0);
}

/* Each time on another host, which has nothing to go by but that a lease has ended. */
TEST(service_counts_a_job_that_kills_one_host_after_the_other_at_once)
{
    redis_server server;
    if (!redis_server_available())
        SKIP("no redis-server");
    open_on_redis(&server, "one-after-the-other");
    service.config.lease_ms = 1000;
    for (unsigned hosts = 0; hosts < 2; hosts++) {
        mpq_crash_plan *plan = stop_at("dispatcher.wait.posted");
        CHECK_INT(fake_service_start(&service), 0);
        fake_service_pause(200);
        if (hosts == 0)
            fake_service_push(&service, "kill-manager", 0, 1);
        CHECK_INT(fake_service_join(&service, 10000), 128 + SIGKILL);
        CHECK(plan->victim != 0 && kill((pid_t)plan->victim, SIGKILL) == 0);
        CHECK_INT(fake_service_left(300), 1); /* the server */
        CHECK_INT(fake_host_count(service.directory, "run kill-manager"), hosts + 1);
        forget_the_board();
    }
    mpq_crash_use(process_shared_memory(sizeof(mpq_crash_plan)), NULL, NULL);
    check_blamed_and_close(&server, MPQ_END_NODE_LOST, 2);
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
    fake_service_check_stops(&service);
}

/* -- dispatcher and template ----------------------------------------------------------------------------------- */

TEST(service_replaces_a_killed_dispatcher)
{
    fake_service_init(&service, "dispatcher");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 700", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t old = fake_service_pid(&service, "dispatcher", NULL);
    CHECK(old > 0);
    kill(old, SIGKILL);
    CHECK(fake_service_await_other(&service, "dispatcher", "idle", old) > 0);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_host_count(service.directory, "run sleep"), 1);
    CHECK_INT(fake_service_counts(&service).done, 2);
    fake_service_check_stops(&service);
}

/* As on a host that was frozen past its lease: what waited in the ring may be running elsewhere. */
TEST(service_begins_no_job_after_the_end_of_its_lease)
{
    fake_service_init(&service, "late");
    service.config.queues->workers = 1;
    service.config.lease_ms = 500;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t worker = fake_service_pid(&service, "worker", "idle"),
          dispatcher = fake_service_pid(&service, "dispatcher", NULL);
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
    fake_service_check_stops(&service);
}

TEST(service_replaces_a_killed_template_without_disturbing_workers)
{
    fake_service_init(&service, "template");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 700", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t old = fake_service_pid(&service, "template", NULL);
    kill(old, SIGKILL);
    CHECK(fake_service_await_other(&service, "template", "idle", old) > 0);
    fake_service_push(&service, "die 1", 0, 1);
    CHECK(fake_service_drained(&service));
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 2);
    CHECK_INT(fake_host_count(service.directory, "run sleep"), 1);
    CHECK_INT(fake_host_count(service.directory, "preload"), 2);
    fake_service_check_stops(&service);
}

/* -- workers --------------------------------------------------------------------------------------------------- */

TEST(service_replaces_an_idle_worker_that_is_killed)
{
    fake_service_init(&service, "idle-worker");
    service.config.queues->workers = 1;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t old = fake_service_pid(&service, "worker", "idle");
    kill(old, SIGKILL);
    CHECK(fake_service_await_other(&service, "worker", "idle", old) > 0);
    old = fake_service_pid(&service, "worker", "idle");
    kill(old, SIGTERM);
    CHECK(fake_service_await_other(&service, "worker", "idle", old) > 0);
    CHECK_INT(fake_service_counts(&service).failed, 0);
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
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
    uint64_t ready = fake_service_counts(&service).ready;
    for (int i = 0; i < 100 && ready < 2; i++) {
        fake_service_pause(20);
        ready = fake_service_counts(&service).ready;
    }
    CHECK_INT(ready, 2);
    CHECK(fake_service_await(&service, "start", 2));
    CHECK(fake_service_logged(&service, "took longer than 1.5 s for what jobs had left behind"));
    fake_host_set(service.directory, "between-hangs", 0);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 3);
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
}

/* -- everybody ------------------------------------------------------------------------------------------------- */

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
    fake_service_check_clean(&service);
}
