/* Being told that something is ready, without polling. */
#include "contract.h"

enum { WAKE_MS = 5000, QUIET_MS = 150 };

static mpq_broker *idle_consumer(const char *owner)
{
    mpq_broker *a = consumer("q", owner, LONG_LEASE_MS);
    const char *got = take(a, 9);
    if (*got)
        test_fail(__FILE__, __LINE__, "the queue is not empty: %s", got);
    arm(a);
    return a;
}

CASE(a_push_wakes_who_waits)
{
    mpq_broker *p = producer(), *a = idle_consumer("a:1");
    CHECK_STR(wait_for(a, QUIET_MS), "not woken");
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1");
    CHECK_STR(counts("q"), "pushed 1, ready 0, delayed 0, running 1, failed 0, done 0");
    CHECK_STR(settle(a, done(1)), "");
}

CASE(a_push_from_another_process_wakes_who_waits)
{
    if (store.driver == MPQ_DRIVER_MEMORY)
        SKIP("the memory driver's store is of one process");
    mpq_broker *a = idle_consumer("a:1");
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(50);
        _exit(push_range(producer(), "q", 1, 1) == 0 ? 0 : 1);
    }
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1");
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

CASE(a_push_between_the_last_look_and_arming_is_not_missed)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 9), "");
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK(arm(a) == 0);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1");
}

CASE(arming_again_is_harmless)
{
    mpq_broker *p = producer(), *a = idle_consumer("a:1");
    CHECK(arm(a) == 0);
    CHECK(arm(a) == 0);
    CHECK(push_range(p, "q", 1, 3) == 0);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1 2 3");
    CHECK(arm(a) == 0);
    CHECK_STR(wait_for(a, QUIET_MS), "not woken");
    CHECK(push_range(p, "q", 4, 4) == 0);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "4");
    CHECK_STR(counts("q"), "pushed 4, ready 0, delayed 0, running 4, failed 0, done 0");
}

CASE(an_earlier_due_time_wakes_who_waits)
{
    mpq_broker *p = producer(), *a = idle_consumer("a:1");
    CHECK_INT(answer.next_due_us, -1);
    CHECK(push_delayed(p, "q", 1, 30000) == 0);
    CHECK_STR(wait_for(a, WAKE_MS), "woken");
    CHECK_STR(take(a, 9), "");
    CHECK(answer.next_due_us > 20000000 && answer.next_due_us <= 30001000);
    CHECK(arm(a) == 0);
    CHECK(push_delayed(p, "q", 2, 300) == 0);
    CHECK_STR(wait_for(a, WAKE_MS), "woken");
    uint64_t start_ms = mpq_clock_monotonic_ms();
    const char *got = take(a, 9);
    while (*got == '\0' && mpq_clock_monotonic_ms() < start_ms + 10000) {
        CHECK(answer.next_due_us >= 0 && answer.next_due_us <= 301000);
        pause_ms((uint32_t)(answer.next_due_us / 1000) + 1);
        got = take(a, 9);
    }
    CHECK_STR(got, "2");
}

CASE(a_retry_with_delay_by_another_owner_wakes_who_waits)
{
    mpq_broker *p = producer(), *b = consumer("q", "b:1", LONG_LEASE_MS);
    push_range(p, "q", 1, 1);
    CHECK_STR(take(b, 1), "1");
    mpq_broker *a = idle_consumer("a:1");
    CHECK_STR(settle(b, retry(1, 1, 20000)), "");
    CHECK_STR(wait_for(a, WAKE_MS), "woken");
    CHECK_STR(take(a, 9), "");
    CHECK(answer.next_due_us > 10000000 && answer.next_due_us <= 20001000);
}

CASE(a_return_by_another_owner_wakes_who_waits)
{
    mpq_broker *b = consumer("q", "b:1", LONG_LEASE_MS);
    push_range(producer(), "q", 1, 2);
    CHECK_STR(take(b, 2), "1 2");
    mpq_broker *a = idle_consumer("a:1");
    CHECK_STR(settle(b, give_back(2)), "");
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "2");
    CHECK_STR(counts("q"), "pushed 2, ready 0, delayed 0, running 2, failed 0, done 0");
}

CASE(a_retry_without_delay_by_another_owner_wakes_who_waits)
{
    mpq_broker *b = consumer("q", "b:1", LONG_LEASE_MS);
    push_range(producer(), "q", 1, 1);
    CHECK_STR(take(b, 1), "1");
    mpq_broker *a = idle_consumer("a:1");
    CHECK_STR(settle(b, retry(1, 1, 0)), "");
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1");
}

CASE(a_detaching_owner_wakes_who_waits)
{
    mpq_broker *b = consumer("q", "b:1", LONG_LEASE_MS);
    push_range(producer(), "q", 1, 2);
    CHECK_STR(take(b, 2), "1 2");
    mpq_broker *a = idle_consumer("a:1");
    CHECK(detach(b) == 0);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "1 2");
}

CASE(settling_while_armed_is_possible)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    push_range(p, "q", 1, 1);
    CHECK_STR(take(a, 9), "1");
    CHECK(arm(a) == 0);
    CHECK_STR(settle(a, done(1)), "");
    push_range(p, "q", 2, 2);
    CHECK_STR(wait_and_take(a, WAKE_MS, 9), "2");
    CHECK_STR(counts("q"), "pushed 2, ready 0, delayed 0, running 1, failed 0, done 1");
}

CASE(of_two_who_wait_one_gets_the_job)
{
    mpq_broker *p = producer(), *a = idle_consumer("a:1"), *b = idle_consumer("b:1");
    CHECK(push_range(p, "q", 1, 1) == 0);
    const char *got_a = wait_and_take(a, 1000, 9);
    const char *got_b = wait_and_take(b, 200, 9);
    CHECK((strcmp(got_a, "1") == 0) + (strcmp(got_b, "1") == 0) == 1);
    CHECK_STR(counts("q"), "pushed 1, ready 0, delayed 0, running 1, failed 0, done 0");
}
