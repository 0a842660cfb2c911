#include "death.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "clock.h"
#include "crashpoint.h"
#include "group.h"

/* Everything the cause points to. */
typedef struct story {
    mpq_cause cause;
    char message[256];
    char worker[MPQ_SERVICE_NAME_MAX + 16];
} story;

void mpq_death_describe(const mpq_death *death, char *out, size_t size)
{
    if (!death->status_known)
        snprintf(out, size, "died in an unknown way");
    else if (WIFSIGNALED(death->status))
        snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(death->status), strsignal(WTERMSIG(death->status)));
    else
        snprintf(out, size, "exited with status %d", WEXITSTATUS(death->status));
}

/* Only a death by SIGKILL can be our doing; and if the run we meant had just ended, what was hit is an innocent one. */
static enum mpq_end classify(const mpq_death *death, uint32_t run_token)
{
    if (!death->status_known || !WIFSIGNALED(death->status))
        return MPQ_END_DIED;
    if (WTERMSIG(death->status) != SIGKILL || death->killed == MPQ_KILL_NONE)
        return MPQ_END_SIGNAL;
    return death->killed == MPQ_KILL_TIMEOUT && death->killed_run == run_token ? MPQ_END_TIMEOUT : MPQ_END_INTERRUPTED;
}

static void explain(const mpq_process *self, const mpq_death *death, const mpq_board_worker *entry, story *out)
{
    mpq_cause *cause = &out->cause;
    char how[128];
    mpq_death_describe(death, how, sizeof how);
    size_t size = sizeof out->message;
    if (cause->end == MPQ_END_TIMEOUT) {
        uint64_t limit_ms = entry->run_deadline_at_ms - entry->run_started_at_ms;
        snprintf(out->message, size, "timed out after %g s and did not end within the grace of %g s: killed",
                 (double)limit_ms / 1000, self->config->timeout_grace_ms / 1000.0);
    } else if (cause->end == MPQ_END_INTERRUPTED) {
        snprintf(out->message, size, "the worker was stopped in the middle of the job");
    } else if (cause->end == MPQ_END_SIGNAL && WTERMSIG(death->status) == SIGKILL) {
        snprintf(out->message, size, "%s, not by this service; perhaps the system was out of memory", how);
    } else if (cause->end == MPQ_END_SIGNAL) {
        snprintf(out->message, size, "%s", how);
    } else {
        snprintf(out->message, size, "the worker %s in the middle of the job", how);
    }
    cause->message = mpq_slice_of(out->message, strlen(out->message));
}

static void tell(const mpq_process *self, const mpq_death *death, const mpq_board_worker *entry, story *out)
{
    uint32_t token = entry->run_token;
    mpq_cause *cause = &out->cause;
    memset(out, 0, sizeof *out);
    cause->end = classify(death, token);
    if (death->status_known)
        cause->code = WIFSIGNALED(death->status) ? WTERMSIG(death->status) : WEXITSTATUS(death->status);
    cause->at_ms = mpq_clock_wall_ms();
    uint64_t ran_ms = mpq_clock_monotonic_ms() - entry->run_started_at_ms;
    if (token & 1 && ran_ms <= cause->at_ms)
        cause->started_at_ms = cause->at_ms - ran_ms;
    snprintf(out->worker, sizeof out->worker, "%s:%ld", self->config->name, (long)death->pid);
    cause->worker = mpq_slice_of(out->worker, strlen(out->worker));
    cause->node = mpq_slice_of(self->board.file->node, strnlen(self->board.file->node, sizeof self->board.file->node));
    explain(self, death, entry, out);
}

/* Without memory for it the job is settled with its end alone. */
static uint32_t encode(const mpq_cause *cause, char report[MPQ_CAUSE_MAX_BYTES])
{
    mpq_buf buf = {0};
    mpq_codec_encode_cause(cause, &buf);
    uint32_t len = !buf.failed && buf.len <= MPQ_CAUSE_MAX_BYTES ? (uint32_t)buf.len : 0;
    if (len)
        memcpy(report, buf.data, len);
    mpq_buf_fini(&buf);
    return len;
}

static void count_run(mpq_ring *ring, uint32_t index, mpq_cause *cause)
{
    mpq_job job;
    if (mpq_codec_decode(mpq_ring_envelope(ring, index), &job, NULL) < 0)
        return;
    cause->in_handler = job.phase == MPQ_PHASE_HANDLER;
    cause->run = 1 + (cause->in_handler ? job.handler_runs : job.failures);
}

static uint32_t run_us(const mpq_board_worker *entry)
{
    uint64_t us = (mpq_clock_monotonic_ms() - entry->run_started_at_ms) * 1000;
    return !(entry->run_token & 1) ? 0 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void finish_slot(mpq_process *self, const mpq_death *death, mpq_ring *ring, uint32_t index, mpq_id *id)
{
    const mpq_board_worker *entry = &self->board.file->workers[death->index];
    mpq_slot *slot = mpq_ring_slot(ring, index);
    story told;
    tell(self, death, entry, &told);
    count_run(ring, index, &told.cause);
    slot->end = told.cause.end;
    slot->run_us = run_us(entry);
    slot->report_len = encode(&told.cause, slot->report);
    *id = slot->id;
    MPQ_CRASH_POINT("manager.death.outcome_written");
    mpq_ring_finish(ring, index, self->board.dispatcher_wake_fd);
}

/* True when there was something to report. A dying worker may have done it by itself. */
static bool report_grab(mpq_process *self, const mpq_death *death, mpq_board_worker *entry, mpq_id *id)
{
    bool clean = death->status_known && WIFEXITED(death->status) && WEXITSTATUS(death->status) == 0;
    bool hit = (entry->run_token & 1) != 0;
    if (hit)
        *id = entry->job;
    if (entry->report_end != 0 || (clean && !hit))
        return hit;
    story told;
    tell(self, death, entry, &told);
    told.cause.in_handler = entry->in_handler != 0;
    entry->report_len = encode(&told.cause, entry->report);
    entry->report_end = told.cause.end;
    return hit;
}

static void give_back(mpq_board_worker *entry)
{
    entry->owner[0] = 0;
    entry->report_len = 0;
    entry->report_end = 0;
    atomic_store(&entry->pid_born, 0);
    atomic_store(&entry->run_token, 0);
    atomic_store(&entry->run_deadline_at_ms, 0);
    atomic_store(&entry->interrupt, 0);
    atomic_store(&entry->retire, 0);
    MPQ_CRASH_POINT("manager.death.entry_cleared");
    atomic_store(&entry->pid, 0);
    atomic_store(&entry->state, MPQ_WORKER_EMPTY);
}

/* What the job had started goes on without it, and the job is about to be run again or to be told of as over. */
static void end_programs(const mpq_death *death)
{
    bool clean = death->status_known && WIFEXITED(death->status) && WEXITSTATUS(death->status) == 0;
    if (!clean)
        mpq_group_end(death->pid);
}

bool mpq_death_settle(mpq_process *self, const mpq_death *death, mpq_id *id)
{
    mpq_board_worker *entry = &self->board.file->workers[death->index];
    memset(id, 0, sizeof *id);
    end_programs(death);
    if (entry->owner[0] != 0) {
        bool hit = report_grab(self, death, entry, id);
        MPQ_CRASH_POINT("manager.death.reported");
        atomic_store(&entry->state, MPQ_WORKER_DEAD);
        mpq_board_wake(self->board.dispatcher_wake_fd);
        return hit;
    }
    mpq_ring *ring = self->board.rings[entry->queue];
    uint32_t slot = ring ? mpq_ring_claimed_by(ring, death->index) : MPQ_SLOT_NONE;
    if (slot != MPQ_SLOT_NONE)
        finish_slot(self, death, ring, slot, id);
    MPQ_CRASH_POINT("manager.death.finished");
    give_back(entry);
    mpq_board_wake(self->board.dispatcher_wake_fd); /* it may not have been able to do so by itself */
    mpq_board_wake(self->board.dispatcher_wake_fd); /* it may have died before it told of a result */
    return slot != MPQ_SLOT_NONE;
}
