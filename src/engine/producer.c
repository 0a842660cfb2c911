#include "producer.h"

#include "clock.h"
#include "codec.h"
#include "crashpoint.h"
#include "fork_mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    CHUNK_JOBS = 1000,
    CHUNK_BYTES = 8 << 20,
    KEPT_BUFFER_BYTES = 1 << 20, /* memory that is kept between pushes */
    REPEAT_MIN_MS = 20,          /* less time than this isn't worth another attempt */
    /* Brokers remember a producer for an hour; past half of that a repetition is a new push. */
    PENDING_MAX_MS = 30 * 60 * 1000
};

/* A push whose result is not known, or that stopped half way: repeating it has to use the same numbers. */
typedef struct pending_push {
    bool set;
    uint64_t fingerprint[2];
    uint64_t first_sequence;
    size_t accepted; /* of its first jobs; always whole chunks */
    uint64_t since_ms;
} pending_push;

struct mpq_producer {
    mpq_broker_config config;
    uint64_t payload_max_bytes;
    mpq_broker *broker; /* NULL only after a failed allocation */
    bool in_use;        /* the broker's connection has served a push */
    bool hurried;       /* the broker was opened with what was left of the time */
    mpq_fork_mark mark;
    uint64_t id;
    uint64_t next_sequence;
    pending_push pending;
    mpq_buf bytes;
    mpq_push_item items[CHUNK_JOBS];
};

/* One call of mpq_producer_push. */
typedef struct push_call {
    const char *queue;
    const mpq_new_job *jobs;
    size_t count;
    uint64_t first_sequence;
} push_call;

/* A new identity: nobody else has numbers that could be confused with its own. */
static int begin_identity(mpq_producer *producer, mpq_error *err)
{
    uint64_t id;
    ssize_t got;
    do
        got = getrandom(&id, sizeof id, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof id)
        return mpq_error_set_errno(err, got < 0 ? errno : EIO, "no random numbers from the system");
    producer->id = id;
    producer->next_sequence = 1;
    producer->pending.set = false;
    mpq_fork_mark_set(&producer->mark);
    return 0;
}

static int open_broker(mpq_producer *producer, const mpq_broker_config *config, mpq_error *err)
{
    mpq_broker_close(producer->broker);
    producer->broker = NULL;
    producer->in_use = false;
    producer->hurried = config != &producer->config;
    return mpq_broker_open(config, &producer->broker, err);
}

/* Makes sure that identity and connection are this process's own and that the whole time is allowed. */
static int make_ready(mpq_producer *producer, mpq_error *err)
{
    bool forked = mpq_fork_mark_is_copy(&producer->mark);
    if (forked && begin_identity(producer, err) < 0)
        return -1;
    if (forked || producer->hurried || !producer->broker)
        return open_broker(producer, &producer->config, err);
    return 0;
}

int mpq_producer_open(const mpq_broker_config *config, uint64_t payload_max_bytes, mpq_producer **out, mpq_error *err)
{
    mpq_producer *producer = calloc(1, sizeof *producer);
    if (!producer)
        return mpq_error_set_memory(err);
    producer->payload_max_bytes = payload_max_bytes;
    if (mpq_broker_config_copy(&producer->config, config, err) < 0 || begin_identity(producer, err) < 0 ||
        open_broker(producer, &producer->config, err) < 0) {
        mpq_producer_close(producer);
        return -1;
    }
    *out = producer;
    return 0;
}

void mpq_producer_close(mpq_producer *producer)
{
    if (!producer)
        return;
    mpq_broker_close(producer->broker);
    mpq_broker_config_fini(&producer->config);
    mpq_buf_fini(&producer->bytes);
    mpq_fork_mark_clear(&producer->mark);
    free(producer);
}

mpq_broker *mpq_producer_broker(mpq_producer *producer)
{
    if (make_ready(producer, NULL) < 0)
        return NULL;
    producer->in_use = true; /* by the caller, as far as we can know */
    return producer->broker;
}

static void put_big_endian(uint64_t value, unsigned char *out)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (unsigned char)(value >> (8 * (7 - i)));
}

static mpq_id make_id(const mpq_producer *producer, uint64_t sequence)
{
    mpq_id id;
    put_big_endian(producer->id, id.bytes);
    put_big_endian(sequence, id.bytes + 8);
    return id;
}

/* Two different 64-bit hashes of the same bytes. */
static void mix(uint64_t hash[2], const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t a = hash[0], b = hash[1];
    for (size_t i = 0; i < len; i++) {
        a = (a ^ bytes[i]) * 0x100000001b3u;
        b = ((b << 5 | b >> 59) ^ bytes[i]) * 0x9e3779b97f4a7c15u;
    }
    hash[0] = a;
    hash[1] = b;
}

static void fingerprint(const push_call *call, uint64_t out[2])
{
    out[0] = 0xcbf29ce484222325u;
    out[1] = 0x2545f4914f6cdd1du;
    mix(out, call->queue, strlen(call->queue) + 1);
    for (size_t i = 0; i < call->count; i++) {
        const mpq_new_job *job = &call->jobs[i];
        uint64_t fields[] = {job->delay_ms,    job->flags,          job->timeout_ms,
                             job->fail_number, job->fail_expire_ms, job->payload.len};
        mix(out, fields, sizeof fields);
        mix(out, job->payload.data, job->payload.len);
    }
}

static int check_jobs(const mpq_producer *producer, const push_call *call, mpq_error *err)
{
    const char *problem = mpq_config_queue_name_problem(call->queue, strlen(call->queue));
    if (problem)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the name of a queue %s", problem);
    uint64_t max = producer->payload_max_bytes;
    if (max == 0 || max > UINT32_MAX - MPQ_ENVELOPE_HEADER_BYTES)
        max = UINT32_MAX - MPQ_ENVELOPE_HEADER_BYTES;
    for (size_t i = 0; i < call->count; i++)
        if (call->jobs[i].payload.len > max)
            return mpq_error_set(err, MPQ_ERROR_PAYLOAD,
                                 "job %zu is %zu bytes, the limit is %llu (max_payload): store large data elsewhere "
                                 "and push a reference",
                                 i + 1, call->jobs[i].payload.len, (unsigned long long)max);
    return 0;
}

/* The end of the chunk that begins at `start`. It only depends on the jobs: a repetition has the same chunks. */
static size_t chunk_end(const push_call *call, size_t start, size_t *bytes)
{
    size_t end = start;
    *bytes = 0;
    while (end < call->count && end - start < CHUNK_JOBS) {
        size_t len = MPQ_ENVELOPE_HEADER_BYTES + call->jobs[end].payload.len;
        if (end > start && *bytes + len > CHUNK_BYTES)
            break;
        *bytes += len;
        end++;
    }
    return end;
}

/* Encodes the jobs from `start` to `end` into producer->items. */
static int encode_chunk(mpq_producer *producer, const push_call *call, size_t start, size_t end, size_t bytes,
                        mpq_error *err)
{
    mpq_buf *out = &producer->bytes;
    uint64_t now_ms = mpq_clock_wall_ms();
    mpq_buf_clear(out);
    if (!mpq_buf_reserve(out, bytes))
        return mpq_error_set_memory(err);
    for (size_t i = start; i < end; i++) {
        const mpq_new_job *job = &call->jobs[i];
        mpq_job stored = {.id = make_id(producer, call->first_sequence + i),
                          .flags = job->flags,
                          .timeout_ms = job->timeout_ms,
                          .fail_number = job->fail_number,
                          .fail_expire_ms = job->fail_expire_ms,
                          .created_at_ms = now_ms,
                          .payload = job->payload};
        size_t offset = out->len;
        mpq_codec_encode(&stored, out);
        if (out->failed)
            return mpq_error_set_memory(err);
        producer->items[i - start].envelope = mpq_slice_of(out->data + offset, out->len - offset);
        producer->items[i - start].delay_ms = job->delay_ms;
    }
    return 0;
}

/* A repetition gets what is left of the time, split as the whole was. */
static int reopen_for(mpq_producer *producer, uint64_t left_ms, uint64_t budget_ms, mpq_error *err)
{
    mpq_broker_config hurried = producer->config; /* borrows its strings */
    hurried.connect_timeout_ms = (uint32_t)(hurried.connect_timeout_ms * left_ms / budget_ms);
    hurried.read_timeout_ms = (uint32_t)(hurried.read_timeout_ms * left_ms / budget_ms);
    hurried.connect_timeout_ms += hurried.connect_timeout_ms == 0;
    hurried.read_timeout_ms += hurried.read_timeout_ms == 0;
    return open_broker(producer, &hurried, err);
}

/* Nobody is there: a new connection could not be made or broke at once. Only a connection that had served before may
 * have been the only thing that was dead. A missing answer tells nothing about the next connection. */
static bool worth_repeating(const mpq_error *err, bool was_in_use)
{
    return err->kind == MPQ_ERROR_TIMEOUT || (err->kind == MPQ_ERROR_CONNECT && was_in_use);
}

/* Pushes one chunk, again after a lost connection as long as there is time: the broker drops repetitions. */
static int push_chunk(mpq_producer *producer, const mpq_push *push, mpq_error *err)
{
    uint64_t budget_ms = (uint64_t)producer->config.connect_timeout_ms + producer->config.read_timeout_ms;
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + budget_ms;
    for (;;) {
        MPQ_CRASH_POINT("producer.push.before");
        if (producer->broker->ops->push(producer->broker, push, err) == 0) {
            MPQ_CRASH_POINT("producer.push.answered");
            producer->in_use = true;
            return 0;
        }
        bool was_in_use = producer->in_use;
        uint64_t now_ms = mpq_clock_monotonic_ms();
        producer->in_use = false;
        if (!worth_repeating(err, was_in_use) || now_ms + REPEAT_MIN_MS > deadline_ms)
            return -1;
        if (reopen_for(producer, deadline_ms - now_ms, budget_ms, err) < 0)
            return -1;
    }
}

/* Takes up a pending push if this is the same, else begins a new one. Returns how many jobs are stored already. */
static size_t begin_push(mpq_producer *producer, push_call *call)
{
    pending_push *pending = &producer->pending;
    if (pending->set && mpq_clock_monotonic_ms() - pending->since_ms < PENDING_MAX_MS) {
        uint64_t print[2];
        fingerprint(call, print);
        if (memcmp(print, pending->fingerprint, sizeof print) == 0) {
            call->first_sequence = pending->first_sequence;
            return pending->accepted;
        }
    }
    pending->set = false;
    call->first_sequence = producer->next_sequence;
    producer->next_sequence += call->count;
    return 0;
}

static void remember(mpq_producer *producer, const push_call *call, size_t accepted)
{
    pending_push *pending = &producer->pending;
    pending->accepted = accepted;
    if (pending->set) /* it was this one already, and its age counts from the first attempt */
        return;
    pending->set = true;
    pending->first_sequence = call->first_sequence;
    pending->since_ms = mpq_clock_monotonic_ms();
    fingerprint(call, pending->fingerprint);
}

static int push_from(mpq_producer *producer, const push_call *call, size_t *accepted, mpq_error *err)
{
    while (*accepted < call->count) {
        size_t bytes, end = chunk_end(call, *accepted, &bytes);
        if (make_ready(producer, err) < 0 || encode_chunk(producer, call, *accepted, end, bytes, err) < 0)
            return -1;
        mpq_push push = {.queue = call->queue,
                         .producer = producer->id,
                         .sequence = call->first_sequence + end - 1,
                         .items = producer->items,
                         .count = end - *accepted};
        if (push_chunk(producer, &push, err) < 0)
            return -1;
        *accepted = end;
    }
    return 0;
}

int mpq_producer_push(mpq_producer *producer, const char *queue, const mpq_new_job *jobs, size_t count, mpq_id *ids,
                      size_t *accepted, mpq_error *err)
{
    mpq_error local;
    push_call call = {.queue = queue, .jobs = jobs, .count = count};
    err = err ? err : &local;
    *accepted = 0;
    if (check_jobs(producer, &call, err) < 0 || make_ready(producer, err) < 0)
        return -1;
    if (count == 0)
        return 0;
    *accepted = begin_push(producer, &call);
    for (size_t i = 0; i < count; i++)
        ids[i] = make_id(producer, call.first_sequence + i);
    int rc = push_from(producer, &call, accepted, err);
    if (rc < 0)
        remember(producer, &call, *accepted);
    else
        producer->pending.set = false;
    if (producer->bytes.capacity > KEPT_BUFFER_BYTES)
        mpq_buf_fini(&producer->bytes);
    return rc;
}
