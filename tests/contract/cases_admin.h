/* Counting, the failed records, clearing. */
#include "contract.h"

CASE(a_fresh_store_answers_a_ping)
{
    mpq_error err = {0};
    mpq_broker *p = producer();
    CHECK(p->ops->ping(p, &err) == 0);
    CHECK(p->ops->ping(p, &err) == 0);
}

static mpq_broker *with_failed_records(uint64_t count)
{
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    push_range(producer(), "q", 1, count);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    for (uint64_t at = 0; at < count; at += answer.count) {
        take(a, 200);
        size_t got = answer.count;
        for (size_t i = 0; i < got; i++)
            settles[i] = failed(number_of(mpq_batch_envelope(&answer, i)));
        exchange_all(a, settles, got, 0);
        answer.count = got;
        if (!got)
            break;
    }
    return a;
}

static int count_distinct(void *arg, mpq_slice envelope)
{
    bool *seen = arg;
    uint64_t number = number_of(envelope);
    bool repeated = number > 700 || seen[number];
    seen[number <= 700 ? number : 0] = true;
    return repeated;
}

CASE(every_failed_record_is_walked_once)
{
    mpq_error err = {0};
    bool seen[701] = {false};
    mpq_broker *a = with_failed_records(700);
    CHECK(a->ops->failed(a, "q", count_distinct, seen, &err) == 0);
    for (size_t i = 1; i <= 700; i++)
        CHECK(seen[i]);
    CHECK_INT(counts_of("q").failed, 700);
}

CASE(the_walk_over_failed_records_can_be_stopped)
{
    mpq_broker *a = with_failed_records(3);
    const char *one = failed_records(a, "q", 1);
    CHECK(strlen(one) == strlen("1/9"));
    CHECK_INT(strlen(failed_records(a, "q", 2)), strlen("1/9 2/9"));
    CHECK_INT(strlen(failed_records(a, "q", 0)), strlen("1/9 2/9 3/9"));
    CHECK_STR(take(a, 1), "");
}

CASE(clearing_deletes_what_waits_and_what_failed)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    push_range(p, "q", 1, 6);
    push_delayed(p, "q", 7, 60000);
    push_range(p, "other", 8, 8);
    CHECK_STR(take(a, 4), "1 2 3 4");
    CHECK_STR(settle(a, failed(1)), "");
    CHECK(clear_queue(p, "q") == 0);
    mpq_counts c = counts_of("q");
    CHECK_INT(c.ready + c.delayed + c.running + c.failed, 0);
    CHECK_STR(failed_records(p, "q", 0), "");
    CHECK_STR(settle(a, done(2)), "refused 1");
    CHECK_STR(settle(a, retry(3, 1, 0)), "refused 1");
    mpq_settle last = failed(4);
    CHECK_STR(exchange_all(a, &last, 1, 9), "refused 1");
    CHECK_STR(failed_records(p, "q", 0), "");
    CHECK_INT(counts_of("other").ready, 1);
    push_range(p, "q", 9, 9);
    CHECK_STR(take(a, 9), "9");
    CHECK_STR(settle(a, done(9)), "");
}

CASE(clearing_keeps_repeated_pushes_and_owners_consistent)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    mpq_push_item item = {envelope_of(1), 0};
    CHECK(push_as(p, "q", 5, &item, 1) == 0);
    CHECK(clear_queue(p, "q") == 0);
    CHECK(push_as(p, "q", 5, &item, 1) == 0);
    CHECK_STR(take(a, 9), "");
    item.envelope = envelope_of(2);
    CHECK(push_as(p, "q", 6, &item, 1) == 0);
    CHECK_STR(take(a, 9), "2");
    CHECK_STR(adopt(b, "a:1"), "a:1: 2");
    CHECK(clear_queue(p, "q") == 0);
    CHECK_STR(refused_as_lost(settle(a, done(2))), "lost");
    CHECK_STR(settle_of(b, "a:1", done(2)), "refused 1");
}

CASE(clearing_many_jobs_leaves_none)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    push_range(p, "q", 1, 7000);
    CHECK(clear_queue(p, "q") == 0);
    CHECK_STR(take(a, 256), "");
    CHECK_INT(counts_of("q").ready, 0);
    push_range(p, "q", 7001, 7002);
    CHECK_STR(take(a, 256), "7001 7002");
}
