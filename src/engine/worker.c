#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "group.h"
#include "signals.h"
#include "spawn.h"

enum {
    IDLE_WAIT_MS = 5000, /* every reason to leave comes with a kick; this is for a signal between two lines */
    FOREIGN_WAIT_MS = 5
};

/* For the signal handlers only. */
static mpq_board_worker *volatile signal_entry;
static const mpq_host *volatile signal_host;
static volatile sig_atomic_t signal_leave;

static void on_terminate(int number)
{
    (void)number;
    signal_leave = 1;
}

/* A signal that was meant for a run which has ended meanwhile finds another token and does nothing. */
static void on_interrupt(int number)
{
    (void)number;
    int saved = errno;
    mpq_board_worker *entry = signal_entry;
    uint64_t asked = entry ? atomic_load(&entry->interrupt) : MPQ_INTERRUPT_NONE;
    if (entry && asked >> 8 == atomic_load(&entry->run_token) && (asked & 0xff) == MPQ_INTERRUPT_TIMEOUT)
        signal_host->interrupt(signal_host->self);
    errno = saved;
}

static void install_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: it has to wake sleep() */
    sigemptyset(&action.sa_mask);
    sigaction(MPQ_SIGNAL_INTERRUPT, &action, NULL);
}

static void take_signals(mpq_worker *worker)
{
    struct sigaction action = {.sa_handler = on_terminate, .sa_flags = SA_RESTART};
    signal_entry = worker->entry;
    signal_host = worker->process->host;
    signal_leave = 0;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    /* Outside of the terminal's foreground group a program that sets up the terminal would be stopped. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGTTOU, &action, NULL);
    install_interrupt();
}

int mpq_worker_start(mpq_worker *worker, mpq_process *process, uint32_t index, mpq_error *err)
{
    mpq_board *board = &process->board;
    memset(worker, 0, sizeof *worker);
    worker->process = process;
    worker->entry = &board->file->workers[index];
    worker->queue_index = worker->entry->queue;
    worker->queue = &process->config->queues[worker->queue_index];
    mpq_fork_mark_set(&worker->mark);
    snprintf(worker->name, sizeof worker->name, "%s:%d", process->config->name, (int)worker->mark.pid);
    take_signals(worker);
    MPQ_CRASH_POINT("worker.start.before");
    if (process->host->worker_start(process->host->self, worker->queue_index, err) < 0)
        return -1;
    /* User code has run: it may have changed the handler, or the user id, which ends the tie to the manager. */
    install_interrupt();
    mpq_spawn_follow_manager(process);
    MPQ_CRASH_POINT("worker.start.after");
    atomic_store(&worker->entry->state, MPQ_WORKER_IDLE);
    mpq_board_wake(board->manager_wake_fd);
    mpq_board_wake(board->dispatcher_wake_fd);
    return 0;
}

void mpq_worker_look_at_clock(mpq_worker *worker)
{
    worker->now_us = mpq_clock_monotonic_us();
}

bool mpq_worker_must_leave(const mpq_worker *worker)
{
    return worker->recycle || signal_leave || atomic_load(&worker->entry->retire) ||
           atomic_load(&worker->process->board.shared->stopping);
}

/* The manager sleeps until the earliest deadline it knows of; a run that ends earlier than that has to tell it. The
 * order (store, then load) matches the manager's: it says "never" before it looks at the deadlines. */
static void publish_deadline(mpq_worker *worker, uint64_t now, uint32_t timeout_ms)
{
    mpq_board *board = &worker->process->board;
    uint64_t deadline = timeout_ms ? now + timeout_ms : 0;
    atomic_store(&worker->entry->run_deadline_at_ms, deadline);
    if (deadline && deadline < atomic_load(&board->shared->manager_wakes_at_ms))
        mpq_board_wake(board->manager_wake_fd);
}

/* What the host does now may run user code that belongs to no job: it has a time limit all the same. Should it take
 * long, the dispatcher tells the manager, so that we need not do it each time. */
static void begin_aside(mpq_worker *worker)
{
    atomic_store(&worker->entry->aside_since_ms, worker->now_us / 1000);
}

static void end_aside(mpq_worker *worker)
{
    atomic_store_explicit(&worker->entry->aside_since_ms, 0, memory_order_relaxed);
}

void mpq_worker_idle(mpq_worker *worker)
{
    const mpq_host *host = worker->process->host;
    begin_aside(worker);
    host->idle(host->self);
    end_aside(worker);
}

static void begin_run(mpq_worker *worker, const mpq_job *job, uint64_t now)
{
    mpq_board_worker *entry = worker->entry;
    entry->job = job->id;
    entry->in_handler = job->phase == MPQ_PHASE_HANDLER;
    atomic_store_explicit(&entry->interrupt, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->run_started_at_ms, now, memory_order_relaxed);
    atomic_store_explicit(&entry->run_deadline_at_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->state, MPQ_WORKER_BUSY, memory_order_relaxed);
    atomic_fetch_add(&entry->run_token, 1);
    publish_deadline(worker, now, job->timeout_ms);
}

/* A run that was ended by force is over with all that it has started. Others may be waiting for one of those: helpers
 * that worker_start had opened. So the worker does not go on without them. */
static void end_programs(mpq_worker *worker, const mpq_outcome *outcome)
{
    if ((outcome->end == MPQ_END_TIMEOUT || outcome->leave) && mpq_group_end_others() > 0)
        worker->recycle = true;
}

void mpq_worker_end_run(mpq_worker *worker)
{
    atomic_fetch_add(&worker->entry->run_token, 1);
    atomic_store_explicit(&worker->entry->run_deadline_at_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->entry->state, MPQ_WORKER_IDLE, memory_order_relaxed);
    uint64_t jobs = 1 + atomic_fetch_add_explicit(&worker->entry->jobs, 1, memory_order_relaxed);
    if (worker->queue->max_jobs && jobs >= worker->queue->max_jobs)
        worker->recycle = true;
}

static void complete_cause(const mpq_worker *worker, const mpq_job *job, uint64_t started_at_ms, mpq_outcome *outcome)
{
    const char *node = worker->process->board.file->node;
    mpq_cause *cause = &outcome->cause;
    cause->end = outcome->end;
    cause->in_handler = job->phase == MPQ_PHASE_HANDLER;
    cause->run = (cause->in_handler ? job->handler_runs : job->failures) + 1;
    cause->started_at_ms = started_at_ms;
    cause->at_ms = mpq_clock_wall_ms();
    cause->worker = mpq_slice_of(worker->name, strlen(worker->name));
    cause->node = mpq_slice_of(node, strlen(node));
}

enum mpq_end mpq_worker_run_job(mpq_worker *worker, const mpq_job *job, uint64_t reserved_at_ms, mpq_buf *report,
                                uint32_t *run_us, bool *leave)
{
    const mpq_host *host = worker->process->host;
    mpq_outcome outcome;
    mpq_run run = {.queue = worker->queue->name,
                   .queue_index = worker->queue_index,
                   .job = job,
                   .worker_name = worker->name,
                   .node = worker->process->board.file->node,
                   .reserved_at_ms = reserved_at_ms};
    memset(&outcome, 0, sizeof outcome);
    uint64_t started_us = worker->now_us;
    MPQ_CRASH_POINT("worker.run.before");
    begin_run(worker, job, started_us / 1000);
    MPQ_CRASH_POINT("worker.run.stamped");
    host->run_job(host->self, &run, &outcome);
    if (mpq_fork_mark_is_copy(&worker->mark))
        _exit(outcome.end == MPQ_END_EXIT ? outcome.cause.code : 0); /* a process that the job has forked */
    MPQ_CRASH_POINT("worker.run.after");
    end_programs(worker, &outcome);
    worker->recycle |= outcome.recycle;
    mpq_worker_look_at_clock(worker);
    uint64_t for_us = worker->now_us - started_us;
    if (outcome.end != MPQ_END_DONE) {
        complete_cause(worker, job, mpq_clock_wall_ms() - for_us / 1000, &outcome);
        mpq_buf_clear(report);
        mpq_codec_encode_cause(&outcome.cause, report);
    }
    *run_us = for_us >= UINT32_MAX ? UINT32_MAX : (uint32_t)for_us + 1;
    *leave = outcome.leave;
    return outcome.end;
}

void mpq_worker_after_job(mpq_worker *worker)
{
    const mpq_host *host = worker->process->host;
    begin_aside(worker);
    uint64_t bytes = host->between_jobs(host->self);
    end_aside(worker);
    atomic_store_explicit(&worker->entry->memory_bytes, bytes, memory_order_relaxed);
    if (worker->queue->memory_limit_bytes && bytes > worker->queue->memory_limit_bytes) {
        mpq_log_write(worker->process->log, MPQ_LEVEL_INFO,
                      "uses %.1f MiB, more than memory_limit (%.1f MiB): replaced by a fresh worker",
                      (double)bytes / 1048576, (double)worker->queue->memory_limit_bytes / 1048576);
        worker->recycle = true;
    }
}

/* -- distribute mode ------------------------------------------------------------------------------------------- */

static void publish(mpq_worker *worker, uint32_t index, enum mpq_end end, uint32_t run_us, const mpq_buf *report)
{
    mpq_board *board = &worker->process->board;
    mpq_ring *ring = board->rings[worker->queue_index];
    mpq_slot *slot = mpq_ring_slot(ring, index);
    slot->end = (uint32_t)end;
    slot->run_us = run_us;
    slot->report_len = 0;
    if (end != MPQ_END_DONE && !report->failed && report->len <= sizeof slot->report) {
        memcpy(slot->report, report->data, report->len);
        slot->report_len = (uint32_t)report->len;
    }
    MPQ_CRASH_POINT("worker.outcome.written");
    /* First not running, then finished: should we be killed in between, the manager finds a claimed slot whose outcome
     * it writes itself; and a dispatcher that is woken by the result already counts us as idle. */
    mpq_worker_end_run(worker);
    MPQ_CRASH_POINT("worker.finish.before");
    if (!mpq_ring_finish(ring, index, board->dispatcher_wake_fd))
        worker->recycle = true; /* the job has closed what was not its own; our end wakes the dispatcher */
    MPQ_CRASH_POINT("worker.finish.after");
}

static void run_slot(mpq_worker *worker, uint32_t index, mpq_buf *report)
{
    mpq_ring *ring = worker->process->board.rings[worker->queue_index];
    mpq_slot *slot = mpq_ring_slot(ring, index);
    mpq_job job;
    mpq_error err;
    bool leave = false;
    uint32_t run_us = 0;
    enum mpq_end end = MPQ_END_INTERRUPTED; /* damaged since the dispatcher checked it: it can't happen; hand it back */
    MPQ_CRASH_POINT("worker.claim.after");
    atomic_store(&worker->entry->slot, index);
    if (mpq_codec_decode(mpq_ring_envelope(ring, index), &job, &err) == 0)
        end = mpq_worker_run_job(worker, &job, slot->reserved_at_ms, report, &run_us, &leave);
    else
        atomic_fetch_add(&worker->entry->run_token, 1);
    publish(worker, index, end, run_us, report);
    atomic_store(&worker->entry->slot, MPQ_SLOT_NONE);
    if (leave)
        _exit(MPQ_WORKER_STATUS_FATAL);
    mpq_worker_after_job(worker);
}

/* What waits in the ring may be running elsewhere once the lease has ended: after the host was frozen, or cut off. The
 * dispatcher renews the lease, or clears the ring, as soon as it can. */
static bool is_ours(const mpq_worker *worker)
{
    const struct mpq_board_shared *shared = worker->process->board.shared;
    return worker->now_us / 1000 < atomic_load(&shared->lease_until_ms[worker->queue_index]);
}

static void distribute(mpq_worker *worker)
{
    mpq_ring *ring = worker->process->board.rings[worker->queue_index];
    uint32_t index = worker->process->worker_index;
    mpq_buf report;
    mpq_buf_init(&report);
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(ring);
        if (mpq_worker_must_leave(worker))
            break;
        mpq_worker_look_at_clock(worker);
        bool ours = is_ours(worker);
        uint32_t slot = ours ? mpq_ring_claim(ring, index) : MPQ_SLOT_NONE;
        if (slot != MPQ_SLOT_NONE) {
            run_slot(worker, slot, &report);
            continue;
        }
        if (!ours && mpq_ring_ready(ring) > 0) {
            nanosleep(&(struct timespec){.tv_nsec = FOREIGN_WAIT_MS * 1000000L}, NULL);
            continue;
        }
        mpq_worker_idle(worker);
        mpq_ring_wait(ring, index, kicks, IDLE_WAIT_MS);
    }
    MPQ_CRASH_POINT("worker.leave.before");
    mpq_ring_pass_on(ring);
    mpq_buf_fini(&report);
}

/* User code may run once more at the end: shutdown functions, destructors. The manager waits for that, not for ever. */
static void announce_end(mpq_worker *worker)
{
    atomic_store(&worker->entry->leaving_at_ms, mpq_clock_monotonic_ms());
    mpq_board_wake(worker->process->board.manager_wake_fd);
}

static int run_to_end(mpq_process *process, uint32_t index, mpq_error *err)
{
    mpq_worker worker;
    char tag[MPQ_QUEUE_NAME_MAX + 16];
    snprintf(tag, sizeof tag, "%.*s:worker", MPQ_QUEUE_NAME_MAX,
             process->config->queues[process->board.file->workers[index].queue].name);
    mpq_log_set_tag(process->log, tag);
    if (mpq_worker_start(&worker, process, index, err) < 0)
        return 1;
    process->worker_index = index;
    int status = 0;
    if (worker.queue->mode == MPQ_MODE_GRAB)
        status = mpq_worker_grab(&worker, err);
    else
        distribute(&worker);
    announce_end(&worker);
    return status;
}

int mpq_worker_run(mpq_process *process, uint32_t index, mpq_error *err)
{
    int status = run_to_end(process, index, err);
    signal_entry = NULL; /* the board is let go of before the process ends, and signals come until then */
    return status;
}
