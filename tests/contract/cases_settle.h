/* Settling: what each kind does, and that only the holder may. */
#include "contract.h"

/* A consumer "a:1" of queue "q" that holds jobs 1 to `held` of `pushed`. */
static mpq_broker *holder(uint64_t pushed, uint32_t held)
{
    push_range(producer(), "q", 1, pushed);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    take(a, held);
    if (answer.count != held)
        test_fail(__FILE__, __LINE__, "%zu jobs instead of %u", answer.count, (unsigned)held);
    return a;
}

CASE(one_exchange_settles_and_reserves)
{
    mpq_broker *a = holder(6, 2);
    mpq_settle both[] = {done(2), done(1)};
    CHECK_STR(exchange_all(a, both, 2, 3), "3 4 5");
    CHECK_STR(counts("q"), "pushed 6, ready 1, delayed 0, running 3, failed 0, done 2");
    CHECK_STR(settle(a, done(4)), "");
    CHECK_STR(counts("q"), "pushed 6, ready 1, delayed 0, running 2, failed 0, done 3");
}

CASE(a_full_exchange_settles_and_reserves_256)
{
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    mpq_broker *a = holder(600, MPQ_EXCHANGE_MAX);
    for (uint64_t i = 0; i < MPQ_EXCHANGE_MAX; i++)
        settles[i] = done(i + 1);
    exchange_all(a, settles, MPQ_EXCHANGE_MAX, MPQ_EXCHANGE_MAX);
    CHECK_INT(answer.count, MPQ_EXCHANGE_MAX);
    CHECK_INT(answer.refused, 0);
    CHECK_INT(number_of(mpq_batch_envelope(&answer, 255)), 512);
    CHECK_STR(counts("q"), "pushed 600, ready 88, delayed 0, running 256, failed 0, done 256");
}

CASE(a_retry_without_delay_goes_to_the_head_with_its_new_envelope)
{
    mpq_broker *a = holder(4, 2);
    CHECK_STR(settle(a, retry(2, 1, 0)), "");
    CHECK_STR(counts("q"), "pushed 4, ready 3, delayed 0, running 1, failed 0, done 0");
    CHECK_STR(take(a, 9), "2 3 4");
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 1);
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 1)), 0);
}

CASE(a_retry_in_an_exchange_is_reserved_by_the_same_exchange)
{
    mpq_broker *a = holder(3, 1);
    mpq_settle again = retry(1, 3, 0);
    CHECK_STR(exchange_all(a, &again, 1, 2), "1 2");
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 3);
}

CASE(a_retry_with_delay_waits)
{
    mpq_broker *a = holder(2, 1);
    uint64_t start_us = mpq_clock_monotonic_us();
    mpq_settle again = retry(1, 1, 300);
    CHECK_STR(exchange_all(a, &again, 1, 9), "2");
    CHECK_STR(counts("q"), "pushed 2, ready 0, delayed 1, running 1, failed 0, done 0");
    const char *got = "";
    while (*got == '\0' && mpq_clock_monotonic_us() < start_us + 10000000) {
        pause_ms(5);
        got = take(a, 9);
    }
    CHECK_STR(got, "1");
    CHECK(mpq_clock_monotonic_us() - start_us >= 300000);
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 1);
}

CASE(a_failed_job_becomes_a_record)
{
    mpq_broker *a = holder(3, 2);
    CHECK_STR(settle(a, failed(1)), "");
    CHECK_STR(counts("q"), "pushed 3, ready 1, delayed 0, running 1, failed 1, done 0");
    CHECK_STR(failed_records(a, "q", 0), "1/9");
    CHECK_STR(settle(a, done(1)), "refused 1");
    CHECK_STR(take(a, 9), "3");
}

CASE(returned_jobs_go_to_the_head_unchanged_and_in_order)
{
    mpq_broker *a = holder(5, 3);
    mpq_settle back[] = {give_back(1), give_back(2), give_back(3)};
    CHECK_STR(exchange_all(a, back, 3, 0), "");
    CHECK_STR(counts("q"), "pushed 5, ready 5, delayed 0, running 0, failed 0, done 0");
    CHECK_STR(take(a, 9), "1 2 3 4 5");
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 0);
    CHECK_STR(settle(a, give_back(5)), "");
    CHECK_STR(settle(a, give_back(4)), "");
    CHECK_STR(take(a, 9), "4 5");
}

CASE(every_kind_can_be_settled_in_one_exchange)
{
    mpq_broker *a = holder(6, 5);
    mpq_settle all[] = {done(1), retry(2, 1, 60000), failed(3), give_back(4), retry(5, 1, 0)};
    CHECK_STR(exchange_all(a, all, 5, 0), "");
    CHECK_STR(counts("q"), "pushed 6, ready 3, delayed 1, running 0, failed 1, done 1");
    CHECK_STR(take(a, 9), "4 5 6");
}

CASE(a_settle_of_a_job_not_held_changes_nothing)
{
    mpq_broker *a = holder(3, 1);
    mpq_broker *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(b, 1), "2");
    static const char before[] = "pushed 3, ready 1, delayed 0, running 2, failed 0, done 0";
    CHECK_STR(settle(a, done(2)), "refused 1");
    CHECK_STR(settle(a, retry(2, 1, 0)), "refused 1");
    CHECK_STR(settle(a, retry(2, 1, 500)), "refused 1");
    CHECK_STR(settle(a, failed(3)), "refused 1");
    CHECK_STR(settle(a, give_back(77)), "refused 1");
    CHECK_STR(counts("q"), before);
    CHECK_STR(failed_records(a, "q", 0), "");
    mpq_settle mixed[] = {done(2), done(1), done(1)};
    CHECK_STR(exchange_all(a, mixed, 3, 1), "3, refused 2");
    CHECK_STR(settle(b, done(2)), "");
    CHECK_STR(counts("q"), "pushed 3, ready 0, delayed 0, running 1, failed 0, done 2");
}

CASE(two_outstanding_exchanges_are_answered_in_order)
{
    mpq_error err = {0};
    mpq_broker *a = holder(6, 1);
    mpq_settle first = done(1), wrong = done(9);
    mpq_exchange one = {.settles = &first, .settle_count = 1, .want = 2};
    mpq_exchange two = {.settles = &wrong, .settle_count = 1, .want = 1};
    CHECK(a->ops->send(a, &one, &err) == 0);
    CHECK(a->ops->send(a, &two, &err) == 0);
    const char *expected[] = {"2 3", "4, refused 1"};
    for (int i = 0; i < 2; i++) {
        int rc;
        while ((rc = a->ops->receive(a, &answer, &err)) == 1) {
            struct pollfd entry = {.fd = a->ops->fd(a), .events = POLLIN};
            CHECK(poll(&entry, 1, ANSWER_MS) == 1);
        }
        CHECK_INT(rc, 0);
        CHECK_STR(render(&answer), expected[i]);
    }
    CHECK_INT(a->ops->receive(a, &answer, &err), 1);
    CHECK_STR(take(a, 9), "5 6");
}

CASE(garbage_goes_to_the_failed_records)
{
    mpq_broker *p = producer();
    mpq_slice junk = mpq_slice_of("\x01 no job at all", 16 - 1), bare = mpq_slice_of("x", 1);
    mpq_push_item items[] = {{envelope_of(1), 0}, {junk, 0}, {bare, 0}, {envelope_of(2), 0}};
    CHECK(push_as(p, "q", ++last_sequence, items, 4) == 0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    size_t garbage = 0, jobs = 0;
    for (int i = 0; i < 4 && jobs < 2; i++) {
        take(a, 4);
        garbage += answer.garbage;
        for (size_t j = 0; j < answer.count; j++)
            CHECK_INT(number_of(mpq_batch_envelope(&answer, j)), ++jobs);
    }
    CHECK_INT(jobs, 2);
    CHECK_INT(garbage, 2);
    CHECK_STR(counts("q"), "pushed 4, ready 0, delayed 0, running 2, failed 2, done 0");
    const char *records = failed_records(p, "q", 0);
    CHECK(strstr(records, "[\x01 no job at all]") && strstr(records, "[x]"));
}

CASE(garbage_that_becomes_due_goes_to_the_failed_records)
{
    mpq_broker *p = producer();
    CHECK(push_bytes(p, "q", mpq_slice_of("junk", 4), 20) == 0);
    CHECK(push_delayed(p, "q", 1, 40) == 0);
    pause_ms(120);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    const char *got = take(a, 9);
    if (!answer.count)
        got = take(a, 9);
    CHECK(strncmp(got, "1", 1) == 0);
    CHECK_STR(failed_records(p, "q", 0), "[junk]");
    CHECK_STR(counts("q"), "pushed 2, ready 0, delayed 0, running 1, failed 1, done 0");
}
