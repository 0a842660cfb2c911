/* Pushing many jobs at once to Redis through gates: see broker_redis_gate.c. However requests are delayed, lost or
 * refused, and whoever is killed: a push is there as a whole, or not at all, and once. */
#include "push_many.h"

#include <sys/mman.h>

TEST(many_jobs_at_once_ask_no_script)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    forget_calls();
    for (int i = 0; i < 20; i++) {
        push_next(p, MANY);
        push_next(p, 1);
    }
    CHECK_INT(calls_of("evalsha"), 0);
    CHECK_INT(calls_of("exec"), 40);
    CHECK_INT(calls_of("watch"), 20);
    for (int i = 0; i < 100; i++)
        push_next(p, MANY);
    CHECK(calls_of("evalsha") >= 1 && calls_of("evalsha") <= 3);
    check_jobs();
}

TEST(a_few_go_to_the_script)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    forget_calls();
    push_next(p, 10);
    CHECK_INT(calls_of("evalsha"), 1);
    CHECK_INT(calls_of("exec"), 0);
    check_jobs();
}

TEST(one_that_is_delayed_or_a_very_large_first_one_sends_all_to_the_script)
{
    NEED_SERVER(NULL);
    size_t len = MANY * 5000;
    char *payload = calloc(1, len);
    mpq_broker *p = handle();
    push_some(p);
    forget_calls();
    mpq_push_item items[MANY];
    mpq_buf bytes = {0};
    mpq_job job = {.id = id_of(last + 1), .payload = mpq_slice_of(payload, len)};
    mpq_codec_encode(&job, &bytes);
    for (uint32_t i = 0; i < MANY; i++)
        items[i] = (mpq_push_item){i ? mpq_slice_of("not an envelope, but long enough", 32) : mpq_buf_slice(&bytes), 0};
    mpq_push all = {.queue = "q", .producer = 7, .sequence = last + MANY, .items = items, .count = MANY};
    CHECK_INT(p->ops->push(p, &all, &error), 0);
    CHECK_INT(calls_of("evalsha"), 1);
    CHECK_INT(calls_of("exec"), 0);
    CHECK_INT(push_after(p, last + MANY, MANY, mpq_slice_of("work", 4), 60000), 0);
    CHECK_INT(calls_of("evalsha"), 2);
    CHECK_INT(waiting(), last + 2 * MANY - 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:delayed"), 1);
    mpq_buf_fini(&bytes);
    free(payload);
}

TEST(envelopes_of_some_kilobytes_pass_together)
{
    NEED_SERVER(NULL);
    static char payload[6000];
    mpq_broker *p = handle();
    push_some(p);
    forget_calls();
    CHECK_INT(push_after(p, last, MANY, mpq_slice_of(payload, sizeof payload), 0), 0);
    last += MANY;
    CHECK_INT(calls_of("evalsha"), 0);
    check_jobs();
}

TEST(an_open_gate_lets_no_old_sequence_pass)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *other = handle();
    push_some(p);
    for (uint32_t before = 0; before < last; before += MANY)
        CHECK_INT(push_many(p, before, MANY), 0);
    for (int i = 0; i < 6; i++)
        push_next(i % 2 ? other : p, MANY);
    for (uint32_t before = 0; before < last; before += MANY)
        CHECK_INT(push_many(before % 3 ? other : p, before, MANY), 0);
    check_jobs();
}

/* -- at certain moments ---------------------------------------------------------------------------------------- */

TEST(a_late_request_finds_that_its_repetition_was_there)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy();
    direct = handle();
    push_some(p);
    forget_calls();
    at("store.push.watched", hold_everything);
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK_INT(calls_of("watch"), 1);
    push_next(direct, MANY);
    CHECK_INT(calls_of("exec"), 0);
    CHECK(proxy_be_silent(&between, false));
    for (int i = 0; i < 500 && calls_of("exec") == 0; i++)
        usleep(10000);
    CHECK_INT(calls_of("exec"), 1);
    CHECK_INT(waiting(), last);
    push_next(p, MANY);
    proxy_stop(&between);
    check_jobs();
}

TEST(a_repetition_finds_that_the_late_request_was_there)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy();
    direct = handle();
    push_some(p);
    at("store.push.watched", hold_everything);
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK_INT(waiting(), last);
    CHECK(proxy_be_silent(&between, false));
    wait_until("LLEN mpq:{q}:ready", last + MANY);
    CHECK_INT(waiting(), last + MANY);
    push_next(direct, MANY);
    CHECK_INT(waiting(), last);
    push_next(p, MANY);
    proxy_stop(&between);
    check_jobs();
}

TEST(what_is_done_between_watching_and_sending_stops_the_request)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    direct = handle();
    push_some(p);
    at("store.push.watched", repeat_elsewhere);
    push_next(p, MANY);
    CHECK_INT(waiting(), last);
    push_some(p);
    at("store.push.watched", remove_gate);
    forget_calls();
    push_next(p, MANY);
    CHECK_INT(calls_of("rpushx"), 0);
    CHECK_INT(calls_of("evalsha"), 1);
    CHECK_INT(waiting(), last);
    push_some(p);
    redisReply *keys = redis_command(&server, "KEYS mpq:{q}:seq:*:*");
    CHECK_INT(keys->elements, 1);
    freeReplyObject(keys);
    check_jobs();
}

TEST(a_server_that_forgot_everything_meanwhile_takes_the_push_as_a_new_one)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    at("store.push.watched", forget_all);
    push_next(p, MANY);
    CHECK_INT(waiting(), MANY);
}

TEST(a_gate_that_is_gone_before_it_is_watched_is_opened_again)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    remove_gate(NULL);
    forget_calls();
    push_next(p, MANY);
    CHECK_INT(calls_of("exec"), 0);
    CHECK_INT(waiting(), last);
    push_next(p, 1); /* what is still watched stops nothing */
    push_next(p, MANY);
    CHECK_INT(calls_of("exec"), 3); /* one of them empty, on a new connection */
    CHECK_INT(calls_of("evalsha"), 1);
    check_jobs();
}

TEST(lost_requests_and_lost_answers_are_repeated)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle_through_proxy();
    push_some(p);
    for (int round = 0; round < 6; round++) {
        CHECK(round % 2 ? proxy_lose_answer(&between, 0) : proxy_lose_request(&between, 0));
        if (push_many(p, last, MANY) != 0) {
            CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
            CHECK_INT(push_many(p, last, MANY), 0);
        }
        last += MANY;
        CHECK_INT(proxy_losses(&between), round + 1);
        for (int i = 0; i < 4; i++)
            push_next(p, MANY);
        CHECK_INT(waiting(), last);
    }
    proxy_stop(&between);
    check_jobs();
}

/* Of 1 to the number of jobs in shared memory at least, and of the push that was under way all or none. */
static void die_while_pushing(const char *point, uint32_t nth)
{
    mpq_crash_plan *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t *done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    CHECK(shared != MAP_FAILED && done != MAP_FAILED);
    mpq_crash_use(shared, NULL, NULL);
    mpq_crash_arm(shared, (uint32_t)site_of(point), 2, MPQ_CRASH_KILL, nth);
    pid_t pid = fork();
    if (pid == 0) {
        mpq_crash_be(2);
        mpq_broker *p = handle();
        for (int i = 0; i < 20; i++) {
            push_next(p, MANY);
            *done = last;
        }
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    usleep(50000); /* what it has sent arrives */
    last = *done;
    long long there = waiting();
    CHECK(there == last || there == last + MANY);
    CHECK_INT(push_many(direct, last, MANY), 0); /* as nobody does, but it tells whether its sequence is known */
    last += MANY;
    CHECK_INT(waiting(), last);
    mpq_crash_use(NULL, NULL, NULL);
    munmap(shared, sizeof *shared);
    munmap(done, sizeof *done);
}

TEST(a_producer_that_is_killed_has_pushed_all_or_nothing)
{
    NEED_SERVER(NULL);
    direct = handle();
    die_while_pushing("store.push.watched", 3);
    check_jobs();
}

TEST(a_producer_that_is_killed_after_sending_has_pushed_all_or_nothing)
{
    NEED_SERVER(NULL);
    direct = handle();
    die_while_pushing("store.push.sent", 3);
    check_jobs();
}

/* -- refusals --------------------------------------------------------------------------------------------------- */

TEST(a_queue_whose_key_is_no_list_takes_nothing_and_forgets_nothing)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    freeReplyObject(redis_command(&server, "RENAME mpq:{q}:ready kept"));
    freeReplyObject(redis_command(&server, "SET mpq:{q}:ready text"));
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK(has_text(": push: WRONGTYPE"));
    CHECK_INT(push_many(p, last, MANY), -1);
    freeReplyObject(redis_command(&server, "RENAME kept mpq:{q}:ready"));
    push_next(p, MANY);
    CHECK_INT(push_many(p, last - MANY, MANY), 0);
    CHECK_INT(waiting(), last);
}

TEST(a_full_server_refuses_whole_pushes)
{
    NEED_SERVER("maxmemory-policy noeviction\n");
    mpq_broker *p = handle();
    push_some(p);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": push: OOM "));
    CHECK_INT(push_many(p, last, MANY), -1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 0"));
    CHECK_INT(waiting(), last);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

static void push_without(const char *command)
{
    freeReplyObject(redis_command(&server, "ACL SETUSER some on >secret ~* &* +@all"));
    mpq_broker *p = handle(), *late = handle();
    push_some(late);
    freeReplyObject(redis_command(&server, "ACL SETUSER some -%s", command));
    push_some(late);
    forget_calls();
    push_some(p);
    push_some(p);
    CHECK(calls_of("evalsha") >= 9); /* it has learned it */
    for (int i = 0; i < 3; i++)
        push_next(late, 1);
    push_some(late);
}

/* Neither from the beginning nor when the right is taken away. */
TEST(who_may_not_use_what_it_takes_pushes_all_the_same)
{
    NEED_SERVER(NULL);
    static const char *const commands[] = {"watch", "multi", "exec", "rpushx", "lmove"};
    config.user = strdup("some");
    config.password = strdup("secret");
    for (size_t i = 0; i < sizeof commands / sizeof *commands && !test_failed(); i++)
        push_without(commands[i]);
    freeReplyObject(redis_command(&server, "ACL SETUSER some on >secret ~* &* +@all"));
    check_jobs();
}

TEST(who_waits_is_woken_by_a_push_through_a_gate)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    push_some(p);
    while (take(a, MPQ_EXCHANGE_MAX) > 0)
        continue;
    CHECK_INT(a->ops->wait_arm(a, &error), 0);
    forget_calls();
    push_next(p, MANY);
    CHECK_INT(calls_of("exec"), 1);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(number_at(0), last - MANY + 1);
}
