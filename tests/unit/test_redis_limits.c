/* The Redis driver: what is stored, and what the server refuses. */
#include "redis_fixture.h"

/* -- content ---------------------------------------------------------------------------------------------------- */

TEST(garbage_that_wakes_a_waiter_goes_to_the_failed_records)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    static const char *const junk[] = {"", "short", "MQ\1 but much too short for a header of an envelope"};
    for (size_t i = 0; i < 3; i++) {
        CHECK(a->ops->wait_arm(a, &error) == 0);
        freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:ready %s", junk[i]));
        CHECK_INT(collect(a, 2000), 0);
        CHECK_INT(batch.count, 0);
        CHECK_INT(take(a, 9), 0);
        CHECK_INT(batch.garbage, 1);
    }
    CHECK_INT(redis_command_int(&server, "HLEN mpq:{q}:failed"), 3);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(a, 9), 1);
}

static char *large_payload(size_t size)
{
    char *payload = malloc(size);
    for (size_t i = 0; payload && i < size; i++)
        payload[i] = (char)(i * 31 + i / 251);
    return payload;
}

TEST(large_binary_payloads_come_back_whole_and_few_at_a_time)
{
    enum { SIZE = 5 << 20, COUNT = 8 };
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    char *payload = large_payload(SIZE);
    for (uint32_t i = 1; i <= 300; i++)
        CHECK(push(p, i) == 0);
    for (uint32_t i = 301; i <= 300 + COUNT; i++)
        CHECK(push_bytes(p, i, envelope(i, mpq_slice_of(payload, SIZE)), i % 2) == 0);
    uint32_t seen = 0;
    while (seen < 300 + COUNT) {
        mpq_exchange exchange = {.want = 256, .want_bytes = 11 << 20};
        CHECK_INT(mpq_broker_exchange(a, &exchange, ANSWER_MS, &batch, &error), 0);
        CHECK(batch.count > 0);
        CHECK(batch.bytes.len <= (16u << 20) + 256 * 1024);
        seen += (uint32_t)batch.count;
        mpq_job job;
        CHECK(mpq_codec_decode(mpq_batch_envelope(&batch, batch.count - 1), &job, &error) == 0);
        CHECK(job.payload.len == 4 || (job.payload.len == SIZE && memcmp(job.payload.data, payload, SIZE) == 0));
    }
    free(payload);
}

TEST(a_busy_exchange_costs_a_handful_of_commands)
{
    NEED_SERVER(NULL);
    static mpq_settle settles[128];
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 512; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 128), 128);
    for (uint32_t i = 0; i < 128; i++)
        settles[i] = (mpq_settle){.kind = MPQ_SETTLE_DONE, .id = id_of(number_at(i))};
    freeReplyObject(redis_command(&server, "CONFIG RESETSTAT"));
    mpq_exchange exchange = {.settles = settles, .settle_count = 128, .want = 128};
    CHECK_INT(mpq_broker_exchange(a, &exchange, ANSWER_MS, &batch, &error), 0);
    CHECK_INT(batch.count, 128);
    CHECK_INT(batch.refused, 0);
    redisReply *reply = redis_command(&server, "INFO commandstats");
    long calls = 0;
    for (const char *at = reply->str; (at = strstr(at, ":calls=")); at++)
        calls += strtol(at + 7, NULL, 10);
    freeReplyObject(reply);
    CHECK(calls > 5 && calls <= 20);
    reply = redis_command(&server, "OBJECT ENCODING mpq:{q}:run:a:1");
    CHECK_STR(reply->str, "hashtable");
    freeReplyObject(reply);
}

TEST(records_of_failed_jobs_are_read_in_pages)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle();
    for (uint32_t i = 1; i <= 700; i++)
        freeReplyObject(redis_command(&server, "HSET mpq:{q}:failed %016u %0100d", i, 0));
    size_t seen = 0;
    CHECK(p->ops->failed(p, "q", count_record, &seen, &error) == 0);
    CHECK_INT(seen, 700);
}

/* -- refusals --------------------------------------------------------------------------------------------------- */

TEST(a_wrong_password_is_named_but_not_shown)
{
    NEED_SERVER("requirepass secret-word\n");
    mpq_broker *good = handle();
    CHECK(good->ops->ping(good, &error) == 0);
    free(config.password);
    config.password = strdup("other-word");
    mpq_broker *wrong = handle();
    CHECK(wrong->ops->ping(wrong, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(server.socket_path) && has_text(": authentication: WRONGPASS"));
    CHECK(!strstr(error.text, "other-word"));
    free(config.password);
    config.password = NULL;
    mpq_broker *none = handle();
    CHECK(push(none, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": authentication: NOAUTH"));
}

TEST(a_user_of_the_access_list_can_be_named)
{
    NEED_SERVER("user worker on >pass ~mpq:* &mpq:* +@all\n");
    config.user = strdup("worker");
    config.password = strdup("pass");
    mpq_broker *a = consumer("a:1", LEASE_MS), *p = handle();
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(a, 1), 1);
    free(config.prefix);
    config.prefix = strdup("other");
    mpq_broker *stranger = handle();
    CHECK(push(stranger, 2) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": push: "));
}

TEST(a_database_that_does_not_exist_is_named)
{
    NEED_SERVER(NULL);
    config.database = 3;
    mpq_broker *p = handle();
    CHECK(push(p, 1) == 0);
    freeReplyObject(redis_command(&server, "SELECT 3"));
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
    config.database = 4711;
    mpq_broker *wrong = handle();
    CHECK(wrong->ops->ping(wrong, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": database 4711: ERR DB index is out of range"));
}

TEST(a_server_that_is_not_there_is_named)
{
    mpq_broker_config_init(&config);
    config.driver = MPQ_DRIVER_REDIS;
    free(config.host);
    config.host = strdup("127.0.0.1");
    config.port = 1;
    atexit(clean_up);
    mpq_broker *tcp = handle();
    CHECK(push(tcp, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK_STR(error.text, "redis 127.0.0.1:1/0: can't connect: Connection refused");
    config.socket_path = strdup("/nonexistent/redis.sock");
    mpq_broker *local = handle();
    CHECK(push(local, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK_STR(error.text, "redis /nonexistent/redis.sock/0: can't connect: No such file or directory");
}

TEST(a_full_server_refuses_pushes_and_lets_consumers_make_room)
{
    NEED_SERVER("maxmemory-policy noeviction\n");
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    char *payload = large_payload(1 << 20);
    for (uint32_t i = 1; i <= 10; i++)
        CHECK(push_bytes(p, i, envelope(i, mpq_slice_of(payload, 1 << 20)), 0) == 0);
    CHECK_INT(take(b, 1), 1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 8mb"));
    CHECK(push_bytes(p, 11, envelope(11, mpq_slice_of(payload, 1 << 20)), 0) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": push: OOM command not allowed when used memory > 'maxmemory'"));
    CHECK(!strstr(error.text, "script"));
    CHECK(push_bytes(p, 11, envelope(11, mpq_slice_of(payload, 1 << 20)), 5000) == -1);
    CHECK_INT(take(a, 0), 0);
    CHECK_INT(take(a, 3), 3);
    for (uint32_t i = 2; i <= 4; i++)
        CHECK_INT(settle(a, i == 2 ? MPQ_SETTLE_RETURN : MPQ_SETTLE_DONE, i), 0);
    const char *owner = "a:1";
    CHECK_INT(a->ops->renew(a, &owner, 1, &error), 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 0);
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1mb"));
    mpq_settle back = {.kind = MPQ_SETTLE_RETURN, .id = id_of(1)};
    mpq_exchange for_dead = {.settles = &back, .settle_count = 1, .dead = "b:1"};
    CHECK_INT(mpq_broker_exchange(a, &for_dead, 2000, &batch, &error), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(take(a, 1), 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(take(a, 256), 7);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK_INT(collect(a, 100), 1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 100mb"));
    CHECK_INT(take(a, 0), 0);
    CHECK(push(p, 12) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK(a->ops->detach(a, &error) == 0);
    free(payload);
}

TEST(a_forked_child_forgets_without_disturbing_its_parent)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    CHECK(send_wanting(a, 1) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        mpq_broker_close(p);
        mpq_broker_close(a);
        opened_count = 0;
        mpq_broker *mine = handle();
        _exit(push(mine, 2) == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK(push(p, 3) == 0);
    CHECK_INT(take(a, 9), 2);
}

TEST(keys_of_another_kind_are_an_error_not_a_crash)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    freeReplyObject(redis_command(&server, "SET mpq:{q}:ready text"));
    CHECK(push(p, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text(": push: WRONGTYPE"));
    CHECK_INT(take(a, 1), -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    freeReplyObject(redis_command(&server, "DEL mpq:{q}:ready"));
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(a, 1), 1);
}
