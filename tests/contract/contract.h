/*
 * What the contract's cases are written with. Each test_<driver>.c includes this, defines its fixture, then includes
 * cases.h, so that every driver runs the same cases.
 *
 * Jobs are numbered: job 7 is the envelope whose id ends with 7. Answers and counts are rendered as one line of text,
 * so that a case reads as a list of what was asked and what was answered.
 */
#ifndef MPQ_CONTRACT_H
#define MPQ_CONTRACT_H

#include "broker.h"
#include "clock.h"
#include "codec.h"
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Defined by each program: prepares an empty store and fills the (initialised) configuration. Called once in a test.
 * False when the store is not available here; the case is then skipped. */
#pragma GCC diagnostic ignored "-Wunused-function" /* not every program needs every helper */

static bool fixture_start(mpq_broker_config *config);

enum { LONG_LEASE_MS = 60000, ANSWER_MS = 10000, BROKERS_MAX = 64, TEXTS = 16, ENVELOPES = 1024 };

static mpq_broker_config store;
static bool store_started;
static mpq_broker *brokers[BROKERS_MAX];
static size_t broker_count;
static uint64_t last_sequence;
static mpq_buf envelopes[ENVELOPES]; /* used in turn */
static mpq_batch answer;             /* of the latest call that fills one */

static void release_all(void)
{
    for (size_t i = 0; i < broker_count; i++)
        mpq_broker_close(brokers[i]);
    for (size_t i = 0; i < ENVELOPES; i++)
        mpq_buf_fini(&envelopes[i]);
    mpq_batch_fini(&answer);
    mpq_broker_config_fini(&store);
}

static bool store_available(void)
{
    if (store_started)
        return true;
    mpq_broker_config_init(&store);
    mpq_batch_init(&answer);
    if (!fixture_start(&store))
        return false;
    atexit(release_all);
    return store_started = true;
}

/* Every case that can't be decided without a store begins with this. */
#define CASE(name)                                                                                                     \
    static void case_##name(void);                                                                                     \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        if (!store_available())                                                                                        \
            SKIP("the store is not available");                                                                        \
        case_##name();                                                                                                 \
    }                                                                                                                  \
    static void case_##name(void)

static void pause_ms(uint32_t ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        ;
}

/* A text that stays valid for the next few calls. */
static char *text_new(void)
{
    static char texts[TEXTS][8192];
    static size_t next;
    char *text = texts[next++ % TEXTS];
    text[0] = '\0';
    return text;
}

MPQ_PRINTF(2, 3) static void text_add(char *text, const char *fmt, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + len, 8192 - len, fmt, args);
    va_end(args);
}

static mpq_id id_of(uint64_t number)
{
    mpq_id id = {{0xfe, 0, 0xff}}; /* bytes that are no text, on purpose */
    for (int i = 0; i < 8; i++)
        id.bytes[15 - i] = (unsigned char)(number >> (8 * i));
    return id;
}

static uint64_t number_of(mpq_slice envelope)
{
    if (!mpq_codec_looks_like_envelope(envelope))
        return 0;
    mpq_id id = mpq_codec_id(envelope);
    uint64_t number = 0;
    for (int i = 8; i < 16; i++)
        number = number << 8 | id.bytes[i];
    return number;
}

/* Valid until ENVELOPES further envelopes were made. */
static mpq_slice envelope_with(uint64_t number, uint32_t failures, mpq_slice payload)
{
    static size_t next;
    mpq_buf *buf = &envelopes[next++ % ENVELOPES];
    mpq_job job = {.id = id_of(number), .failures = failures, .payload = payload, .created_at_ms = 1};
    mpq_buf_clear(buf);
    mpq_codec_encode(&job, buf);
    return mpq_buf_slice(buf);
}

static mpq_slice envelope_of(uint64_t number)
{
    return envelope_with(number, 0, mpq_slice_of("payload", 7));
}

static uint32_t failures_of(mpq_slice envelope)
{
    mpq_job job;
    return mpq_codec_decode(envelope, &job, NULL) < 0 ? UINT32_MAX : job.failures;
}

/* -- handles --------------------------------------------------------------------------------------------------- */

static mpq_broker *producer(void)
{
    mpq_error err = {0};
    mpq_broker *broker = NULL;
    if (mpq_broker_open(&store, &broker, &err) < 0) {
        test_fail(__FILE__, __LINE__, "open: %s", err.text);
        exit(1);
    }
    return brokers[broker_count++] = broker;
}

static int attach(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                  mpq_buf *held)
{
    mpq_error err = {0};
    mpq_buf ignored = {0};
    int rc = broker->ops->attach(broker, queue, owner, lease_ms, how, held ? held : &ignored, &err);
    mpq_buf_fini(&ignored);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "attach of \"%s\": %s", owner, err.text);
    return rc;
}

static mpq_broker *consumer(const char *queue, const char *owner, uint32_t lease_ms)
{
    mpq_broker *broker = producer();
    if (attach(broker, queue, owner, lease_ms, MPQ_ATTACH_FRESH, NULL) != 0)
        exit(1);
    return broker;
}

/* Takes up an owner's name; `held` (may be NULL) gets the numbers of the jobs it holds. NULL when it is retired. */
static mpq_broker *resumed(const char *queue, const char *owner, char *held)
{
    mpq_broker *broker = producer();
    mpq_buf ids = {0};
    int rc = attach(broker, queue, owner, LONG_LEASE_MS, MPQ_ATTACH_RESUME, &ids);
    for (size_t at = 0; held && at + MPQ_ID_BYTES <= ids.len; at += MPQ_ID_BYTES) {
        uint64_t number = 0;
        for (int i = 8; i < 16; i++)
            number = number << 8 | (unsigned char)ids.data[at + (size_t)i];
        text_add(held, "%s%llu", at ? " " : "", (unsigned long long)number);
    }
    mpq_buf_fini(&ids);
    return rc == 0 ? broker : NULL;
}

static int detach(mpq_broker *broker)
{
    mpq_error err = {0};
    int rc = broker->ops->detach(broker, &err);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "detach: %s", err.text);
    return rc;
}

/* -- pushing --------------------------------------------------------------------------------------------------- */

static int push_as(mpq_broker *broker, const char *queue, uint64_t sequence, const mpq_push_item *items, size_t count)
{
    mpq_error err = {0};
    mpq_push push = {
        .queue = queue, .producer = 0xfedcba9876543210u, .sequence = sequence, .items = items, .count = count};
    int rc = broker->ops->push(broker, &push, &err);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "push: %s", err.text);
    return rc;
}

static int push_bytes(mpq_broker *broker, const char *queue, mpq_slice bytes, uint64_t delay_ms)
{
    mpq_push_item item = {.envelope = bytes, .delay_ms = delay_ms};
    return push_as(broker, queue, ++last_sequence, &item, 1);
}

static int push_delayed(mpq_broker *broker, const char *queue, uint64_t number, uint64_t delay_ms)
{
    return push_bytes(broker, queue, envelope_of(number), delay_ms);
}

/* Jobs `first` to `last` in pushes of at most 1000. */
static int push_range(mpq_broker *broker, const char *queue, uint64_t first, uint64_t last)
{
    static mpq_push_item items[1000];
    while (first <= last) {
        size_t count = 0;
        for (; first <= last && count < 1000; first++)
            items[count++] = (mpq_push_item){.envelope = envelope_of(first)};
        if (push_as(broker, queue, ++last_sequence, items, count) < 0)
            return -1;
    }
    return 0;
}

/* -- exchanging ------------------------------------------------------------------------------------------------ */

static mpq_settle done(uint64_t number)
{
    return (mpq_settle){.kind = MPQ_SETTLE_DONE, .id = id_of(number)};
}

static mpq_settle retry(uint64_t number, uint32_t failures, uint64_t delay_ms)
{
    return (mpq_settle){.kind = MPQ_SETTLE_RETRY,
                        .id = id_of(number),
                        .delay_ms = delay_ms,
                        .envelope = envelope_with(number, failures, mpq_slice_of("retried", 7))};
}

static mpq_settle failed(uint64_t number)
{
    return (mpq_settle){
        .kind = MPQ_SETTLE_FAILED, .id = id_of(number), .envelope = envelope_with(number, 9, mpq_slice_of("why", 3))};
}

static mpq_settle give_back(uint64_t number)
{
    return (mpq_settle){.kind = MPQ_SETTLE_RETURN, .id = id_of(number)};
}

/* "1 2 3", followed by what else is worth mentioning: "lost", "refused 1", "garbage 1". */
static const char *render(const mpq_batch *batch)
{
    char *text = text_new();
    for (size_t i = 0; i < batch->count; i++)
        text_add(text, "%s%llu", *text ? " " : "", (unsigned long long)number_of(mpq_batch_envelope(batch, i)));
    if (batch->lost)
        text_add(text, "%slost", *text ? ", " : "");
    if (batch->refused)
        text_add(text, "%srefused %zu", *text ? ", " : "", batch->refused);
    if (batch->garbage)
        text_add(text, "%sgarbage %zu", *text ? ", " : "", batch->garbage);
    return text;
}

static const char *error_text(const mpq_error *err)
{
    char *text = text_new();
    text_add(text, "error: %s", err->text);
    return text;
}

static const char *ask(mpq_broker *broker, const mpq_exchange *exchange)
{
    mpq_error err = {0};
    if (mpq_broker_exchange(broker, exchange, ANSWER_MS, &answer, &err) != 0)
        return error_text(&err);
    return render(&answer);
}

static const char *exchange_all(mpq_broker *broker, const mpq_settle *settles, size_t count, uint32_t want)
{
    mpq_exchange exchange = {.settles = settles, .settle_count = count, .want = want};
    return ask(broker, &exchange);
}

static const char *take(mpq_broker *broker, uint32_t want)
{
    return exchange_all(broker, NULL, 0, want);
}

static const char *settle(mpq_broker *broker, mpq_settle one)
{
    return exchange_all(broker, &one, 1, 0);
}

/* Settles what a dead owner held. */
static const char *settle_all_of(mpq_broker *broker, const char *dead, const mpq_settle *settles, size_t count)
{
    mpq_exchange exchange = {.settles = settles, .settle_count = count, .dead = dead};
    return ask(broker, &exchange);
}

static const char *settle_of(mpq_broker *broker, const char *dead, mpq_settle one)
{
    return settle_all_of(broker, dead, &one, 1);
}

/* The same as a settle of the jobs of the latest answer, all DONE; the number of settles that were refused or -1.
 * `dead` NULL: they are our own. */
static long finish_answer_of(mpq_broker *broker, const char *dead)
{
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    size_t count = answer.count;
    for (size_t i = 0; i < count; i++)
        settles[i] = done(number_of(mpq_batch_envelope(&answer, i)));
    const char *text = settle_all_of(broker, dead, settles, count);
    return *text == 'e' || answer.lost ? -1 : (long)answer.refused;
}

static long finish_answer(mpq_broker *broker)
{
    return finish_answer_of(broker, NULL);
}

/* "lost" for a request that was refused because the owner no longer is: by the flag, or by an error. */
static const char *refused_as_lost(const char *text)
{
    return strncmp(text, "error: ", 7) == 0 ? "lost" : text;
}

static const char *adopt(mpq_broker *broker, const char *dead)
{
    mpq_error err = {0};
    int rc = broker->ops->adopt(broker, dead, &answer, &err);
    if (rc < 0)
        return error_text(&err);
    if (rc > 0)
        return "nobody";
    char *text = text_new();
    text_add(text, "%s: %s", answer.from, render(&answer));
    return text;
}

static int renew(mpq_broker *broker, const char *owner)
{
    mpq_error err = {0};
    int rc = broker->ops->renew(broker, &owner, 1, &err);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "renew: %s", err.text);
    return rc;
}

/* -- looking --------------------------------------------------------------------------------------------------- */

static mpq_counts counts_of(const char *queue)
{
    mpq_error err = {0};
    mpq_counts counts = {0};
    mpq_broker *broker = producer();
    if (broker->ops->counts(broker, queue, &counts, &err) < 0)
        test_fail(__FILE__, __LINE__, "counts: %s", err.text);
    mpq_broker_close(broker);
    broker_count--;
    return counts;
}

/* "pushed 5, ready 1, delayed 1, running 1, failed 1, done 1" */
static const char *counts(const char *queue)
{
    mpq_counts c = counts_of(queue);
    char *text = text_new();
    text_add(text, "pushed %llu, ready %llu, delayed %llu, running %llu, failed %llu, done %llu",
             (unsigned long long)c.pushed, (unsigned long long)c.ready, (unsigned long long)c.delayed,
             (unsigned long long)c.running, (unsigned long long)c.failed, (unsigned long long)c.done);
    return text;
}

static int clear_queue(mpq_broker *broker, const char *queue)
{
    mpq_error err = {0};
    int rc = broker->ops->clear(broker, queue, &err);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "clear: %s", err.text);
    return rc;
}

struct failed_walk {
    char *text;
    int seen, stop_after;
};

static int see_failed(void *arg, mpq_slice envelope)
{
    struct failed_walk *walk = arg;
    bool garbage = !mpq_codec_looks_like_envelope(envelope);
    if (garbage)
        text_add(walk->text, "%s[%.*s]", *walk->text ? " " : "", (int)envelope.len, envelope.data);
    else
        text_add(walk->text, "%s%llu/%u", *walk->text ? " " : "", (unsigned long long)number_of(envelope),
                 failures_of(envelope));
    return ++walk->seen == walk->stop_after;
}

/* "4/9 5/9 [garbage]": number and failures of up to `stop_after` (0 = all) failed records, in the driver's order. */
static const char *failed_records(mpq_broker *broker, const char *queue, int stop_after)
{
    mpq_error err = {0};
    struct failed_walk walk = {.text = text_new(), .stop_after = stop_after};
    if (broker->ops->failed(broker, queue, see_failed, &walk, &err) < 0)
        return error_text(&err);
    return walk.text;
}

/* -- waiting --------------------------------------------------------------------------------------------------- */

static int arm(mpq_broker *broker)
{
    mpq_error err = {0};
    int rc = broker->ops->wait_arm(broker, &err);
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "wait_arm: %s", err.text);
    return rc;
}

/* "not woken", or "woken" and the jobs that came with it. Fails if there is nothing to watch: every store that the
 * contract covers can wake up on this system. */
static const char *wait_for(mpq_broker *broker, uint32_t timeout_ms)
{
    mpq_error err = {0};
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + timeout_ms;
    for (uint64_t now = deadline_ms - timeout_ms; now < deadline_ms; now = mpq_clock_monotonic_ms()) {
        int fds[2];
        int count = broker->ops->wait_fds(broker, fds);
        if (count < 1)
            return "nothing to watch";
        struct pollfd entries[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
        if (poll(entries, (nfds_t)count, (int)(deadline_ms - now)) <= 0)
            continue;
        int rc = broker->ops->wait_collect(broker, &answer, &err);
        if (rc < 0)
            return error_text(&err);
        if (rc > 0)
            continue;
        char *text = text_new();
        text_add(text, "woken%s%s", answer.count ? " " : "", render(&answer));
        return text;
    }
    return "not woken";
}

/* Waits, then takes: the jobs that came with the wake-up followed by those reserved after it. */
static const char *wait_and_take(mpq_broker *broker, uint32_t timeout_ms, uint32_t want)
{
    const char *woken = wait_for(broker, timeout_ms);
    if (strncmp(woken, "woken", 5) != 0)
        return woken;
    char *text = text_new();
    text_add(text, "%s", *(woken + 5) ? woken + 6 : "");
    const char *more = take(broker, want);
    text_add(text, "%s%s", *text && *more ? " " : "", more);
    return text;
}

#endif
