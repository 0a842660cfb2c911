#include "deadline.h"

#include <signal.h>

#include "clock.h"
#include "signals.h"

/* The run that is going on and its deadline, read so that they belong together. False when the worker changes them
 * faster than they can be read. */
static bool read_run(const mpq_board_worker *worker, uint32_t *run, uint64_t *deadline_ms)
{
    for (int tries = 0; tries < 8; tries++) {
        *run = atomic_load(&worker->run_token);
        *deadline_ms = atomic_load(&worker->run_deadline_at_ms);
        if (atomic_load(&worker->run_token) == *run)
            return true;
    }
    return false;
}

/* Whatever the worker has begun meanwhile, the handler compares the run and leaves it alone. */
static void interrupt(mpq_roster *roster, uint32_t index, uint32_t run, uint64_t now_ms)
{
    mpq_board_worker *worker = &roster->self->board.file->workers[index];
    mpq_roster_entry *entry = &roster->entries[index];
    entry->timed_out_run = run;
    entry->kill_at_ms = now_ms + roster->self->config->timeout_grace_ms;
    atomic_store(&worker->interrupt, (uint64_t)run << 8 | MPQ_INTERRUPT_TIMEOUT);
    if (atomic_load(&worker->run_token) == run)
        kill(entry->pid, MPQ_SIGNAL_INTERRUPT);
}

static void kill_run(mpq_roster *roster, uint32_t index, uint32_t run)
{
    if (atomic_load(&roster->self->board.file->workers[index].run_token) == run)
        mpq_roster_kill(roster, index, MPQ_KILL_TIMEOUT, run);
}

/* User code between two jobs has the time limit of the queue's jobs, without a warning before its end. */
static uint64_t enforce_aside(mpq_roster *roster, uint32_t index, uint64_t now_ms)
{
    const mpq_roster_entry *entry = &roster->entries[index];
    uint64_t since_ms = atomic_load(&roster->self->board.file->workers[index].aside_since_ms);
    uint32_t limit_ms = roster->self->config->queues[entry->queue].timeout_ms;
    if (since_ms == 0 || limit_ms == 0)
        return UINT64_MAX;
    if (since_ms + limit_ms > now_ms)
        return since_ms + limit_ms;
    mpq_roster_kill(roster, index, MPQ_KILL_INTERRUPTED, 0);
    return UINT64_MAX;
}

static uint64_t enforce_one(mpq_roster *roster, uint32_t index, uint64_t now_ms)
{
    const mpq_roster_entry *entry = &roster->entries[index];
    uint32_t run;
    uint64_t deadline_ms;
    if (!entry->used || entry->pid <= 0 || entry->killed != MPQ_KILL_NONE)
        return UINT64_MAX;
    if (!read_run(&roster->self->board.file->workers[index], &run, &deadline_ms))
        return now_ms + 1;
    if (!(run & 1))
        return enforce_aside(roster, index, now_ms);
    if (deadline_ms == 0)
        return UINT64_MAX;
    if (entry->timed_out_run != run && deadline_ms > now_ms)
        return deadline_ms;
    if (entry->timed_out_run != run)
        interrupt(roster, index, run, now_ms);
    if (entry->kill_at_ms > now_ms)
        return entry->kill_at_ms;
    kill_run(roster, index, run);
    return UINT64_MAX;
}

uint64_t mpq_deadline_enforce(mpq_roster *roster, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < roster->capacity; i++) {
        uint64_t at = enforce_one(roster, i, now_ms);
        next = at < next ? at : next;
    }
    return next;
}
