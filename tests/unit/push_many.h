/* What the tests of pushing many jobs at once share: numbered jobs, and what is done at certain moments of a push. */
#ifndef MPQ_PUSH_MANY_H
#define MPQ_PUSH_MANY_H

#include "crashpoint.h"
#include "push_fixture.h"

enum { MANY = 200 }; /* jobs of a push, at most */

static uint32_t last; /* number of the last job, which is the sequence of its push, too */

/* The jobs after `before`. */
static inline int push_after(mpq_broker *broker, uint32_t before, uint32_t count, mpq_slice payload,
                             uint64_t last_delay_ms)
{
    mpq_push_item items[MANY];
    mpq_buf bytes = {0};
    mpq_buf_reserve(&bytes, count * (MPQ_ENVELOPE_HEADER_BYTES + payload.len));
    for (uint32_t i = 0; i < count; i++) {
        mpq_job job = {.id = id_of(before + i + 1), .payload = payload};
        size_t start = bytes.len;
        mpq_codec_encode(&job, &bytes);
        items[i] = (mpq_push_item){mpq_slice_of(bytes.data + start, bytes.len - start), 0};
    }
    items[count - 1].delay_ms = last_delay_ms;
    mpq_push all = {.queue = "q", .producer = 7, .sequence = before + count, .items = items, .count = count};
    int rc = broker->ops->push(broker, &all, &error);
    mpq_buf_fini(&bytes);
    return rc;
}

static inline int push_many(mpq_broker *broker, uint32_t before, uint32_t count)
{
    return push_after(broker, before, count, mpq_slice_of("work", 4), 0);
}

static inline void push_next(mpq_broker *broker, uint32_t count)
{
    if (push_many(broker, last, count) != 0)
        test_fail(__FILE__, __LINE__, "push after %u: %s", last, error.text);
    last += count;
}

/* Enough that a gate is open, and used. */
static inline void push_some(mpq_broker *broker)
{
    for (int i = 0; i < 5; i++)
        push_next(broker, MANY);
}

/* All of 1 to `last`, once, in this order. */
static inline void check_jobs(void)
{
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_counts counts;
    uint32_t next = 1;
    CHECK_INT(a->ops->counts(a, "q", &counts, &error), 0);
    CHECK_INT(counts.pushed, last);
    CHECK_INT(counts.ready, last);
    while (take(a, MPQ_EXCHANGE_MAX) > 0)
        for (size_t i = 0; i < batch.count; i++)
            CHECK_INT(number_at(i), next++);
    CHECK_INT(next - 1, last);
}

/* -- at certain moments ---------------------------------------------------------------------------------------- */

static mpq_crash_plan plan;
static mpq_broker *direct;

static inline size_t site_of(const char *name)
{
    size_t site = 0;
    while (site < mpq_crash_point_count() && strcmp(mpq_crash_point_name(site), name) != 0)
        site++;
    if (site == mpq_crash_point_count())
        test_fail(__FILE__, __LINE__, "no point is called %s", name);
    return site;
}

/* `call` runs once, when the point is passed next. */
static inline void at(const char *name, mpq_crash_fn call)
{
    memset(&plan, 0, sizeof plan);
    mpq_crash_use(&plan, call, NULL);
    mpq_crash_be(1);
    mpq_crash_arm(&plan, (uint32_t)site_of(name), 1, MPQ_CRASH_CALL, 1);
}

static inline void hold_everything(void *arg)
{
    (void)arg;
    proxy_be_silent(&between, true);
}

static inline void repeat_elsewhere(void *arg)
{
    (void)arg;
    if (push_many(direct, last, MANY) != 0)
        test_fail(__FILE__, __LINE__, "push: %s", error.text);
}

/* What has passed it stays counted. */
static inline void remove_gate(void *arg)
{
    (void)arg;
    redisReply *keys = redis_command(&server, "KEYS mpq:{q}:seq:*:*");
    CHECK_INT(keys->elements, 1);
    long long passed = redis_command_int(&server, "LLEN %s", keys->element[0]->str) - 1;
    CHECK_INT(redis_command_int(&server, "DEL %s", keys->element[0]->str), 1);
    redis_command_int(&server, "HINCRBY mpq:{q}:stats pushed %lld", passed);
    freeReplyObject(keys);
}

static inline void forget_all(void *arg)
{
    (void)arg;
    freeReplyObject(redis_command(&server, "FLUSHALL"));
}

static inline void freeze_server(void *arg)
{
    (void)arg;
    redis_server_freeze(&server, true);
}

#endif
