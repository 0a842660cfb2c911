/* The Redis driver under faults of the server and of the connection. What every store has to do is in tests/contract.
 */
#include "broker.h"
#include "broker_redis.h"
#include "clock.h"
#include "codec.h"
#include "redis_server.h"
#include "test.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEASE_MS = 60000, ANSWER_MS = 10000 };

static redis_server server;
static mpq_broker_config config;
static mpq_batch batch;
static mpq_error error;
static mpq_buf envelope_bytes;

/* Starts the server or skips. */
#define NEED_SERVER(options)                                                                                           \
    do {                                                                                                               \
        if (!redis_server_available())                                                                                 \
            SKIP("no redis-server");                                                                                   \
        redis_server_start(&server, options);                                                                          \
        if (test_failed())                                                                                             \
            return;                                                                                                    \
        redis_server_config(&server, &config);                                                                         \
        mpq_batch_init(&batch);                                                                                        \
        atexit(clean_up);                                                                                              \
    } while (0)

static mpq_broker *opened[16];
static size_t opened_count;

static void clean_up(void)
{
    for (size_t i = 0; i < opened_count; i++)
        mpq_broker_close(opened[i]);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&envelope_bytes);
    mpq_broker_config_fini(&config);
    redis_server_kill(&server);
}

static mpq_broker *handle(void)
{
    mpq_broker *broker = NULL;
    if (mpq_broker_open(&config, &broker, &error) < 0) {
        printf("  open: %s\n", error.text);
        exit(1);
    }
    return opened[opened_count++] = broker;
}

static mpq_id id_of(uint32_t number)
{
    mpq_id id = {{0}};
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

static uint32_t number_at(size_t index)
{
    uint32_t number = 0;
    mpq_id id = mpq_codec_id(mpq_batch_envelope(&batch, index));
    memcpy(&number, id.bytes + 12, sizeof number);
    return number;
}

/* Valid until the next call. */
static mpq_slice envelope(uint32_t number, mpq_slice payload)
{
    mpq_job job = {.id = id_of(number), .payload = payload};
    mpq_buf_clear(&envelope_bytes);
    mpq_codec_encode(&job, &envelope_bytes);
    return mpq_buf_slice(&envelope_bytes);
}

static int push_bytes(mpq_broker *broker, uint64_t sequence, mpq_slice bytes, uint64_t delay_ms)
{
    mpq_push_item item = {bytes, delay_ms};
    mpq_push push = {.queue = "q", .producer = 7, .sequence = sequence, .items = &item, .count = 1};
    return broker->ops->push(broker, &push, &error);
}

/* The number is the sequence, too. */
static int push(mpq_broker *broker, uint32_t number)
{
    return push_bytes(broker, number, envelope(number, mpq_slice_of("work", 4)), 0);
}

static int attach(mpq_broker *broker, const char *owner, uint32_t lease_ms, enum mpq_attach how, size_t *held)
{
    mpq_buf ids = {0};
    int rc = broker->ops->attach(broker, "q", owner, lease_ms, how, &ids, &error);
    if (held)
        *held = ids.len / MPQ_ID_BYTES;
    mpq_buf_fini(&ids);
    return rc;
}

static mpq_broker *consumer(const char *owner, uint32_t lease_ms)
{
    mpq_broker *broker = handle();
    if (attach(broker, owner, lease_ms, MPQ_ATTACH_FRESH, NULL) != 0)
        test_fail(__FILE__, __LINE__, "attach: %s", error.text);
    return broker;
}

static int send_wanting(mpq_broker *broker, uint32_t want)
{
    mpq_exchange exchange = {.want = want};
    return broker->ops->send(broker, &exchange, &error);
}

/* The number of jobs, or -1. */
static int take(mpq_broker *broker, uint32_t want)
{
    mpq_exchange exchange = {.want = want};
    return mpq_broker_exchange(broker, &exchange, ANSWER_MS, &batch, &error) < 0 ? -1 : (int)batch.count;
}

static int settle(mpq_broker *broker, enum mpq_settle_kind kind, uint32_t number)
{
    mpq_settle one = {.kind = kind, .id = id_of(number)};
    mpq_exchange exchange = {.settles = &one, .settle_count = 1};
    return mpq_broker_exchange(broker, &exchange, ANSWER_MS, &batch, &error);
}

static int receive(mpq_broker *broker)
{
    for (int i = 0; i < 100; i++) {
        int rc = broker->ops->receive(broker, &batch, &error);
        if (rc != 1)
            return rc;
        struct pollfd entry = {.fd = broker->ops->fd(broker), .events = POLLIN};
        poll(&entry, 1, 100);
    }
    return 1;
}

static int collect(mpq_broker *broker, int timeout_ms)
{
    uint64_t end_ms = mpq_clock_monotonic_ms() + (uint64_t)timeout_ms;
    for (;;) {
        int fds[2];
        int count = broker->ops->wait_fds(broker, fds);
        struct pollfd entries[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
        uint64_t now = mpq_clock_monotonic_ms();
        if (now >= end_ms)
            return 1;
        if (poll(entries, (nfds_t)count, (int)(end_ms - now)) <= 0)
            return 1;
        int rc = broker->ops->wait_collect(broker, &batch, &error);
        if (rc != 1)
            return rc;
    }
}

static void wait_until(const char *key_command, long long value)
{
    for (int i = 0; i < 500 && redis_command_int(&server, key_command) != value; i++)
        usleep(10000);
}

static int has_text(const char *text)
{
    if (strstr(error.text, text))
        return 1;
    printf("  the error is \"%s\"\n", error.text);
    return 0;
}

/* -- lost answers ----------------------------------------------------------------------------------------------- */

TEST(a_push_whose_answer_was_lost_is_repeated_once)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 300;
    mpq_broker *p = handle();
    CHECK(push(p, 1) == 0);
    redis_server_freeze(&server, true);
    uint64_t start_ms = mpq_clock_monotonic_ms();
    CHECK(push(p, 2) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(has_text(": push: the server did not answer in time"));
    CHECK(mpq_clock_monotonic_ms() - start_ms < 1500);
    redis_server_freeze(&server, false);
    wait_until("LLEN mpq:{q}:ready", 2);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    CHECK(push(p, 2) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    CHECK_INT(redis_command_int(&server, "HGET mpq:{q}:stats pushed"), 2);
    CHECK(push(p, 3) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 3);
    long long ttl = redis_command_int(&server, "TTL mpq:{q}:seq:0000000000000007");
    CHECK(ttl > 3500 && ttl <= 3600);
}

TEST(a_server_that_accepts_but_never_speaks_is_given_up_in_time)
{
    NEED_SERVER(NULL);
    config.connect_timeout_ms = 300;
    redis_server_freeze(&server, true);
    uint64_t start_ms = mpq_clock_monotonic_ms();
    mpq_broker *p = handle();
    CHECK(p->ops->ping(p, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(mpq_clock_monotonic_ms() - start_ms < 1500);
    redis_server_freeze(&server, false);
    CHECK(p->ops->ping(p, &error) == 0);
}

TEST(nothing_acknowledged_is_lost_when_the_server_is_killed)
{
    NEED_SERVER("appendonly yes\nappendfsync always\n");
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 6; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 3), 3);
    redis_server_freeze(&server, true);
    mpq_settle done = {.kind = MPQ_SETTLE_DONE, .id = id_of(1)};
    mpq_exchange exchange = {.settles = &done, .settle_count = 1, .want = 1};
    CHECK(a->ops->send(a, &exchange, &error) == 0);
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    redis_server_kill(&server);
    CHECK_INT(receive(a), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(has_text(": exchange: connection lost"));
    CHECK(send_wanting(a, 1) == -1);
    CHECK(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(push(p, 7) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    redis_server_restart(&server);
    CHECK(push(p, 7) == 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 3);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(take(a, 9), 4);
    CHECK_INT(number_at(0), 4);
    CHECK_INT(number_at(3), 7);
}

TEST(a_killed_connection_is_resumed_with_what_was_reserved_unheard)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(push(p, i) == 0);
    CHECK(send_wanting(a, 2) == 0);
    wait_until("LLEN mpq:{q}:ready", 1);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    redis_command_int(&server, "CLIENT KILL TYPE pubsub");
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 2);
    CHECK_INT(settle(a, MPQ_SETTLE_RETURN, 2), 0);
    CHECK_INT(settle(a, MPQ_SETTLE_RETURN, 1), 0);
    CHECK_INT(take(a, 9), 3);
    CHECK_INT(number_at(0), 1);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    CHECK(send_wanting(a, 1) == -1 || receive(a) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(push(p, 4) == 0); /* a dead kept connection goes unnoticed */
}

TEST(a_waiting_connection_that_dies_is_reported)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS);
    CHECK_INT(take(a, 1), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    CHECK_INT(collect(a, 2000), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(handle(), 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
}

TEST(forgotten_scripts_are_loaded_again)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 5; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 1), 1);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    mpq_settle done = {.kind = MPQ_SETTLE_DONE, .id = id_of(1)};
    mpq_exchange first = {.settles = &done, .settle_count = 1, .want = 1};
    CHECK(a->ops->send(a, &first, &error) == 0);
    CHECK(send_wanting(a, 2) == 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(number_at(0), 2);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 2);
    CHECK_INT(number_at(0), 3);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK(push(p, 6) == 0);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    mpq_counts counts;
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.pushed, 6);
    CHECK_INT(counts.ready, 2);
    CHECK_INT(counts.running, 3);
    CHECK_INT(counts.done, 1);
}

/* The second of two was answered while the first has to be sent again: the order of answers stays. */
TEST(answers_keep_their_order_when_only_the_first_met_a_forgotten_script)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(push(p, i) == 0);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK(send_wanting(a, 1) == 0);
    usleep(50000);
    CHECK_INT(take(b, 1), 1); /* loads it */
    CHECK(send_wanting(a, 2) == 0);
    usleep(50000);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 2);
}

/* -- leases and stages ------------------------------------------------------------------------------------------ */

TEST(a_delivered_job_can_be_settled_by_the_next_exchange)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.running, 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.running, 0);
    CHECK_INT(counts.done, 1);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
}

TEST(a_delivered_job_is_held_at_once)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    wait_until("HLEN mpq:{q}:run:a:1", 2);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK(batch.lost);
}

TEST(many_jobs_may_be_delivered_without_an_exchange)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 20; i++) {
        CHECK(push(p, i) == 0);
        CHECK(a->ops->wait_arm(a, &error) == 0);
        if (i == 10)
            freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
        CHECK_INT(collect(a, 2000), 0);
        CHECK_INT(batch.count, 1);
        CHECK_INT(number_at(0), i);
    }
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    mpq_settle done[2] = {{.kind = MPQ_SETTLE_DONE, .id = id_of(1)}, {.kind = MPQ_SETTLE_DONE, .id = id_of(20)}};
    mpq_exchange exchange = {.settles = done, .settle_count = 2};
    CHECK(a->ops->send(a, &exchange, &error) == 0);
    CHECK(send_wanting(a, 1) == 0);
    CHECK(send_wanting(a, 1) == -1); /* two at most */
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 18);
}

TEST(a_job_delivered_while_exchanges_are_under_way_is_claimed)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(send_wanting(a, 0) == 0);
    CHECK(send_wanting(a, 0) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(receive(a), 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 0);
}

TEST(a_job_that_came_while_the_node_was_frozen_is_not_given_out)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 200), *b = consumer("b:1", LEASE_MS);
    CHECK_INT(take(a, 1), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    usleep(300000);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_STR(batch.from, "a:1");
    CHECK_INT(batch.count, 0);
    CHECK_INT(take(b, 9), 1);
    CHECK_INT(take(a, 9), 0);
    CHECK(batch.lost);
}

TEST(a_late_job_comes_back_when_nobody_took_the_lease)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 200);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK(push(p, 2) == 0);
    usleep(300000);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 0);
    CHECK_INT(take(a, 9), 2);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(number_at(1), 2);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
}

TEST(a_blocked_request_of_a_retired_owner_loses_no_job)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:stage:a:1:1"), 1);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.ready, 1);
    CHECK_INT(take(b, 9), 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(take(b, 9), 1);
    CHECK_INT(take(a, 1), 0);
    CHECK(batch.lost);
}

TEST(a_blocked_request_of_an_earlier_connection_loses_no_job)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *again = handle();
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK_INT(attach(again, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(again, 9), 0);
    CHECK_INT(again->ops->adopt(again, NULL, &batch, &error), 1);
    CHECK_INT(take(again, 9), 1);
}

TEST(stages_are_forgotten_an_hour_after_retirement)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->detach(a, &error) == 0);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 1);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 1);
    freeReplyObject(redis_command(&server, "ZINCRBY mpq:{q}:retired -3600001 a:1:1"));
    freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:stage:a:1:1 late"));
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
}

TEST(a_due_time_announced_during_an_exchange_wakes_who_arms_later)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(send_wanting(a, 1) == 0);
    CHECK(p->ops->ping(p, &error) == 0);
    usleep(50000); /* answered now, but not received */
    CHECK(push_bytes(p, 1, envelope(1, mpq_slice_of("x", 1)), 20000) == 0);
    usleep(50000);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.next_due_ms, -1);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(take(a, 1), 0);
    CHECK(batch.next_due_ms > 10000);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK_INT(collect(a, 150), 1);
}

TEST(a_wait_outlasts_the_blocking_time_of_one_request)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 300);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(collect(a, 150), 1);
        CHECK_INT(take(a, 0), 0);
    }
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
}

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

static int count_record(void *arg, mpq_slice record)
{
    ++*(size_t *)arg;
    return record.len != 100;
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
    CHECK_INT(a->ops->adopt(a, "b:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 1);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1mb"));
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

/* -- servers that are none -------------------------------------------------------------------------------------- */

typedef struct fake {
    const char *hello; /* NULL = as to everything else */
    const char *info;
    const char *answer;
} fake;

static bool contains(const char *bytes, ssize_t len, const char *word)
{
    return memmem(bytes, (size_t)len, word, strlen(word)) != NULL;
}

/* Answers one request at a time, as long as a request fits one read. */
static void answer_requests(int listener, const fake *what)
{
    for (;;) {
        struct pollfd fds[9] = {{.fd = listener, .events = POLLIN}};
        static int clients[8];
        static nfds_t count;
        for (nfds_t i = 0; i < count; i++)
            fds[i + 1] = (struct pollfd){.fd = clients[i], .events = POLLIN};
        nfds_t watched = count + 1;
        poll(fds, watched, -1);
        for (nfds_t i = 1; i < watched; i++) {
            char bytes[65536];
            ssize_t n = fds[i].revents ? recv(fds[i].fd, bytes, sizeof bytes, 0) : 0;
            const char *text = n > 0 && contains(bytes, n, "HELLO") && what->hello ? what->hello
                               : n > 0 && contains(bytes, n, "INFO") && what->info ? what->info
                                                                                   : what->answer;
            if (n > 0)
                send(fds[i].fd, text, strlen(text), MSG_NOSIGNAL);
        }
        if (fds[0].revents && count < 8)
            clients[count++] = accept(listener, NULL, NULL);
    }
}

static pid_t fake_pid;

static void end_fake(void)
{
    kill(fake_pid, SIGKILL);
    waitpid(fake_pid, NULL, 0);
}

static void start_fake(const fake *what)
{
    static unsigned number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/fake-%ld-%u", test_tmpdir(), (long)getpid(), number++);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0)
        exit(1);
    mpq_broker_config_fini(&config);
    mpq_broker_config_init(&config);
    config.driver = MPQ_DRIVER_REDIS;
    config.socket_path = strdup(address.sun_path);
    config.connect_timeout_ms = config.read_timeout_ms = 200;
    fake_pid = fork();
    if (fake_pid == 0) {
        alarm(60);
        answer_requests(listener, what);
    }
    close(listener);
}

#define HELLO_7 "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n"

static void check_every_operation_fails(const char *answer)
{
    mpq_counts counts;
    mpq_broker *p = handle();
    if (push(p, 1) == 0 && strcmp(answer, "+OK\r\n") != 0)
        test_fail(__FILE__, __LINE__, "push took %s", answer);
    if (p->ops->counts(p, "q", &counts, &error) == 0)
        test_fail(__FILE__, __LINE__, "counts took %s", answer);
    size_t seen = 0;
    if (p->ops->failed(p, "q", count_record, &seen, &error) == 0)
        test_fail(__FILE__, __LINE__, "failed took %s", answer);
    if (p->ops->ping(p, &error) == 0)
        test_fail(__FILE__, __LINE__, "ping took %s", answer);
    if (attach(p, "a:1", LEASE_MS, MPQ_ATTACH_FRESH, NULL) == 0)
        test_fail(__FILE__, __LINE__, "attach took %s", answer);
    if (p->ops->detach(p, &error) == 0 || take(p, 1) >= 0)
        test_fail(__FILE__, __LINE__, "not attached after %s", answer);
    mpq_broker_close(p);
    opened_count--;
}

TEST(answers_that_make_no_sense_are_errors)
{
    static const char *const answers[] = {
        "+OK\r\n",
        ":1\r\n",
        "$5\r\nhello\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n*0\r\n",
        "*2\r\n$1\r\n0\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nx\r\n",
        "*6\r\n$1\r\n1\r\n*0\r\n$-1\r\n:1\r\n:1\r\n:1\r\n",
        "*6\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:-1\r\n",
        "*3\r\n$0\r\n\r\n$1\r\nx\r\n:1\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$99999999999999999999\r\n",
        "*99999999999999999999\r\n",
        "-ERR no\r\n",
        "-\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "\r\n",
        "$10\r\nshort\r\n",
    };
    atexit(clean_up);
    for (size_t i = 0; i < sizeof answers / sizeof *answers && !test_failed(); i++) {
        fake what = {.hello = HELLO_7, .answer = answers[i]};
        start_fake(&what);
        check_every_operation_fails(answers[i]);
        end_fake();
        what.hello = NULL;
        start_fake(&what);
        check_every_operation_fails(answers[i]);
        end_fake();
    }
}

TEST(an_exchange_takes_no_answer_that_makes_no_sense)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {"+OK\r\n",
                                          "*0\r\n",
                                          "*5\r\n:0\r\n:0\r\n:0\r\n:0\r\n$1\r\nx\r\n",
                                          "*6\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
                                          "-ERR no\r\n",
                                          ":7\r\n"};
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_redis *redis = (mpq_redis *)a;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK(send_wanting(a, 1) == 0);
        /* In front of the true answer. */
        redisReaderFeed(redis->consumer.work.context->reader, answers[i], strlen(answers[i]));
        CHECK_INT(receive(a), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
        CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
        CHECK(a->ops->wait_arm(a, &error) == 0);
        redisReaderFeed(redis->consumer.wait.context->reader, answers[i], strlen(answers[i]));
        CHECK_INT(a->ops->wait_collect(a, &batch, &error), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
        CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    }
    CHECK(push(handle(), 1) == 0);
    CHECK_INT(take(a, 1), 1);
}

TEST(a_server_that_is_too_old_is_named_with_its_version)
{
    atexit(clean_up);
    fake five = {.hello = "-ERR unknown command `HELLO`, with args beginning with: `2`, \r\n",
                 .info = "$32\r\n# Server\r\nredis_version:5.0.14\r\n\r\n",
                 .answer = "+PONG\r\n"};
    start_fake(&five);
    mpq_broker *p = handle();
    CHECK(p->ops->ping(p, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text("Redis 6.2 or newer is needed, this is 5.0.14"));
    end_fake();
    fake six = {.hello = "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.0.9\r\n",
                .answer = "+PONG\r\n"};
    start_fake(&six);
    mpq_broker *q = handle();
    CHECK(q->ops->ping(q, &error) == -1);
    CHECK(has_text("Redis 6.2 or newer is needed, this is 6.0.9"));
    end_fake();
    six.hello = "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.11\r\n";
    start_fake(&six);
    mpq_broker *r = handle();
    CHECK(r->ops->ping(r, &error) == 0);
    end_fake();
}

TEST(a_server_that_is_loading_is_to_be_tried_again)
{
    atexit(clean_up);
    fake loading = {.hello = HELLO_7, .answer = "-LOADING Redis is loading the dataset in memory\r\n"};
    start_fake(&loading);
    mpq_broker *p = handle();
    CHECK(push(p, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(has_text(": push: LOADING Redis is loading"));
    end_fake();
}
