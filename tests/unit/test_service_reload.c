/* New code for a service that runs, and the old one when the new one fails. */
#include <signal.h>
#include <string.h>

#include "fake_service.h"
#include "test.h"

static fake_service service;

TEST(service_reloads)
{
    mpq_status_row row;
    fake_service_init(&service, "reload");
    CHECK_INT(fake_service_start(&service), 0);
    fake_service_push(&service, "sleep 800", 0, 1);
    CHECK(fake_service_await(&service, "run sleep", 1));
    pid_t dispatcher = fake_service_pid(&service, "dispatcher", NULL);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), 0);
    CHECK_INT(fake_host_count(service.directory, "preload"), 2);
    CHECK(fake_service_row(&service, "worker", "stopping", &row));
    CHECK_INT(row.generation, 1);
    CHECK(fake_service_row(&service, "worker", "idle", &row));
    CHECK_INT(row.generation, 2);
    CHECK(fake_service_pid(&service, "dispatcher", NULL) == dispatcher);
    CHECK(fake_service_drained(&service));
    CHECK_INT(fake_service_counts(&service).done, 1);
    for (int i = 0; i < 200 && fake_service_row(&service, "template", "stopping", &row); i++)
        fake_service_pause(10);
    CHECK(!fake_service_row(&service, "template", "stopping", &row));
    CHECK(!fake_service_row(&service, "worker", "stopping", &row));
    CHECK_INT(fake_host_count(service.directory, "start"), 4);
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
}

static void check_reload_fails(const char *name, const char *file, const char *why)
{
    mpq_status_row row;
    fake_service_init(&service, name);
    service.config.start_timeout_ms = 1500;
    CHECK_INT(fake_service_start(&service), 0);
    pid_t worker = fake_service_pid(&service, "worker", "idle");
    fake_host_set(service.directory, file, 1);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), -1);
    if (!strstr(service.error.text, why))
        CHECK_STR(service.error.text, why);
    CHECK(strstr(service.error.text, "goes on with the code it had") != NULL);
    CHECK(fake_service_pid(&service, "worker", "idle") == worker);
    fake_service_push(&service, "done", 0, 1);
    CHECK(fake_service_drained(&service));
    fake_host_set(service.directory, file, 0);
    CHECK_INT(mpq_control_reload(&service.config, &service.error), 0);
    CHECK(fake_service_row(&service, "worker", "idle", &row));
    CHECK_INT(row.generation, 3);
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
}
