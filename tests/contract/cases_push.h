/* Pushing and reserving: order, bytes, delays, repetition, queues. */
#include "contract.h"

CASE(jobs_are_reserved_in_the_order_of_pushing)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 3) == 0);
    CHECK(push_range(p, "q", 4, 5) == 0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    CHECK_INT(answer.ready, 3);
    CHECK_INT(answer.next_due_us, 0);
    CHECK_STR(take(a, 10), "3 4 5");
    CHECK_INT(answer.ready, 0);
    CHECK_STR(take(a, 10), "");
    CHECK_INT(answer.next_due_us, -1);
    CHECK_STR(counts("q"), "pushed 5, ready 0, delayed 0, running 5, failed 0, done 0");
}

CASE(an_unknown_queue_is_empty)
{
    mpq_broker *p = producer();
    CHECK_STR(counts("nowhere"), "pushed 0, ready 0, delayed 0, running 0, failed 0, done 0");
    CHECK_STR(failed_records(p, "nowhere", 0), "");
    CHECK(clear_queue(p, "nowhere") == 0);
    mpq_broker *a = consumer("nowhere", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 256), "");
    CHECK_STR(adopt(a, NULL), "nobody");
}

static bool comes_back_unchanged(mpq_slice payload)
{
    mpq_broker *p = producer();
    mpq_slice sent = envelope_with(1, 2, payload);
    if (push_bytes(p, "q", sent, 0) < 0)
        return false;
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    if (strcmp(take(a, 1), "1") != 0)
        return false;
    mpq_slice got = mpq_batch_envelope(&answer, 0);
    return got.len == sent.len && memcmp(got.data, sent.data, sent.len) == 0;
}

CASE(a_payload_of_every_byte_comes_back_unchanged)
{
    char bytes[1024];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i < 256 ? i : i * 7 + i / 256);
    CHECK(comes_back_unchanged(mpq_slice_of(bytes, sizeof bytes)));
}

CASE(an_empty_payload_comes_back_unchanged)
{
    CHECK(comes_back_unchanged(mpq_slice_of("", 0)));
}

CASE(a_payload_of_5_mb_comes_back_unchanged)
{
    size_t len = 5u << 20;
    char *bytes = malloc(len);
    CHECK(bytes != NULL);
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((state = state * 1103515245u + 12345u) >> 16);
    bool unchanged = comes_back_unchanged(mpq_slice_of(bytes, len));
    free(bytes);
    CHECK(unchanged);
}

CASE(large_jobs_survive_a_retry_and_a_failure)
{
    size_t len = 300000;
    char *bytes = calloc(1, len + 5000);
    CHECK(bytes != NULL);
    mpq_broker *p = producer();
    push_bytes(p, "q", envelope_with(1, 0, mpq_slice_of(bytes, len)), 0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    mpq_settle again = {
        .kind = MPQ_SETTLE_RETRY, .id = id_of(1), .envelope = envelope_with(1, 1, mpq_slice_of(bytes, len - 1))};
    CHECK_STR(exchange_all(a, &again, 1, 1), "1");
    CHECK_INT(mpq_batch_envelope(&answer, 0).len, MPQ_ENVELOPE_HEADER_BYTES + len - 1);
    mpq_settle end = {
        .kind = MPQ_SETTLE_FAILED, .id = id_of(1), .envelope = envelope_with(1, 2, mpq_slice_of(bytes, len + 5000))};
    CHECK_STR(settle(a, end), "");
    free(bytes);
    CHECK_STR(failed_records(p, "q", 0), "1/2");
}

CASE(a_delayed_job_is_not_given_out_before_it_is_due)
{
    mpq_broker *p = producer();
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    uint64_t start_us = mpq_clock_monotonic_us();
    CHECK(push_delayed(p, "q", 1, 400) == 0);
    CHECK_STR(counts("q"), "pushed 1, ready 0, delayed 1, running 0, failed 0, done 0");
    const char *got = take(a, 1);
    CHECK_STR(got, "");
    CHECK(answer.next_due_us > 0 && answer.next_due_us <= 401000);
    while (*got == '\0' && mpq_clock_monotonic_us() < start_us + 10000000) {
        pause_ms((uint32_t)(answer.next_due_us / 1000) + 1);
        got = take(a, 1);
    }
    CHECK_STR(got, "1");
    CHECK(mpq_clock_monotonic_us() - start_us >= 400000);
    CHECK_STR(counts("q"), "pushed 1, ready 0, delayed 0, running 1, failed 0, done 0");
}

static uint64_t clock_of_us(const mpq_broker *broker)
{
    return strcmp(broker->ops->name, "memory") == 0 ? mpq_clock_monotonic_us() : mpq_clock_wall_us();
}

/* Not in whole milliseconds, as far as the store's format allows: SQLite's rows have them. */
CASE(a_due_time_is_told_exactly)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    uint64_t slack_us = strcmp(a->ops->name, "sqlite") == 0 ? 1002 : 2;
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t delay_us = 1000 * (60000 - 1000 * (uint64_t)i); /* each one is the earliest */
        uint64_t before_us = clock_of_us(p);
        CHECK(push_delayed(p, "q", i + 1, delay_us / 1000) == 0);
        CHECK_STR(take(a, 1), "");
        CHECK((uint64_t)answer.next_due_us <= delay_us + slack_us);
        CHECK(clock_of_us(a) + (uint64_t)answer.next_due_us >= before_us + delay_us); /* never early */
    }
}

CASE(delayed_jobs_become_ready_in_the_order_of_their_due_times)
{
    mpq_broker *p = producer();
    mpq_push_item items[] = {{envelope_of(1), 90}, {envelope_of(2), 30}, {envelope_of(3), 60},
                             {envelope_of(4), 31}, {envelope_of(5), 0},  {envelope_of(6), 60}};
    CHECK(push_as(p, "q", ++last_sequence, items, 6) == 0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "5");
    pause_ms(200);
    CHECK_STR(take(a, 2), "2 4");
    CHECK_STR(take(a, 10), "3 6 1");
}

CASE(a_job_that_becomes_due_queues_behind_those_that_are_ready)
{
    mpq_broker *p = producer();
    CHECK(push_delayed(p, "q", 1, 50) == 0);
    CHECK(push_range(p, "q", 2, 3) == 0);
    pause_ms(120);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 10), "2 3 1");
}

CASE(more_jobs_can_be_due_at_once_than_are_taken_at_once)
{
    static mpq_push_item items[1000];
    mpq_broker *p = producer();
    for (uint64_t n = 0; n < 1000; n++)
        items[n] = (mpq_push_item){envelope_of(n + 1), 1 + n / 10};
    CHECK(push_as(p, "q", ++last_sequence, items, 1000) == 0);
    pause_ms(200);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    uint64_t next = 1;
    while (next <= 1000) {
        take(a, 256);
        CHECK(answer.count > 0);
        for (size_t i = 0; i < answer.count; i++)
            CHECK_INT(number_of(mpq_batch_envelope(&answer, i)), next++);
        CHECK_INT(finish_answer(a), 0);
    }
    CHECK_STR(counts("q"), "pushed 1000, ready 0, delayed 0, running 0, failed 0, done 1000");
}

CASE(a_repeated_push_is_accepted_once)
{
    mpq_broker *p = producer();
    mpq_push_item one = {envelope_of(1), 0}, two[] = {{envelope_of(2), 0}, {envelope_of(3), 5000}};
    CHECK(push_as(p, "q", 5, &one, 1) == 0);
    CHECK(push_as(p, "q", 5, &one, 1) == 0);
    CHECK(push_as(p, "q", 7, two, 2) == 0);
    CHECK(push_as(producer(), "q", 7, two, 2) == 0);
    CHECK(push_as(p, "q", 6, &one, 1) == 0);
    CHECK(push_as(p, "q", 1, &one, 1) == 0);
    CHECK_STR(counts("q"), "pushed 3, ready 2, delayed 1, running 0, failed 0, done 0");
    CHECK(push_as(p, "other", 5, &one, 1) == 0);
    CHECK_STR(counts("other"), "pushed 1, ready 1, delayed 0, running 0, failed 0, done 0");
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 10), "1 2");
    CHECK_INT(finish_answer(a), 0);
    CHECK(push_as(p, "q", 7, two, 2) == 0);
    CHECK_STR(take(a, 10), "");
}

/* A producer that pushes job after job may be served in a quicker way, which has to know repetitions as well. */
CASE(repetitions_in_a_run_of_pushes_are_accepted_once)
{
    mpq_broker *p = producer(), *other = producer();
    for (uint64_t n = 1; n <= 150; n++) {
        mpq_push_item item = {envelope_of(n), 0};
        CHECK(push_as(p, "q", n, &item, 1) == 0);
        if (n % 7 == 0)
            CHECK(push_as(n % 2 ? p : other, "q", n, &item, 1) == 0);
        if (n % 11 == 0)
            CHECK(push_as(p, "q", n - 5, &item, 1) == 0);
        if (n % 13 == 0)
            CHECK(push_as(p, "other", n, &item, 1) == 0);
    }
    CHECK_STR(counts("q"), "pushed 150, ready 150, delayed 0, running 0, failed 0, done 0");
    CHECK_STR(counts("other"), "pushed 11, ready 11, delayed 0, running 0, failed 0, done 0");
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    take(a, 256);
    CHECK_INT(answer.count, 150);
    for (uint64_t n = 1; n <= 150; n++)
        CHECK_INT(number_of(mpq_batch_envelope(&answer, n - 1)), n);
}

CASE(producers_are_told_apart)
{
    mpq_broker *p = producer();
    mpq_error err = {0};
    mpq_push_item item = {envelope_of(1), 0};
    mpq_push push = {.queue = "q", .sequence = 1, .items = &item, .count = 1};
    for (uint64_t id = 1; id <= 3; id++) {
        item.envelope = envelope_of(id);
        push.producer = id == 3 ? UINT64_MAX : id;
        CHECK(p->ops->push(p, &push, &err) == 0);
    }
    CHECK_STR(take(consumer("q", "a:1", LONG_LEASE_MS), 10), "1 2 3");
}

CASE(a_thousand_jobs_are_pushed_at_once)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 3000) == 0);
    CHECK_STR(counts("q"), "pushed 3000, ready 3000, delayed 0, running 0, failed 0, done 0");
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    uint64_t next = 1;
    while (next <= 3000) {
        take(a, MPQ_EXCHANGE_MAX);
        CHECK_INT(answer.count, 3001 - next < MPQ_EXCHANGE_MAX ? 3001 - next : MPQ_EXCHANGE_MAX);
        for (size_t i = 0; i < answer.count; i++)
            CHECK_INT(number_of(mpq_batch_envelope(&answer, i)), next++);
        CHECK_INT(finish_answer(a), 0);
    }
    CHECK_STR(counts("q"), "pushed 3000, ready 0, delayed 0, running 0, failed 0, done 3000");
}

CASE(reserving_stops_at_the_wanted_bytes)
{
    static char bytes[100000];
    mpq_broker *p = producer();
    for (uint64_t n = 1; n <= 6; n++)
        CHECK(push_bytes(p, "q", envelope_with(n, 0, mpq_slice_of(bytes, sizeof bytes)), 0) == 0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    mpq_exchange some = {.want = 100, .want_bytes = 250000};
    CHECK_STR(ask(a, &some), "1 2 3");
    CHECK_INT(answer.ready, 3);
    mpq_exchange tiny = {.want = 100, .want_bytes = 1};
    CHECK_STR(ask(a, &tiny), "4");
    CHECK_STR(take(a, 100), "5 6");
}

CASE(queues_are_independent_whatever_their_names)
{
    static const char *const names[] = {"a b",
                                        "gr\xc3\xb6\xc3\x9f"
                                        "e",
                                        "x:y",
                                        "x:y:ready",
                                        "*",
                                        "[a-z]",
                                        "%_",
                                        "'); drop table job",
                                        "\"q\"",
                                        "A",
                                        "a",
                                        "\xff\xfe raw",
                                        "..\\/etc",
                                        "?"};
    enum { NAMES = sizeof names / sizeof *names };
    mpq_broker *p = producer();
    for (uint64_t i = 0; i < NAMES; i++)
        CHECK(push_range(p, names[i], 100 * i + 1, 100 * i + 1 + i % 3) == 0);
    for (uint64_t i = 0; i < NAMES; i++) {
        mpq_broker *a = consumer(names[i], "same name everywhere", LONG_LEASE_MS);
        take(a, 256);
        CHECK_INT(answer.count, 1 + i % 3);
        CHECK_INT(number_of(mpq_batch_envelope(&answer, 0)), 100 * i + 1);
        CHECK_INT(finish_answer(a), 0);
        CHECK_INT(counts_of(names[i]).done, 1 + i % 3);
        CHECK(detach(a) == 0);
    }
}

CASE(a_queue_name_may_be_as_long_as_the_configuration_allows)
{
    char longest[MPQ_QUEUE_NAME_MAX + 1], other[MPQ_QUEUE_NAME_MAX + 1];
    memset(longest, 'q', MPQ_QUEUE_NAME_MAX);
    longest[MPQ_QUEUE_NAME_MAX] = '\0';
    strcpy(other, longest);
    other[MPQ_QUEUE_NAME_MAX - 1] = 'r';
    mpq_broker *p = producer();
    CHECK(push_range(p, longest, 1, 1) == 0);
    CHECK(push_range(p, other, 2, 2) == 0);
    CHECK_STR(take(consumer(longest, "a:1", LONG_LEASE_MS), 9), "1");
    CHECK_STR(take(consumer(other, "a:1", LONG_LEASE_MS), 9), "2");
}
