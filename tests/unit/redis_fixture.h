/* What the tests of the Redis driver share: a private server, handles on it, numbered jobs. */
#ifndef MPQ_REDIS_FIXTURE_H
#define MPQ_REDIS_FIXTURE_H

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

static inline void clean_up(void)
{
    for (size_t i = 0; i < opened_count; i++)
        mpq_broker_close(opened[i]);
    mpq_batch_fini(&batch);
    mpq_buf_fini(&envelope_bytes);
    mpq_broker_config_fini(&config);
    redis_server_kill(&server);
}

static inline mpq_broker *handle(void)
{
    mpq_broker *broker = NULL;
    if (mpq_broker_open(&config, &broker, &error) < 0) {
        printf("  open: %s\n", error.text);
        exit(1);
    }
    return opened[opened_count++] = broker;
}

static inline mpq_id id_of(uint32_t number)
{
    mpq_id id = {{0}};
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

static inline uint32_t number_at(size_t index)
{
    uint32_t number = 0;
    mpq_id id = mpq_codec_id(mpq_batch_envelope(&batch, index));
    memcpy(&number, id.bytes + 12, sizeof number);
    return number;
}

/* Valid until the next call. */
static inline mpq_slice envelope(uint32_t number, mpq_slice payload)
{
    mpq_job job = {.id = id_of(number), .payload = payload};
    mpq_buf_clear(&envelope_bytes);
    mpq_codec_encode(&job, &envelope_bytes);
    return mpq_buf_slice(&envelope_bytes);
}

static inline int push_bytes(mpq_broker *broker, uint64_t sequence, mpq_slice bytes, uint64_t delay_ms)
{
    mpq_push_item item = {bytes, delay_ms};
    mpq_push push = {.queue = "q", .producer = 7, .sequence = sequence, .items = &item, .count = 1};
    return broker->ops->push(broker, &push, &error);
}

/* The number is the sequence, too. */
static inline int push(mpq_broker *broker, uint32_t number)
{
    return push_bytes(broker, number, envelope(number, mpq_slice_of("work", 4)), 0);
}

static inline int attach(mpq_broker *broker, const char *owner, uint32_t lease_ms, enum mpq_attach how, size_t *held)
{
    mpq_buf ids = {0};
    int rc = broker->ops->attach(broker, "q", owner, lease_ms, how, &ids, &error);
    if (held)
        *held = ids.len / MPQ_ID_BYTES;
    mpq_buf_fini(&ids);
    return rc;
}

static inline mpq_broker *consumer(const char *owner, uint32_t lease_ms)
{
    mpq_broker *broker = handle();
    if (attach(broker, owner, lease_ms, MPQ_ATTACH_FRESH, NULL) != 0)
        test_fail(__FILE__, __LINE__, "attach: %s", error.text);
    return broker;
}

static inline int send_wanting(mpq_broker *broker, uint32_t want)
{
    mpq_exchange exchange = {.want = want};
    return broker->ops->send(broker, &exchange, &error);
}

/* The number of jobs, or -1. */
static inline int take(mpq_broker *broker, uint32_t want)
{
    mpq_exchange exchange = {.want = want};
    return mpq_broker_exchange(broker, &exchange, ANSWER_MS, &batch, &error) < 0 ? -1 : (int)batch.count;
}

static inline int settle(mpq_broker *broker, enum mpq_settle_kind kind, uint32_t number)
{
    mpq_settle one = {.kind = kind, .id = id_of(number)};
    mpq_exchange exchange = {.settles = &one, .settle_count = 1};
    return mpq_broker_exchange(broker, &exchange, ANSWER_MS, &batch, &error);
}

static inline int receive(mpq_broker *broker)
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

static inline int collect(mpq_broker *broker, int timeout_ms)
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

static inline void wait_until(const char *key_command, long long value)
{
    for (int i = 0; i < 500 && redis_command_int(&server, key_command) != value; i++)
        usleep(10000);
}

static inline int has_text(const char *text)
{
    if (strstr(error.text, text))
        return 1;
    printf("  the error is \"%s\"\n", error.text);
    return 0;
}

/* Counts into a size_t; stops at one that has not 100 bytes. */
static inline int count_record(void *arg, mpq_slice record)
{
    ++*(size_t *)arg;
    return record.len != 100;
}

#endif
