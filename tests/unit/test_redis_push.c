/* Pushing to Redis through gates: see broker_redis_gate.c. However requests are delayed, lost or refused, each
 * sequence is in the queue once. */
#include "push_fixture.h"

static int push_to(mpq_broker *broker, const char *queue, uint32_t number)
{
    mpq_push_item item = {envelope(number, mpq_slice_of("work", 4)), 0};
    mpq_push push_one = {.queue = queue, .producer = 7, .sequence = number, .items = &item, .count = 1};
    return broker->ops->push(broker, &push_one, &error);
}

/* Enough that a gate is open, and used. */
static uint32_t push_some(mpq_broker *p)
{
    for (uint32_t i = 1; i <= 5; i++)
        if (push(p, i) != 0)
            test_fail(__FILE__, __LINE__, "push %u: %s", i, error.text);
    return 5;
}

/* All of 1 to `last`, once, in this order. */
static void check_jobs(uint32_t last)
{
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_counts counts;
    CHECK_INT(take(a, MPQ_EXCHANGE_MAX), (int)last);
    CHECK_INT(a->ops->counts(a, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, counts.ready + counts.delayed + counts.running);
    for (uint32_t i = 0; i < last && i < batch.count; i++)
        CHECK_INT(number_at(i), i + 1);
}

TEST(pushes_in_a_row_ask_no_script)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    forget_calls();
    for (uint32_t i = 6; i <= 205; i++)
        CHECK(push(p, i) == 0);
    CHECK(calls_of("evalsha") >= 2 && calls_of("evalsha") <= 5);
    CHECK_INT(calls_of("exec") + calls_of("evalsha"), 200);
    CHECK_INT(waiting(), 205);
    redisReply *keys = redis_command(&server, "KEYS mpq:{q}:seq:*");
    CHECK_INT(keys->elements, 3); /* the record, the set of gates, and one gate */
    for (size_t i = 0; i < 3; i++)
        if (keys->element[i]->len > 33)
            CHECK(redis_command_int(&server, "LLEN %s", keys->element[i]->str) <= 65);
    freeReplyObject(keys);
    check_jobs(205);
}

static long long seconds_left(void)
{
    return redis_command_int(&server, "TTL mpq:{q}:seq:0000000000000007");
}

/* A server that has to make room throws away what would expire; or its clock is put right, by years. */
TEST(a_record_does_not_expire_before_its_gate)
{
    NEED_SERVER("maxmemory-policy volatile-ttl\n");
    mpq_broker *p = handle(), *other = handle();
    CHECK(push(other, 1) == 0);
    CHECK(seconds_left() > 3590 && seconds_left() <= 3600);
    uint32_t last = push_some(p);
    CHECK_INT(seconds_left(), -1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    freeReplyObject(redis_command(&server, "SET other text"));
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 0"));
    CHECK(push(p, ++last) == 0);
    CHECK(push(other, last) == 0); /* whose answer was lost */
    CHECK_INT(waiting(), last);
    last++;
    CHECK(push_bytes(p, last, envelope(last, mpq_slice_of("", 0)), 1) == 0);
    CHECK(seconds_left() > 3590 && seconds_left() <= 3600);
}

TEST(two_queues_in_turn_ask_no_script_either)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    for (uint32_t i = 1; i <= 10; i++)
        CHECK(push_to(p, i % 2 ? "q" : "p", i) == 0);
    forget_calls();
    for (uint32_t i = 11; i <= 40; i++)
        CHECK(push_to(p, i % 2 ? "q" : "p", i) == 0);
    CHECK_INT(calls_of("evalsha"), 0);
    CHECK_INT(waiting(), 20);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{p}:ready"), 20);
}

TEST(more_queues_than_a_handle_has_gates_for_are_no_problem)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    char name[16];
    for (uint32_t i = 0; i < 12 * 5; i++) {
        snprintf(name, sizeof name, "q%u", i % 12);
        CHECK(push_to(p, name, i + 1) == 0);
    }
    for (uint32_t i = 0; i < 12; i++)
        CHECK_INT(redis_command_int(&server, "LLEN mpq:{q%u}:ready", i), 5);
}

TEST(an_open_gate_lets_no_old_sequence_pass)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *other = handle();
    uint32_t last = push_some(p);
    for (uint32_t i = 1; i <= last; i++)
        CHECK(push(p, i) == 0);
    CHECK(push(p, 6) == 0);
    for (uint32_t i = 7; i <= 10; i++)
        CHECK(push(i % 2 ? other : p, i) == 0);
    for (uint32_t i = 1; i <= 10; i++)
        CHECK(push(i % 3 ? other : p, i) == 0);
    check_jobs(10);
}

/* -- late requests ---------------------------------------------------------------------------------------------- */

TEST(a_late_request_finds_that_its_repetition_was_there)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy(), *direct = handle();
    uint32_t last = push_some(p);
    forget_calls();
    CHECK(proxy_be_silent(&between, true));
    CHECK(push(p, last + 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(push(direct, last + 1) == 0);
    CHECK_INT(waiting(), last + 1);
    CHECK_INT(calls_of("exec"), 0);
    CHECK(proxy_be_silent(&between, false));
    for (int i = 0; i < 500 && calls_of("exec") == 0; i++)
        usleep(10000);
    CHECK_INT(calls_of("exec"), 1);
    CHECK_INT(waiting(), last + 1);
    CHECK(push(p, last + 1) == 0);
    CHECK(push(p, last + 2) == 0);
    proxy_stop(&between);
    check_jobs(last + 2);
}

TEST(a_repetition_finds_that_the_late_request_was_there)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy(), *direct = handle();
    uint32_t last = push_some(p);
    CHECK(proxy_be_silent(&between, true));
    CHECK(push(p, last + 1) == -1);
    CHECK_INT(waiting(), last);
    CHECK(proxy_be_silent(&between, false));
    wait_until("LLEN mpq:{q}:ready", last + 1);
    CHECK_INT(waiting(), last + 1);
    CHECK(push(direct, last + 1) == 0);
    CHECK(push(p, last + 2) == 0);
    proxy_stop(&between);
    check_jobs(last + 2);
}

/* Redis has both in its sockets when it goes on. */
TEST(a_frozen_server_gets_the_request_and_its_repetition_together)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 120;
    config.connect_timeout_ms = 5000;
    mpq_broker *p = handle();
    uint32_t last = push_some(p);
    for (int round = 0; round < 10; round++) {
        redis_server_freeze(&server, true);
        CHECK(push(p, ++last) == -1);
        pid_t pid = fork();
        if (pid == 0) {
            usleep(60000);
            redis_server_freeze(&server, false);
            _exit(0);
        }
        CHECK(push(p, last) == 0);
        waitpid(pid, NULL, 0);
        for (int i = 0; i < 4; i++)
            CHECK(push(p, ++last) == 0);
        CHECK_INT(waiting(), last);
    }
    check_jobs(last);
}

/* The second repetition is late as well, and comes last. */
TEST(a_script_that_comes_late_opens_no_way_for_others)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy(), *direct = handle();
    uint32_t last = push_some(p);
    CHECK(push(direct, ++last) == 0); /* takes the gate away */
    CHECK(push(p, ++last) == 0);      /* finds none, opens another */
    CHECK(push(p, ++last) == 0);
    CHECK(proxy_be_silent(&between, true));
    CHECK(push(p, ++last) == -1); /* through the gate */
    CHECK(push(p, last) == -1);   /* a script */
    CHECK(push(direct, last) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(push(direct, ++last) == 0);
    CHECK(proxy_be_silent(&between, false));
    usleep(100000);
    CHECK_INT(waiting(), last);
    CHECK(push(direct, ++last) == 0);
    CHECK(push(p, ++last) == 0);
    proxy_stop(&between);
    check_jobs(last);
}

TEST(lost_requests_and_lost_answers_are_repeated)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle_through_proxy();
    uint32_t last = push_some(p);
    for (int round = 0; round < 6; round++) {
        CHECK(round % 2 ? proxy_lose_answer(&between, 0) : proxy_lose_request(&between, 0));
        if (push(p, ++last) != 0) {
            CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
            CHECK(push(p, last) == 0);
        }
        CHECK_INT(proxy_losses(&between), round + 1);
        for (int i = 0; i < 4; i++)
            CHECK(push(p, ++last) == 0);
        CHECK_INT(waiting(), last);
    }
    proxy_stop(&between);
    check_jobs(last);
}

TEST(a_slow_server_gets_the_time_of_one_push_not_of_two)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 600;
    mpq_broker *p = handle_through_proxy(), *direct = handle();
    uint32_t last = push_some(p);
    CHECK(push(direct, ++last) == 0); /* takes the gate away */
    CHECK(proxy_delay(&between, 500));
    uint64_t begin_ms = mpq_clock_monotonic_ms();
    CHECK(push(p, ++last) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(mpq_clock_monotonic_ms() - begin_ms < 900);
    CHECK(push(direct, last) == 0);
    proxy_stop(&between);
    check_jobs(last);
}

/* -- refusals --------------------------------------------------------------------------------------------------- */

TEST(a_gate_that_is_gone_is_opened_again)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    uint32_t last = push_some(p);
    redisReply *keys = redis_command(&server, "KEYS mpq:{q}:seq:*:*");
    CHECK_INT(keys->elements, 1);
    CHECK_INT(redis_command_int(&server, "LLEN %s", keys->element[0]->str), 3);
    CHECK_INT(redis_command_int(&server, "DEL %s", keys->element[0]->str), 1);
    freeReplyObject(keys);
    redis_command_int(&server, "HINCRBY mpq:{q}:stats pushed 2"); /* with it the count of what has passed has gone */
    CHECK(push(p, ++last) == 0);
    forget_calls();
    CHECK(push(p, ++last) == 0);
    CHECK(push(p, ++last) == 0);
    CHECK(calls_of("exec") >= 1);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    for (int i = 0; i < 80; i++)
        CHECK(push(p, ++last) == 0);
    check_jobs(last);
}

TEST(a_queue_whose_key_is_no_list_takes_nothing_and_forgets_nothing)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    uint32_t last = push_some(p);
    freeReplyObject(redis_command(&server, "RENAME mpq:{q}:ready kept"));
    freeReplyObject(redis_command(&server, "SET mpq:{q}:ready text"));
    CHECK(push(p, ++last) == -1);
    CHECK(has_text(": push: WRONGTYPE"));
    CHECK(push(p, last) == -1);
    freeReplyObject(redis_command(&server, "RENAME kept mpq:{q}:ready"));
    CHECK(push(p, last) == 0);
    CHECK(push(p, last) == 0);
    check_jobs(last);
}

TEST(a_full_server_refuses_whole_pushes)
{
    NEED_SERVER("maxmemory-policy noeviction\n");
    mpq_broker *p = handle();
    uint32_t last = push_some(p);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    CHECK(push(p, ++last) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": push: OOM "));
    CHECK(push(p, last) == -1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 0"));
    CHECK_INT(waiting(), last - 1);
    CHECK(push(p, last) == 0);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    CHECK(push(p, last) == 0); /* again */
    CHECK(push(p, last + 1) == -1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 0"));
    check_jobs(last);
}

/* As if an hour and a quarter had passed. */
TEST(gates_that_were_left_behind_are_counted_and_removed)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *p = handle();
    for (uint64_t producer = 100; producer < 110; producer++)
        for (uint32_t i = 1; i <= 5; i++) {
            mpq_push_item item = {envelope(i, mpq_slice_of("work", 4)), 0};
            mpq_push one = {.queue = "q", .producer = producer, .sequence = i, .items = &item, .count = 1};
            CHECK(p->ops->push(p, &one, &error) == 0);
        }
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:seq:gates"), 10);
    CHECK_INT(p->ops->counts(p, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, 50);
    redisReply *names = redis_command(&server, "ZRANGE mpq:{q}:seq:gates 0 -1");
    for (size_t i = 0; i < names->elements; i++)
        redis_command_int(&server, "ZINCRBY mpq:{q}:seq:gates -4502 %s", names->element[i]->str);
    freeReplyObject(names);
    freeReplyObject(
        redis_command(&server, "SET mpq:{q}:seq:000000000000006d 00000000000000000009")); /* not the gate's */
    uint32_t last = 0;
    for (int i = 0; i < 5 * 65; i++)
        CHECK(push(p, ++last) == 0);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:seq:gates"), 1);
    names = redis_command(&server, "KEYS mpq:{q}:seq:*");
    CHECK_INT(names->elements, 4);
    freeReplyObject(names);
    CHECK_INT(p->ops->counts(p, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, 50 + last);
    CHECK_INT(p->ops->clear(p, "q", &error), 0);
    CHECK(push(p, last) == 0);
    CHECK_INT(p->ops->counts(p, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, 0);
    CHECK(push(p, ++last) == 0);
    CHECK(push(p, ++last) == 0);
    CHECK_INT(p->ops->counts(p, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, 2);
    CHECK_INT(counts.ready, 2);
}

static void push_without(const char *command, uint32_t *last)
{
    freeReplyObject(redis_command(&server, "ACL SETUSER some on >secret ~* &* +@all -%s", command));
    mpq_broker *p = handle();
    forget_calls();
    for (int i = 0; i < 10; i++)
        if (push(p, ++*last) != 0)
            test_fail(__FILE__, __LINE__, "push without %s: %s", command, error.text);
    CHECK(calls_of("evalsha") >= 10); /* it has learned it */
    freeReplyObject(redis_command(&server, "ACL SETUSER some +%s", command));
}

TEST(who_may_not_use_a_gate_pushes_all_the_same)
{
    NEED_SERVER(NULL);
    static const char *const commands[] = {"multi", "exec", "rpushx", "lmove"};
    uint32_t last = 0;
    config.user = strdup("some");
    config.password = strdup("secret");
    for (size_t i = 0; i < sizeof commands / sizeof *commands && !test_failed(); i++)
        push_without(commands[i], &last);
    check_jobs(last);
}

/* LMOVE alone would move what is no job. */
TEST(who_may_use_lmove_only_adds_no_garbage)
{
    NEED_SERVER(NULL);
    config.user = strdup("some");
    config.password = strdup("secret");
    freeReplyObject(redis_command(&server, "ACL SETUSER some on >secret ~* &* +@all -multi -rpushx"));
    push_some(handle());
    CHECK_INT(waiting(), 5);
    check_jobs(5);
}

/* From one push to the next. */
TEST(a_right_that_is_taken_away_meanwhile_loses_nothing)
{
    NEED_SERVER(NULL);
    static const char *const commands[] = {"multi", "exec", "rpushx", "lmove"};
    uint32_t last = 0;
    freeReplyObject(redis_command(&server, "ACL SETUSER some on >secret ~* &* +@all"));
    config.user = strdup("some");
    config.password = strdup("secret");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        mpq_broker *p = handle();
        for (int k = 0; k < 5; k++)
            CHECK(push(p, ++last) == 0);
        freeReplyObject(redis_command(&server, "ACL SETUSER some -%s", commands[i]));
        for (int k = 0; k < 5; k++)
            if (push(p, ++last) != 0)
                test_fail(__FILE__, __LINE__, "push without %s: %s", commands[i], error.text);
        freeReplyObject(redis_command(&server, "ACL SETUSER some +%s", commands[i]));
    }
    check_jobs(last);
}

/* -- jobs of other kinds in between ------------------------------------------------------------------------------ */

TEST(large_delayed_and_many_jobs_go_to_the_script)
{
    NEED_SERVER(NULL);
    static char payload[5000];
    mpq_broker *p = handle();
    uint32_t last = push_some(p);
    forget_calls();
    last++;
    CHECK(push_bytes(p, last, envelope(last, mpq_slice_of(payload, sizeof payload)), 0) == 0);
    CHECK_INT(calls_of("evalsha"), 1);
    CHECK(push(p, ++last) == 0);
    CHECK(push_bytes(p, 100, envelope(100, mpq_slice_of("", 0)), 60000) == 0);
    CHECK(push_bytes(p, 99, envelope(99, mpq_slice_of("", 0)), 0) == 0); /* late: counts as a repetition */
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:delayed"), 1);
    check_jobs(last);
}

TEST(who_waits_is_woken_by_a_push_through_a_gate)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    uint32_t last = push_some(p);
    CHECK_INT(take(a, 10), last);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    forget_calls();
    CHECK(push(p, ++last) == 0);
    CHECK_INT(calls_of("exec"), 1);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), last);
}
