/* Pushing many jobs at once to Redis while something goes wrong in the middle: see broker_redis_gate.c. A push is there
 * as a whole and once, or not at all, and nobody is told that it is there when a part of it is not. */
#include "push_many.h"

/* The only gate there is. */
static const char *gate_key(void)
{
    static char key[128];
    redisReply *keys = redis_command(&server, "KEYS mpq:{q}:seq:*:*");
    if (keys->elements != 1)
        test_fail(__FILE__, __LINE__, "%zu gates", keys->elements);
    snprintf(key, sizeof key, "%.100s", keys->elements ? keys->element[0]->str : "");
    freeReplyObject(keys);
    return key;
}

/* A command of which nobody wants the answer. */
static void tell(const char *command)
{
    redisReply *reply = redis_command(&server, command);
    if (reply->type == REDIS_REPLY_ERROR)
        test_fail(__FILE__, __LINE__, "%s: %s", command, reply->str);
    freeReplyObject(reply);
}

static void tell_it(void *arg)
{
    tell(arg);
}

/* `command` is carried out when the point is passed next. */
static void tell_at(const char *point, const char *command)
{
    static char text[128];
    snprintf(text, sizeof text, "%s", command);
    at(point, tell_it);
    mpq_crash_use(&plan, tell_it, text);
}

static mpq_broker *handle_of(const char *rights)
{
    char text[128];
    snprintf(text, sizeof text, "ACL SETUSER some on >secret ~* &* %s", rights);
    tell(text);
    config.user = strdup("some");
    config.password = strdup("secret");
    mpq_broker *broker = handle();
    free(config.user);
    free(config.password);
    config.user = config.password = NULL;
    return broker;
}

/* -- keys of another kind --------------------------------------------------------------------------------------- */

TEST(a_gate_that_is_no_list_lets_nothing_pass)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    const char *gate = gate_key();
    freeReplyObject(redis_command(&server, "RENAME %s kept", gate));
    freeReplyObject(redis_command(&server, "SET %s text", gate));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(push_many(p, last, MANY), -1);
        CHECK(has_text(": push: WRONGTYPE"));
        CHECK_INT(waiting(), last);
    }
    freeReplyObject(redis_command(&server, "RENAME kept %s", gate));
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

/* What comes late while a key has the wrong kind must find its gate gone, whatever else the script could not do. */
static void repeat_while_wrong(mpq_broker *p, const char *key, uint32_t count)
{
    push_some(p);
    if (count > 1)
        at("store.push.watched", hold_everything);
    else
        CHECK(proxy_be_silent(&between, true));
    CHECK_INT(push_many(p, last, count), -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    redis_command_int(&server, "DEL %s", key);
    freeReplyObject(redis_command(&server, "SET %s text", key));
    forget_calls();
    push_many(direct, last, count);
    CHECK_INT(push_many(direct, last, count), 0);
    CHECK(proxy_be_silent(&between, false));
    for (int i = 0; i < 500 && calls_of("exec") == 0; i++)
        usleep(10000);
    CHECK_INT(calls_of("exec"), 1);
    last += count;
    CHECK_INT(waiting(), last);
    redis_command_int(&server, "DEL %s", key);
    push_some(p);
    CHECK_INT(waiting(), last);
}

TEST(a_late_request_adds_nothing_when_its_repetition_could_not_be_counted)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy();
    direct = handle();
    repeat_while_wrong(p, "mpq:{q}:stats", MANY);
    repeat_while_wrong(p, "mpq:{q}:stats", 1);
    proxy_stop(&between);
}

TEST(a_late_request_adds_nothing_when_its_repetition_could_not_write_down_its_gate)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy();
    direct = handle();
    repeat_while_wrong(p, "mpq:{q}:seq:gates", MANY);
    repeat_while_wrong(p, "mpq:{q}:seq:gates", 1);
    proxy_stop(&between);
}

TEST(jobs_that_cannot_be_counted_are_pushed_all_the_same)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    tell("SET mpq:{q}:stats text");
    push_some(p);
    for (int i = 0; i < 70; i++)
        push_next(p, i % 2 ? MANY : 1);
    CHECK_INT(waiting(), last);
}

TEST(what_is_now_and_what_is_later_are_pushed_together_or_not_at_all)
{
    NEED_SERVER(NULL);
    static const char *const keys[] = {"mpq:{q}:delayed", "mpq:{q}:ready"};
    mpq_broker *p = handle();
    push_next(p, MANY);
    CHECK_INT(push_after(p, last, MANY, mpq_slice_of("work", 4), 60000), 0);
    last += MANY;
    for (size_t i = 0; i < 2; i++) {
        freeReplyObject(redis_command(&server, "RENAME %s kept", keys[i]));
        freeReplyObject(redis_command(&server, "SET %s text", keys[i]));
        CHECK_INT(push_after(p, last, MANY, mpq_slice_of("work", 4), 60000), -1);
        CHECK(has_text(": push: WRONGTYPE"));
        freeReplyObject(redis_command(&server, "RENAME kept %s", keys[i]));
        CHECK_INT(waiting(), last - 1);
        CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:delayed"), 1);
    }
    CHECK_INT(push_after(p, last, MANY, mpq_slice_of("work", 4), 60000), 0);
    CHECK_INT(waiting(), last + MANY - 2);
}

/* -- rights ------------------------------------------------------------------------------------------------------ */

/* Without a transaction the followers would be added whatever has become of the gate. */
TEST(who_may_not_begin_a_transaction_any_more_sends_no_jobs)
{
    NEED_SERVER(NULL);
    direct = handle();
    mpq_broker *p = handle_of("+@all");
    push_some(p);
    tell("ACL SETUSER some -multi");
    at("store.push.watched", repeat_elsewhere);
    forget_calls();
    push_next(p, MANY);
    CHECK_INT(calls_of("rpushx"), 0);
    push_some(p);
    check_jobs();
}

TEST(rights_that_are_lost_while_pushing_send_the_push_to_the_script)
{
    NEED_SERVER(NULL);
    static const char *const commands[] = {"rpushx", "lmove", "hincrby", "llen", "exec", "multi", "watch"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands && !test_failed(); i++) {
        char text[64];
        mpq_broker *p = handle_of("+@all");
        push_some(p);
        snprintf(text, sizeof text, "ACL SETUSER some -%s", commands[i]);
        tell_at("store.push.watched", text);
        push_next(p, MANY);
        push_some(p);
        CHECK_INT(waiting(), last);
    }
}

/* Each is used by the script around a gate. Whatever it can't do, it either opens no gate or knows of it. */
static void push_and_repeat_without(const char *command)
{
    char text[64];
    snprintf(text, sizeof text, "ACL SETUSER some -%s", command);
    mpq_broker *p = handle_of("+@all");
    push_some(p);
    tell(text);
    for (int i = 0; i < 12; i++) {
        uint32_t count = i % 3 ? MANY : 1;
        if (push_many(p, last, count) != 0)
            CHECK(has_text("can't run this command"));
        CHECK_INT(push_many(direct, last, count), 0); /* as if the answer had been lost */
        last += count;
        CHECK_INT(waiting(), last);
        push_many(p, last - count, count);
        CHECK_INT(waiting(), last);
        for (int j = 0; j < 3; j++)
            if (push_many(p, last, count) == 0)
                last += count;
        CHECK_INT(waiting(), last);
    }
}

TEST(rights_that_the_script_lacks_lead_to_no_gate_that_is_not_known)
{
    NEED_SERVER(NULL);
    static const char *const commands[] = {"zrangebyscore", "zadd", "zrem",   "llen",    "lindex",
                                           "del",           "time", "expire", "hincrby", "get"};
    direct = handle();
    for (size_t i = 0; i < sizeof commands / sizeof *commands && !test_failed(); i++) {
        push_and_repeat_without(commands[i]);
        if (test_failed())
            printf("  without %s\n", commands[i]);
    }
}

/* What the script could not remove still stands for the sequences behind it. */
TEST(a_gate_that_cannot_be_removed_stays_known)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 200;
    mpq_broker *p = handle_through_proxy();
    direct = handle();
    push_some(p);
    at("store.push.watched", hold_everything);
    CHECK_INT(push_many(p, last, MANY), -1);
    mpq_broker *weak = handle_of("+@all -del");
    CHECK_INT(push_many(weak, last, MANY), -1);
    CHECK(has_text("can't run this command"));
    CHECK_INT(waiting(), last);
    CHECK_INT(push_many(direct, last, MANY), 0);
    forget_calls();
    CHECK(proxy_be_silent(&between, false));
    for (int i = 0; i < 500 && calls_of("exec") == 0; i++)
        usleep(10000);
    CHECK_INT(calls_of("exec"), 1);
    last += MANY;
    CHECK_INT(waiting(), last);
    proxy_stop(&between);
    check_jobs();
}

/* -- the server, in the middle ----------------------------------------------------------------------------------- */

TEST(a_server_that_is_full_in_the_middle_refuses_the_whole_push)
{
    NEED_SERVER("maxmemory-policy noeviction\n");
    mpq_broker *p = handle();
    push_some(p);
    tell_at("store.push.watched", "CONFIG SET maxmemory 1");
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK(has_text(": push: OOM "));
    tell("CONFIG SET maxmemory 0");
    CHECK_INT(waiting(), last);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

TEST(a_server_that_becomes_a_replica_in_the_middle_refuses_the_whole_push)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    tell_at("store.push.watched", "REPLICAOF 127.0.0.1 1");
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK(has_text(": push: READONLY"));
    tell("REPLICAOF NO ONE");
    CHECK_INT(waiting(), last);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

TEST(a_server_that_forgets_its_scripts_in_the_middle_is_told_them_again)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    tell_at("store.push.watched", "SCRIPT FLUSH");
    push_next(p, MANY);
    remove_gate(NULL);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

static void restart(void *arg)
{
    (void)arg;
    redis_server_kill(&server);
    redis_server_restart(&server);
}

static int push_until_it_is_there(mpq_broker *broker)
{
    int rc = -1;
    for (int i = 0; i < 5 && rc != 0; i++)
        rc = push_many(broker, last, MANY);
    return rc;
}

TEST(a_server_that_dies_in_the_middle_and_forgets_nothing_has_the_push_once)
{
    NEED_SERVER("appendonly yes\nappendfsync always\n");
    mpq_broker *p = handle();
    for (int i = 0; i < 4; i++) {
        push_some(p);
        at(i % 2 ? "store.push.sent" : "store.push.watched", restart);
        CHECK_INT(push_until_it_is_there(p), 0);
        last += MANY;
        CHECK_INT(waiting(), last);
    }
    push_some(p);
    check_jobs();
}

TEST(a_server_that_dies_in_the_middle_and_forgets_all_takes_the_push_as_a_new_one)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    at("store.push.watched", restart);
    CHECK_INT(push_until_it_is_there(p), 0);
    CHECK_INT(waiting(), MANY);
}

/* The whole request lies in the socket of a connection that was given up, or a part of it. */
static void push_to_frozen(mpq_broker *p, uint32_t count, size_t payload)
{
    static char bytes[8000];
    push_some(p);
    at("store.push.watched", freeze_server);
    CHECK_INT(push_after(p, last, count, mpq_slice_of(bytes, payload), 0), -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    redis_server_freeze(&server, false);
    CHECK_INT(push_after(direct, last, count, mpq_slice_of(bytes, payload), 0), 0);
    last += count;
    usleep(20000);
    CHECK_INT(waiting(), last);
}

TEST(a_server_that_stands_still_has_the_push_once)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 300;
    direct = handle();
    mpq_broker *p = handle();
    for (int i = 0; i < 3; i++) {
        push_to_frozen(p, MANY, 4);
        push_to_frozen(p, MANY, 8000);
    }
    check_jobs();
}

/* -- we ourselves, in the middle --------------------------------------------------------------------------------- */

static void run_out_of_memory(void *arg)
{
    mpq_redis *redis = arg;
    redis->cmd.buf.failed = true;
}

TEST(a_request_for_which_there_is_no_memory_leaves_nothing_behind)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    at("store.push.watched", run_out_of_memory);
    mpq_crash_use(&plan, run_out_of_memory, p);
    CHECK_INT(push_many(p, last, MANY), -1);
    CHECK_INT(error.kind, MPQ_ERROR_MEMORY);
    CHECK_INT(waiting(), last);
    CHECK_INT(p->ops->ping(p, &error), 0);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

static void close_in_a_child(void *arg)
{
    pid_t pid = fork();
    if (pid == 0) {
        mpq_broker_close(arg);
        mpq_broker *own = NULL;
        if (mpq_broker_open(&config, &own, &error) < 0 || push_bytes(own, 1, envelope(0, mpq_slice_of("", 0)), 60000))
            _exit(1);
        mpq_broker_close(own);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status));
}

TEST(a_child_that_closes_its_copy_in_the_middle_changes_nothing)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    push_some(p);
    at("store.push.watched", close_in_a_child);
    mpq_crash_use(&plan, close_in_a_child, p);
    push_next(p, MANY);
    push_some(p);
    check_jobs();
}

TEST(who_waits_gets_the_first_and_all_that_follow)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    uint32_t next = 1;
    for (int i = 0; i < 6; i++) {
        CHECK_INT(a->ops->wait_arm(a, &error), 0);
        push_next(p, MANY);
        CHECK_INT(collect(a, 2000), 0);
        for (size_t j = 0; j < batch.count; j++)
            CHECK_INT(number_at(j), next++);
        while (take(a, MPQ_EXCHANGE_MAX) > 0)
            for (size_t j = 0; j < batch.count; j++)
                CHECK_INT(number_at(j), next++);
        CHECK_INT(next - 1, last);
    }
}
