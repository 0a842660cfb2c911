#include "ledger.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"

enum { SLOW_MS = 25, QUICK_MS = 2, FAIL_NUMBER = 2, PATIENT_FAIL_NUMBER = 8 };

void ledger_add(ledger *books, enum ledger_kind kind, uint32_t queue, uint32_t delay_ms, uint32_t bytes)
{
    if (books->count == LEDGER_JOBS_MAX)
        abort();
    ledger_job *job = &books->jobs[books->count++];
    job->kind = (uint32_t)kind;
    job->queue = queue;
    job->delay_ms = delay_ms;
    job->bytes = bytes;
}

mpq_slice ledger_payload(const ledger *books, uint32_t index, char *out, size_t size)
{
    const ledger_job *job = &books->jobs[index];
    int len = snprintf(out, size, "job %u ", index);
    size_t all = job->bytes > (uint32_t)len ? job->bytes : (size_t)len;
    if (all > size)
        abort();
    memset(out + len, 'x', all - (size_t)len);
    return mpq_slice_of(out, all);
}

uint32_t ledger_fail_number(const ledger_job *job)
{
    return job->kind == LEDGER_FAIL ? FAIL_NUMBER : PATIENT_FAIL_NUMBER;
}

/* NULL when the payload was not made by ledger_payload: then nothing of it can be trusted. */
static ledger_job *find(ledger *books, mpq_slice payload)
{
    char text[32], expected[16384];
    unsigned index;
    snprintf(text, sizeof text, "%.*s", payload.len < 31 ? (int)payload.len : 31, payload.data);
    if (sscanf(text, "job %u", &index) != 1 || index >= books->count)
        return NULL;
    mpq_slice original = ledger_payload(books, index, expected, sizeof expected);
    if (original.len != payload.len || memcmp(original.data, payload.data, payload.len) != 0)
        return NULL;
    return &books->jobs[index];
}

/* -- jobs ------------------------------------------------------------------------------------------------------ */

static void sleep_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static void note_start(ledger_host *self, ledger_job *job, const mpq_job *seen)
{
    _Atomic uint32_t *most = &job->most_failures[self->node];
    uint32_t before = atomic_load(most);
    if (seen->failures < before)
        atomic_fetch_add(&job->backwards, 1);
    while (before < seen->failures && !atomic_compare_exchange_weak(most, &before, seen->failures))
        continue;
    /* A clock that is read by another process may be a little behind. */
    if (job->delay_ms && seen->failures == 0 &&
        mpq_clock_wall_ms() + 20 < atomic_load(&job->pushed_at_ms) + job->delay_ms)
        atomic_fetch_add(&job->too_early, 1);
    if (atomic_fetch_add(&job->started, 1) == 0)
        job->ran_as = seen->id;
    else if (!mpq_id_equal(&job->ran_as, &seen->id))
        atomic_fetch_add(&job->other_id, 1);
}

static void run(ledger_job *job, const mpq_job *seen, mpq_outcome *out)
{
    sleep_ms(job->kind == LEDGER_SLOW ? SLOW_MS : QUICK_MS);
    if (job->kind == LEDGER_DIE_ONCE && seen->failures == 0) {
        atomic_fetch_add(&job->killed, 1);
        kill(getpid(), SIGKILL);
    }
    if (job->kind != LEDGER_FAIL && (job->kind != LEDGER_FAIL_ONCE || seen->failures > 0)) {
        atomic_fetch_add(&job->completed, 1);
        return;
    }
    atomic_fetch_add(&job->thrown, 1);
    out->end = MPQ_END_EXCEPTION;
    out->cause.message = mpq_slice_of("thrown", 6);
}

static void run_job(void *arg, const mpq_run *wanted, mpq_outcome *out)
{
    ledger_host *self = arg;
    ledger_job *job = find(self->books, wanted->job->payload);
    if (!job) {
        out->end = MPQ_END_UNDECODABLE; /* ends in the failed records, where it is noticed */
        return;
    }
    if (wanted->job->phase == MPQ_PHASE_HANDLER) {
        sleep_ms(QUICK_MS);
        atomic_fetch_add(&job->handled, 1);
    } else {
        note_start(self, job, wanted->job);
        run(job, wanted->job, out);
    }
    if (out->end == MPQ_END_DONE)
        atomic_fetch_add(&self->books->ended, 1);
}

/* -- the embedder ---------------------------------------------------------------------------------------------- */

static int succeed(void *self, mpq_error *err)
{
    (void)self, (void)err;
    return 0;
}

static int start_worker(void *self, uint32_t queue, mpq_error *err)
{
    (void)self, (void)queue, (void)err;
    return 0;
}

static uint64_t between_jobs(void *self)
{
    (void)self;
    return 4096;
}

static void nothing(void *self)
{
    (void)self;
}

static void after_fork(void *arg, enum mpq_role role)
{
    ledger_host *self = arg;
    if (self->after_fork)
        self->after_fork(role);
}

static void title(void *self, const char *text)
{
    (void)self, (void)text;
}

void ledger_host_init(ledger_host *self, ledger *books, uint32_t node)
{
    memset(self, 0, sizeof *self);
    self->books = books;
    self->node = node;
    self->host = (mpq_host){.self = self,
                            .before_fork = nothing,
                            .after_fork = after_fork,
                            .preload = succeed,
                            .worker_start = start_worker,
                            .run_job = run_job,
                            .between_jobs = between_jobs,
                            .idle = nothing,
                            .interrupt = nothing,
                            .title = title};
}

/* -- the end --------------------------------------------------------------------------------------------------- */

typedef struct reading {
    ledger *books;
    int strangers;
} reading;

static int enter(void *arg, mpq_slice envelope)
{
    reading *at = arg;
    mpq_job record;
    mpq_cause cause;
    mpq_error err;
    ledger_job *job = NULL;
    if (mpq_codec_decode(envelope, &record, &err) == 0)
        job = find(at->books, record.payload);
    if (!job || !mpq_id_equal(&job->ran_as, &record.id)) {
        at->strangers++;
        return 0;
    }
    job->records++;
    mpq_reader history = mpq_reader_of(record.history);
    while (mpq_codec_next_cause(&history, &cause, &err) == 0)
        job->causes_thrown += cause.end == MPQ_END_EXCEPTION;
    return 0;
}

int ledger_read_failed(ledger *books, mpq_broker *broker, const char *queue, mpq_error *err)
{
    reading at = {.books = books};
    if (broker->ops->failed(broker, queue, enter, &at, err) < 0)
        return -1;
    return at.strangers;
}

static uint32_t above(uint32_t count, uint32_t normal)
{
    return count > normal ? count - normal : 0;
}

uint32_t ledger_extra_runs(const ledger_job *job)
{
    uint32_t started = atomic_load(&job->started), completed = atomic_load(&job->completed),
             thrown = atomic_load(&job->thrown), killed = atomic_load(&job->killed);
    uint32_t broken_off = started - completed - thrown - killed;
    uint32_t throws = job->kind == LEDGER_FAIL ? job->causes_thrown : 1;
    return broken_off + above(completed, 1) + above(thrown, throws) + above(killed, 1) +
           above(atomic_load(&job->handled), 1);
}
