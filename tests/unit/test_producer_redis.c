/* A producer whose Redis restarts, is not there, or answers too late. */
#include "clock.h"
#include "producer_fixture.h"
#include "redis_server.h"
#include "test.h"

static mpq_producer *open_redis_producer(const redis_server *server, uint32_t timeout_ms)
{
    mpq_broker_config config;
    mpq_producer *producer = NULL;
    redis_server_config(server, &config);
    config.connect_timeout_ms = config.read_timeout_ms = timeout_ms;
    mpq_producer_open(&config, 0, &producer, NULL);
    mpq_broker_config_fini(&config);
    return producer;
}

TEST(producer_survives_a_restart_of_redis)
{
    redis_server server;
    mpq_error err = {0};
    mpq_id id;
    if (!redis_server_available())
        SKIP("no redis-server");
    redis_server_start(&server, "appendonly yes\nappendfsync always\n");
    if (test_failed())
        return;
    mpq_producer *producer = open_redis_producer(&server, 2000);
    CHECK_INT(push_text(producer, "q", "before", &id, &err), 0);
    redis_server_kill(&server);
    redis_server_restart(&server);
    CHECK(!test_failed());
    CHECK_INT(push_text(producer, "q", "after", &id, &err), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    mpq_producer_close(producer);
    redis_server_stop(&server);
}

TEST(producer_names_the_redis_that_is_not_there)
{
    redis_server server;
    mpq_error err = {0};
    mpq_id id;
    if (!redis_server_available())
        SKIP("no redis-server");
    redis_server_start(&server, NULL);
    if (test_failed())
        return;
    mpq_producer *producer = open_redis_producer(&server, 2000);
    redis_server_stop(&server);
    for (int i = 0; i < 2; i++) {
        uint64_t start_ms = mpq_clock_monotonic_ms();
        CHECK_INT(push_text(producer, "q", "a", &id, &err), -1);
        CHECK_INT(err.kind, MPQ_ERROR_CONNECT);
        CHECK(strstr(err.text, server.socket_path));
        CHECK(mpq_clock_monotonic_ms() - start_ms < 1000);
    }
    mpq_producer_close(producer);
}

/* The server takes everything in while it is frozen and works it off afterwards: each attempt of both calls. */
TEST(producer_enqueues_once_on_a_redis_that_answered_too_late)
{
    enum { TIMEOUT_MS = 250 };
    redis_server server;
    mpq_error err = {0};
    mpq_id first, second;
    if (!redis_server_available())
        SKIP("no redis-server");
    redis_server_start(&server, NULL);
    if (test_failed())
        return;
    mpq_producer *producer = open_redis_producer(&server, TIMEOUT_MS);
    CHECK_INT(push_text(producer, "q", "warm up", &first, &err), 0);
    redis_server_freeze(&server, true);
    uint64_t start_ms = mpq_clock_monotonic_ms();
    int rc = push_text(producer, "q", "a", &first, &err);
    uint64_t took_ms = mpq_clock_monotonic_ms() - start_ms;
    redis_server_freeze(&server, false);
    CHECK_INT(rc, -1);
    CHECK_INT(err.kind, MPQ_ERROR_TIMEOUT);
    CHECK(took_ms >= TIMEOUT_MS && took_ms < 2 * TIMEOUT_MS + 1000);
    CHECK_INT(push_text(producer, "q", "a", &second, &err), 0);
    CHECK(mpq_id_equal(&first, &second));
    CHECK_INT(push_text(producer, "q", "b", &second, &err), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 3);
    mpq_producer_close(producer);
    redis_server_stop(&server);
}
