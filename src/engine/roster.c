#include "roster.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "clock.h"
#include "crashpoint.h"
#include "signals.h"

enum { NOT_KNOWN_YET_MS = 10, LEAVE_MIN_MS = 1000 };

int mpq_roster_init(mpq_roster *roster, mpq_process *self, mpq_error *err)
{
    memset(roster, 0, sizeof *roster);
    roster->self = self;
    roster->capacity = self->board.file->worker_capacity;
    roster->entries = calloc(roster->capacity, sizeof *roster->entries);
    return roster->entries ? 0 : mpq_error_set_memory(err);
}

void mpq_roster_fini(mpq_roster *roster)
{
    free(roster->entries);
    roster->entries = NULL;
    roster->capacity = 0;
}

static mpq_board_worker *on_board(const mpq_roster *roster, uint32_t index)
{
    return &roster->self->board.file->workers[index];
}

static const char *queue_name(const mpq_roster *roster, uint32_t queue)
{
    return roster->self->config->queues[queue].name;
}

uint32_t mpq_roster_count(const mpq_roster *roster, uint32_t generation, uint32_t queue)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < roster->capacity; i++) {
        const mpq_roster_entry *entry = &roster->entries[i];
        count += entry->used && !entry->leaving && entry->generation == generation && entry->queue == queue;
    }
    return count;
}

uint32_t mpq_roster_left(const mpq_roster *roster, uint32_t generation)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < roster->capacity; i++)
        count += roster->entries[i].used && (generation == 0 || roster->entries[i].generation == generation);
    return count;
}

/* -- coming ---------------------------------------------------------------------------------------------------- */

static void clean(mpq_board_worker *worker)
{
    worker->owner[0] = 0;
    worker->report_len = 0;
    worker->report_end = 0;
    worker->in_handler = 0;
    memset(&worker->job, 0, sizeof worker->job);
    atomic_store(&worker->pid_born, 0);
    atomic_store(&worker->retire, 0);
    atomic_store(&worker->started_at_ms, 0);
    atomic_store(&worker->leaving_at_ms, 0);
    atomic_store(&worker->aside_since_ms, 0);
    atomic_store(&worker->run_token, 0);
    atomic_store(&worker->slot, MPQ_SLOT_NONE);
    atomic_store(&worker->run_started_at_ms, 0);
    atomic_store(&worker->run_deadline_at_ms, 0);
    atomic_store(&worker->interrupt, 0);
    atomic_store(&worker->jobs, 0);
    atomic_store(&worker->memory_bytes, 0);
}

/* There is no process (any more) that could touch the entry. */
static void release(mpq_roster *roster, uint32_t index)
{
    mpq_board_worker *worker = on_board(roster, index);
    memset(&roster->entries[index], 0, sizeof roster->entries[index]);
    atomic_store(&worker->pid, 0);
    atomic_store(&worker->state, MPQ_WORKER_EMPTY);
}

int mpq_roster_ask(mpq_roster *roster, mpq_generation *generation, uint32_t queue)
{
    if (generation->template_pid == 0 || generation->fd < 0)
        return 1;
    int index = mpq_board_reserve_worker(&roster->self->board, queue, generation->number);
    if (index < 0)
        return 1;
    clean(on_board(roster, (uint32_t)index));
    atomic_store(&on_board(roster, (uint32_t)index)->pid, -(int32_t)generation->template_pid);
    MPQ_CRASH_POINT("manager.ask.reserved");
    if (mpq_generation_ask(generation, (uint32_t)index) != 0) {
        release(roster, (uint32_t)index);
        return 1;
    }
    roster->entries[index] =
        (mpq_roster_entry){.used = true, .asked = true, .queue = queue, .generation = generation->number};
    MPQ_CRASH_POINT("manager.ask.sent");
    roster->asked++;
    return 0;
}

static bool has_started(const mpq_board_worker *worker)
{
    int32_t state = atomic_load(&worker->state);
    return state == MPQ_WORKER_IDLE || state == MPQ_WORKER_BUSY || atomic_load(&worker->jobs) > 0;
}

static void note_started(mpq_roster *roster, uint32_t index)
{
    mpq_roster_entry *entry = &roster->entries[index];
    if (!entry->used || entry->pid <= 0)
        return;
    entry->started = entry->started || has_started(on_board(roster, index));
    if (entry->started && entry->generation == roster->proving)
        roster->started |= UINT64_C(1) << entry->queue;
}

void mpq_roster_prove(mpq_roster *roster, uint32_t generation)
{
    roster->proving = generation;
    roster->started = 0;
    roster->failed = false;
    roster->failure[0] = 0;
    for (size_t i = 0; i < MPQ_QUEUES_MAX; i++)
        mpq_backoff_reset(&roster->backoff[i]);
}

bool mpq_roster_proven(mpq_roster *roster, uint32_t *missing)
{
    for (uint32_t i = 0; i < roster->capacity; i++)
        note_started(roster, i);
    for (uint32_t queue = 0; queue < roster->self->config->queue_count; queue++) {
        if (roster->self->config->queues[queue].workers == 0 || roster->started >> queue & 1)
            continue;
        *missing = queue;
        return false;
    }
    return true;
}

uint64_t mpq_roster_next_try(const mpq_roster *roster, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < roster->self->config->queue_count; i++) {
        uint64_t at = roster->backoff[i].next_at_ms;
        if (at > now_ms && at < next)
            next = at;
    }
    return next;
}

/* -- going ----------------------------------------------------------------------------------------------------- */

/* What is known of a worker when its entry still tells. */
typedef struct obituary {
    mpq_death death;
    mpq_roster_entry entry;
    bool clean;
    bool lived_well;
    bool had_job;
    char how[sizeof((mpq_error *)0)->text];
    mpq_id job;
} obituary;

/* How long a worker may take that leaves by itself. */
static uint32_t leave_for_ms(const mpq_roster *roster)
{
    uint32_t stop_timeout_ms = roster->self->config->stop_timeout_ms;
    return stop_timeout_ms > LEAVE_MIN_MS ? stop_timeout_ms : LEAVE_MIN_MS;
}

static void recall(const mpq_roster *roster, uint32_t index, bool status_known, int status, obituary *out)
{
    const mpq_board_worker *worker = on_board(roster, index);
    const mpq_roster_entry *entry = &roster->entries[index];
    *out = (obituary){.entry = *entry,
                      .death = {.index = index,
                                .pid = entry->pid,
                                .status_known = status_known,
                                .status = status,
                                .killed = entry->killed,
                                .killed_run = entry->killed_run}};
    out->clean = status_known && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    out->lived_well = entry->started && (atomic_load(&worker->jobs) > 0 || entry->killed != MPQ_KILL_NONE ||
                                         mpq_clock_monotonic_ms() - entry->since_ms >= MPQ_BACKOFF_WELL_MS);
    mpq_death_describe(&out->death, out->how, sizeof out->how);
    size_t len = worker->report_len;
    if (entry->killed != MPQ_KILL_NONE && atomic_load(&worker->leaving_at_ms) != 0)
        snprintf(out->how, sizeof out->how,
                 "had not ended within %g s of leaving (a shutdown function or a destructor hangs) and was killed",
                 leave_for_ms(roster) / 1000.0);
    else if (entry->killed != MPQ_KILL_NONE && !entry->leaving && atomic_load(&worker->aside_since_ms) != 0)
        snprintf(out->how, sizeof out->how,
                 "took longer than %g s for what jobs had left behind (a destructor hangs) and was killed",
                 roster->self->config->queues[entry->queue].timeout_ms / 1000.0);
    if (entry->started)
        return;
    if (entry->killed != MPQ_KILL_NONE && !entry->leaving)
        snprintf(out->how, sizeof out->how, "it had not started within %g s",
                 roster->self->config->start_timeout_ms / 1000.0);
    else if (len > 0 && len < sizeof out->how && len <= sizeof worker->report)
        snprintf(out->how, sizeof out->how, "%.*s", (int)len, worker->report);
}

static void announce(const mpq_roster *roster, const obituary *it, uint32_t pause_ms)
{
    mpq_log *log = roster->self->log;
    const char *queue = queue_name(roster, it->entry.queue);
    int pid = (int)it->death.pid;
    char pause[48] = "", id[MPQ_ID_TEXT_LEN + 1];
    if (pause_ms)
        snprintf(pause, sizeof pause, "; the next one is started in %g s", pause_ms / 1000.0);
    if (it->had_job) {
        mpq_id_format(&it->job, id);
        mpq_log_write(log, MPQ_LEVEL_WARNING, "worker %d of queue \"%s\" %s while it ran job %s%s%s", pid, queue,
                      it->how, id,
                      it->entry.killed == MPQ_KILL_TIMEOUT       ? ", which had timed out"
                      : it->entry.killed == MPQ_KILL_INTERRUPTED ? ", which is handed back"
                                                                 : "",
                      pause);
    } else if (it->clean || it->entry.leaving) {
        mpq_log_write(log, MPQ_LEVEL_INFO, "worker %d of queue \"%s\" has left%s", pid, queue, pause);
    } else if (!it->entry.started) {
        mpq_log_write(log, MPQ_LEVEL_ERROR, "worker %d of queue \"%s\" could not start: %s%s", pid, queue, it->how,
                      pause);
    } else {
        mpq_log_write(log, MPQ_LEVEL_WARNING, "worker %d of queue \"%s\" %s between two jobs%s", pid, queue, it->how,
                      pause);
    }
}

/* Replacing at once is right for a worker that has worked; one that leaves before it has done anything, even with a
 * good grace, would be replaced for ever. */
static uint32_t hold_back(mpq_roster *roster, const obituary *it)
{
    mpq_backoff *backoff = &roster->backoff[it->entry.queue];
    if (it->entry.leaving)
        return 0;
    if (!it->lived_well)
        return mpq_backoff_failed(backoff, mpq_clock_monotonic_ms());
    mpq_backoff_reset(backoff);
    return 0;
}

static void bury(mpq_roster *roster, uint32_t index, bool status_known, int status)
{
    obituary it;
    note_started(roster, index);
    recall(roster, index, status_known, status, &it);
    if (it.entry.generation == roster->proving && !it.entry.started && !it.entry.leaving) {
        roster->failed = true;
        snprintf(roster->failure, sizeof roster->failure, "a worker of queue \"%.128s\" could not start: %.800s",
                 queue_name(roster, it.entry.queue), it.how);
    }
    it.had_job = mpq_death_settle(roster->self, &it.death, &it.job);
    memset(&roster->entries[index], 0, sizeof roster->entries[index]);
    announce(roster, &it, hold_back(roster, &it));
}

/* Whether the child was reaped before its pid was known. */
static bool take_stray(mpq_roster *roster, pid_t pid, int *status)
{
    uint32_t kept = roster->stray_count < MPQ_ROSTER_STRAYS ? roster->stray_count : MPQ_ROSTER_STRAYS;
    for (uint32_t i = 0; i < kept; i++) {
        if (roster->strays[i].pid != pid)
            continue;
        *status = roster->strays[i].status;
        roster->strays[i].pid = 0;
        return true;
    }
    return false;
}

static void answer_counted(mpq_roster *roster, uint32_t index)
{
    roster->entries[index].asked = false;
    if (--roster->asked == 0)
        roster->stray_count = 0;
}

/* More strays than are remembered may have died meanwhile, so the kernel is asked, too. */
static void learn_pid(mpq_roster *roster, uint32_t index, pid_t pid)
{
    int status = 0;
    roster->entries[index].pid = pid;
    roster->entries[index].since_ms = mpq_clock_monotonic_ms();
    bool reaped = take_stray(roster, pid, &status);
    bool gone = reaped || (kill(pid, 0) < 0 && errno == ESRCH);
    answer_counted(roster, index);
    if (gone)
        bury(roster, index, reaped, status);
    else
        mpq_log_write(roster->self->log, MPQ_LEVEL_DEBUG, "worker %d of queue \"%s\" was forked", (int)pid,
                      queue_name(roster, roster->entries[index].queue));
}

void mpq_roster_answered(mpq_roster *roster, mpq_generation *generation, const mpq_template_reply *reply)
{
    uint32_t index = reply->index;
    if (index >= roster->capacity || !roster->entries[index].asked ||
        roster->entries[index].generation != generation->number)
        return;
    if (generation->unanswered > 0)
        generation->unanswered--;
    if (reply->said == MPQ_TEMPLATE_SPAWNED && reply->pid > 0) {
        learn_pid(roster, index, reply->pid);
        return;
    }
    uint32_t queue = roster->entries[index].queue;
    uint32_t pause_ms = mpq_backoff_failed(&roster->backoff[queue], mpq_clock_monotonic_ms());
    answer_counted(roster, index);
    release(roster, index);
    mpq_log_write(roster->self->log, MPQ_LEVEL_ERROR,
                  "a worker of queue \"%s\" could not be forked: %s; tried again in %g s", queue_name(roster, queue),
                  reply->text, pause_ms / 1000.0);
}

void mpq_roster_template_gone(mpq_roster *roster, mpq_generation *generation)
{
    for (uint32_t i = 0; i < roster->capacity; i++) {
        if (!roster->entries[i].asked || roster->entries[i].generation != generation->number)
            continue;
        int32_t expected = -(int32_t)generation->template_pid;
        if (atomic_compare_exchange_strong(&on_board(roster, i)->pid, &expected, 0)) {
            answer_counted(roster, i);
            release(roster, i);
        } else {
            learn_pid(roster, i, expected);
        }
    }
    generation->unanswered = 0;
}

bool mpq_roster_reaped(mpq_roster *roster, pid_t pid, int status)
{
    for (uint32_t i = 0; i < roster->capacity; i++) {
        if (roster->entries[i].pid != pid)
            continue;
        bury(roster, i, true, status);
        return true;
    }
    if (roster->asked == 0)
        return false;
    uint32_t at = roster->stray_count++ % MPQ_ROSTER_STRAYS;
    roster->strays[at].pid = pid;
    roster->strays[at].status = status;
    return true;
}

/* -- being sent ------------------------------------------------------------------------------------------------ */

/* In grab mode an idle worker waits for the broker, not at the ring. One that is not idle looks at the board before it
 * sleeps; the signal would only disturb the job's I/O. */
static void nudge(const mpq_roster *roster, uint32_t index)
{
    const mpq_roster_entry *entry = &roster->entries[index];
    bool grabs = roster->self->config->queues[entry->queue].mode == MPQ_MODE_GRAB;
    if (grabs && entry->pid > 0 && atomic_load(&on_board(roster, index)->state) == MPQ_WORKER_IDLE)
        kill(entry->pid, MPQ_SIGNAL_INTERRUPT);
}

void mpq_roster_retire(mpq_roster *roster, uint32_t generation, uint64_t leave_by_ms)
{
    for (uint32_t i = 0; i < roster->capacity; i++) {
        mpq_roster_entry *entry = &roster->entries[i];
        if (!entry->used || (generation != 0 && entry->generation != generation))
            continue;
        if (!entry->leaving || leave_by_ms < entry->leave_by_ms)
            entry->leave_by_ms = leave_by_ms;
        entry->leaving = true;
        atomic_store(&on_board(roster, i)->retire, 1);
        nudge(roster, i);
    }
    for (size_t queue = 0; queue < roster->self->config->queue_count; queue++)
        mpq_ring_kick(roster->self->board.rings[queue]);
}

void mpq_roster_kill(mpq_roster *roster, uint32_t index, enum mpq_kill why, uint32_t run)
{
    mpq_roster_entry *entry = &roster->entries[index];
    if (entry->pid <= 0 || entry->killed != MPQ_KILL_NONE)
        return;
    entry->killed = why;
    entry->killed_run = run;
    /* With the programs its job has started. It leads a group from its first moment on, which may be yet to come. */
    if (kill(-entry->pid, SIGKILL) < 0)
        kill(entry->pid, SIGKILL);
}

/* When the worker has to have gone, or to have started. */
static uint64_t limit_of(mpq_roster *roster, uint32_t index)
{
    const mpq_roster_entry *entry = &roster->entries[index];
    if (!entry->used || entry->killed != MPQ_KILL_NONE)
        return UINT64_MAX;
    if (entry->leaving)
        return entry->leave_by_ms;
    uint64_t leaving_at_ms = atomic_load(&on_board(roster, index)->leaving_at_ms);
    if (leaving_at_ms != 0)
        return leaving_at_ms + leave_for_ms(roster);
    if (!entry->started)
        note_started(roster, index);
    return entry->started || entry->pid <= 0 ? UINT64_MAX : entry->since_ms + roster->self->config->start_timeout_ms;
}

uint64_t mpq_roster_kill_late(mpq_roster *roster, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < roster->capacity; i++) {
        const mpq_roster_entry *entry = &roster->entries[i];
        uint64_t at = limit_of(roster, i);
        if (at == UINT64_MAX)
            continue;
        if (at <= now_ms && entry->pid > 0)
            mpq_roster_kill(roster, i, MPQ_KILL_INTERRUPTED, 0);
        else if (at <= now_ms)
            at = now_ms + NOT_KNOWN_YET_MS;
        if (at > now_ms && at < next)
            next = at;
    }
    return next;
}
