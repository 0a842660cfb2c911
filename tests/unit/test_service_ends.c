/* How jobs end that do not end well, and what the service says of them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fake_service.h"
#include "test.h"

static fake_service service;

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
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
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
    fake_service_check_stops(&service);
}

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
    fake_service_check_stops(&service);
}
