/*
 * Grab mode: the worker asks the broker itself. It is an owner of its own, whose lease the dispatcher renews; when the
 * worker dies, the dispatcher takes over what it held, with the cause that the manager has left on the board.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "retry.h"
#include "signals.h"
#include "worker.h"

enum {
    RETRY_MS = 100,
    GIVE_UP_MS = 5000,
    WELL_MS = 10000, /* a connection that has lasted so long was a good one */
    COMPLAIN_EVERY_MS = 60000
};

typedef struct grab {
    mpq_worker *worker;
    mpq_broker *broker;
    bool attached;
    uint64_t attached_at_ms;
    uint64_t complain_at_ms; /* not before: say again in the log that there is no connection */
    mpq_batch batch;
    size_t next;      /* of batch: not run yet */
    bool have_result; /* `result` is not settled yet */
    bool littered;    /* nobody has cleared up behind the last job yet */
    mpq_settle result;
    mpq_buf result_bytes; /* owns result.envelope */
    mpq_buf report;
    int64_t due_us; /* until the next delayed job, -1 = not known */
    uint64_t give_up_at_ms;
} grab;

static int answer_timeout_ms(const grab *self)
{
    const mpq_broker_config *config = &self->worker->process->config->broker;
    return (int)(config->connect_timeout_ms + config->read_timeout_ms);
}

static void choose_owner(grab *self)
{
    mpq_process *process = self->worker->process;
    uint32_t salt = 0;
    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        salt = (uint32_t)mpq_clock_monotonic_us();
    snprintf(self->worker->entry->owner, sizeof self->worker->entry->owner, "%s@%.60s:%d.%08x", process->config->name,
             process->board.file->node, (int)getpid(), salt);
}

static void forget_batch(grab *self)
{
    mpq_batch_clear(&self->batch);
    self->next = 0;
}

/* What we hold without having it here: an answer was lost. */
static int return_unknown(grab *self, const mpq_buf *held, mpq_error *err)
{
    mpq_settle settles[MPQ_EXCHANGE_MAX];
    mpq_exchange exchange = {.settles = settles};
    for (size_t at = 0; at + MPQ_ID_BYTES <= held->len && exchange.settle_count < MPQ_EXCHANGE_MAX;
         at += MPQ_ID_BYTES) {
        mpq_settle settle = {.kind = MPQ_SETTLE_RETURN};
        memcpy(settle.id.bytes, held->data + at, MPQ_ID_BYTES);
        if (!self->have_result || !mpq_id_equal(&settle.id, &self->result.id))
            settles[exchange.settle_count++] = settle;
    }
    if (exchange.settle_count == 0)
        return 0;
    return mpq_broker_exchange(self->broker, &exchange, answer_timeout_ms(self), &self->batch, err);
}

static int attach(grab *self, mpq_error *err)
{
    const mpq_broker_ops *ops = self->broker->ops;
    mpq_worker *worker = self->worker;
    uint32_t lease_ms = worker->process->config->lease_ms;
    mpq_buf held;
    int rc = 1;
    mpq_buf_init(&held);
    forget_batch(self);
    if (self->have_result) /* of a job that a hint may have delivered: the claim may be lost */
        mpq_buf_append(&held, self->result.id.bytes, MPQ_ID_BYTES);
    if (worker->entry->owner[0])
        rc = ops->attach(self->broker, worker->queue->name, worker->entry->owner, lease_ms, MPQ_ATTACH_RESUME, &held,
                         err);
    if (rc == 0)
        rc = return_unknown(self, &held, err);
    if (rc > 0) {
        self->have_result = false; /* the job it belongs to is others' now */
        choose_owner(self);
        mpq_buf_clear(&held);
        MPQ_CRASH_POINT("grab.attach.named");
        rc = ops->attach(self->broker, worker->queue->name, worker->entry->owner, lease_ms, MPQ_ATTACH_FRESH, &held,
                         err);
    }
    mpq_buf_fini(&held);
    MPQ_CRASH_POINT("grab.attach.done");
    self->attached = rc == 0;
    self->attached_at_ms = mpq_clock_monotonic_ms();
    return rc;
}

/* The next attempt is a little later. One line for each outage, and one a minute as long as it goes on or comes back at
 * once. */
static void disconnected(grab *self, const mpq_error *why)
{
    struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
    uint64_t now = mpq_clock_monotonic_ms();
    bool was_well = self->attached && now - self->attached_at_ms >= WELL_MS;
    self->attached = false;
    forget_batch(self);
    if (was_well || now >= self->complain_at_ms) {
        mpq_log_write(self->worker->process->log, MPQ_LEVEL_WARNING, "%s; connecting again", why->text);
        self->complain_at_ms = now + COMPLAIN_EVERY_MS;
    }
    nanosleep(&pause, NULL);
}

/* Settles the result there may be and asks for `want` jobs; they are in the batch then. -1: not connected, try later.
 */
static int exchange(grab *self, uint32_t want)
{
    mpq_error err;
    if (!self->attached && attach(self, &err) < 0) {
        disconnected(self, &err);
        return -1;
    }
    MPQ_CRASH_POINT("grab.exchange.before");
    mpq_exchange request = {.settles = &self->result, .settle_count = self->have_result, .want = want};
    if (mpq_broker_exchange(self->broker, &request, answer_timeout_ms(self), &self->batch, &err) < 0) {
        disconnected(self, &err);
        return -1;
    }
    MPQ_CRASH_POINT("grab.exchange.answered");
    self->next = 0;
    if (self->batch.lost) {
        mpq_log_write(self->worker->process->log, MPQ_LEVEL_WARNING,
                      "the lease was lost: others run what was held here");
        self->worker->entry->owner[0] = '\0';
        self->have_result = self->attached = false;
        forget_batch(self);
        return 0;
    }
    if (self->batch.refused)
        mpq_log_write(self->worker->process->log, MPQ_LEVEL_WARNING,
                      "a result was refused: the job was not held any more");
    self->have_result = false;
    self->due_us = self->batch.next_due_us;
    return 0;
}

static void decide(grab *self, const mpq_job *job, enum mpq_end end)
{
    mpq_cause cause = {.end = MPQ_END_DONE};
    mpq_error err;
    mpq_buf_clear(&self->result_bytes);
    if (end != MPQ_END_DONE && mpq_codec_decode_cause(mpq_buf_slice(&self->report), &cause, NULL) < 0)
        memset(&cause, 0, sizeof cause);
    cause.end = end;
    self->have_result = true;
    if (mpq_retry_decide(job, &cause, &self->result_bytes, &self->result, &err) < 0) {
        memset(&self->result, 0, sizeof self->result);
        self->result.kind = MPQ_SETTLE_RETURN;
        self->result.id = job->id;
    }
    if (end != MPQ_END_DONE) {
        char id[MPQ_ID_TEXT_LEN + 1];
        mpq_id_format(&job->id, id);
        mpq_log_write(self->worker->process->log, MPQ_LEVEL_WARNING, "job %s failed, run %u: %s %.*s: %.*s", id,
                      cause.run, mpq_end_name(end), (int)cause.class_name.len, cause.class_name.data,
                      (int)cause.message.len, cause.message.data);
    }
}

/* Bytes that look like an envelope but are none: kept, with the reason, as the dispatcher does. */
static void fail_damaged(grab *self, mpq_slice envelope, const char *reason)
{
    mpq_job record = {.id = mpq_codec_id(envelope), .failures = 1, .payload = envelope};
    mpq_cause cause = {.end = MPQ_END_UNDECODABLE, .run = 1, .at_ms = mpq_clock_wall_ms()};
    cause.message = mpq_slice_of(reason, strlen(reason));
    mpq_buf_clear(&self->result_bytes);
    mpq_codec_encode_with_cause(&record, &cause, &self->result_bytes);
    self->have_result = true;
    self->result =
        (mpq_settle){.kind = MPQ_SETTLE_FAILED, .id = record.id, .envelope = mpq_buf_slice(&self->result_bytes)};
}

static void run_next(grab *self)
{
    mpq_slice envelope = mpq_batch_envelope(&self->batch, self->next++);
    mpq_job job;
    mpq_error err;
    bool leave = false;
    uint32_t run_us;
    if (mpq_codec_decode(envelope, &job, &err) < 0) {
        fail_damaged(self, envelope, err.text);
        return;
    }
    mpq_worker_look_at_clock(self->worker);
    enum mpq_end end = mpq_worker_run_job(self->worker, &job, mpq_clock_wall_ms(), &self->report, &run_us, &leave);
    decide(self, &job, end);
    MPQ_CRASH_POINT("grab.result.decided");
    mpq_worker_end_run(self->worker);
    MPQ_CRASH_POINT("grab.result.published");
    if (leave) {
        exchange(self, 0); /* should it fail, the dispatcher hands the job back: nothing is lost */
        _exit(MPQ_WORKER_STATUS_FATAL);
    }
    self->littered = true;
}

/* Whoever adopts the jobs of this worker has to know of the one that it is about to run. */
static int collect(grab *self, mpq_error *err)
{
    const mpq_broker_ops *ops = self->broker->ops;
    int rc = ops->wait_collect(self->broker, &self->batch, err);
    return rc == 0 && ops->wait_claim ? ops->wait_claim(self->broker, err) : rc;
}

/* Until the next look. Who is told of every job looks rarely. */
static uint64_t wait_us(const grab *self)
{
    uint64_t wait_us = 1000 * (uint64_t)self->worker->queue->sleep_ms;
    if (!self->broker->blind && wait_us < 1000 * MPQ_LOOK_MS)
        wait_us = 1000 * MPQ_LOOK_MS;
    return self->due_us >= 0 && (uint64_t)self->due_us < wait_us ? (uint64_t)self->due_us : wait_us;
}

/* 0 = there may be something, or it is time to look or to leave; 1 = the broker has said nothing of importance; -1 =
 * failed. */
static int wait_for_word(grab *self, uint64_t began_us, const sigset_t *signals, mpq_error *err)
{
    struct pollfd fds[2];
    int hints[2];
    uint64_t spent_us = mpq_clock_monotonic_us() - began_us, limit_us = wait_us(self);
    if (spent_us >= limit_us || mpq_worker_must_leave(self->worker))
        return 0;
    uint64_t left_us = limit_us - spent_us;
    struct timespec timeout = {.tv_sec = (time_t)(left_us / 1000000), .tv_nsec = (long)(left_us % 1000000) * 1000};
    int count = self->broker->ops->wait_fds(self->broker, hints);
    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = hints[i], .events = POLLIN};
    return ppoll(fds, (nfds_t)count, &timeout, signals) > 0 ? collect(self, err) : 0;
}

/* Sleeps until the broker says that something is ready, a signal, or the next look. The manager sends the private
 * signal when there is a reason to leave; outside of ppoll it stays pending, so that it can't get lost in between. */
static void wait_for_job(grab *self)
{
    sigset_t blocked, before;
    mpq_error err;
    int rc;
    mpq_worker_look_at_clock(self->worker);
    mpq_worker_idle(self->worker);
    if (self->broker->ops->wait_arm(self->broker, &err) < 0) {
        disconnected(self, &err);
        return;
    }
    MPQ_CRASH_POINT("grab.wait.armed");
    sigemptyset(&blocked);
    sigaddset(&blocked, MPQ_SIGNAL_INTERRUPT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    uint64_t began_us = mpq_clock_monotonic_us();
    do
        rc = wait_for_word(self, began_us, &before, &err);
    while (rc > 0);
    if (rc < 0)
        disconnected(self, &err);
    else
        self->next = 0;
    MPQ_CRASH_POINT("grab.wait.over");
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Never leaves a result behind while the broker can be reached. */
static bool may_leave(grab *self)
{
    if (!mpq_worker_must_leave(self->worker))
        return false;
    uint64_t now = mpq_clock_monotonic_ms();
    if (!self->give_up_at_ms)
        self->give_up_at_ms = now + GIVE_UP_MS;
    return !self->have_result || now >= self->give_up_at_ms;
}

/* When the result has been settled: what the job has left behind may hang, and must not make it run again. */
static void clear_up(grab *self)
{
    if (self->littered) {
        mpq_worker_look_at_clock(self->worker);
        mpq_worker_after_job(self->worker);
    }
    self->littered = false;
}

static void loop(grab *self)
{
    mpq_worker *worker = self->worker;
    while (!may_leave(self)) {
        bool leaving = mpq_worker_must_leave(worker);
        if (!leaving && !self->have_result && self->next < self->batch.count) {
            run_next(self);
            continue;
        }
        bool more = self->next < self->batch.count; /* the exchange would overwrite them */
        if (more) {
            mpq_batch rest = self->batch;
            size_t next = self->next;
            mpq_batch_init(&self->batch);
            exchange(self, 0);
            bool usable = self->attached;
            mpq_batch_fini(&self->batch);
            self->batch = rest;
            self->next = usable ? next : rest.count; /* a resumed attach hands them back */
            if (leaving)
                break;
            continue;
        }
        if (exchange(self, leaving ? 0 : 1) < 0)
            continue;
        clear_up(self);
        if (!leaving && self->attached && self->batch.count == 0 && self->due_us != 0)
            wait_for_job(self);
    }
}

int mpq_worker_grab(mpq_worker *worker, mpq_error *err)
{
    grab self = {.worker = worker, .due_us = -1};
    mpq_batch_init(&self.batch);
    mpq_buf_init(&self.result_bytes);
    mpq_buf_init(&self.report);
    if (mpq_broker_open(&worker->process->config->broker, &self.broker, err) < 0)
        return 1;
    loop(&self);
    MPQ_CRASH_POINT("grab.detach.before");
    if (self.attached && self.broker->ops->detach(self.broker, err) == 0)
        worker->entry->owner[0] = '\0';
    MPQ_CRASH_POINT("grab.detach.after");
    mpq_broker_close(self.broker);
    mpq_batch_fini(&self.batch);
    mpq_buf_fini(&self.result_bytes);
    mpq_buf_fini(&self.report);
    return 0;
}
