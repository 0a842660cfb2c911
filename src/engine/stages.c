/* How a service starts, reloads and stops. Every function can be called at any time and does what can be done now. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "crashpoint.h"
#include "daemon.h"
#include "manager.h"

enum {
    SETTLE_FOR_MS = 6000, /* for the dispatcher, which gives up by itself a little earlier */
    TEMPLATE_FOR_MS = 2000,
    LOOK_EVERY_MS = 50
};

static mpq_log *log_of(const mpq_manager *manager)
{
    return manager->self->log;
}

mpq_generation *mpq_manager_proving(const mpq_manager *manager)
{
    mpq_generation *newest = manager->generations;
    return newest && !newest->proven && !newest->retired ? newest : NULL;
}

/* -- generations ----------------------------------------------------------------------------------------------- */

int mpq_manager_add_generation(mpq_manager *manager, mpq_error *err)
{
    mpq_generation *generation = mpq_generation_new(manager->last_generation + 1, manager->generations);
    if (!generation)
        return mpq_error_set_memory(err);
    generation->prove_by_ms = mpq_clock_monotonic_ms() + manager->self->config->start_timeout_ms;
    manager->last_generation++;
    manager->generations = generation;
    mpq_roster_prove(&manager->roster, generation->number);
    return 0;
}

/* It gets no more workers; those it has leave, and then the template. One that still loads user code is not waited for.
 */
static void retire(mpq_manager *manager, mpq_generation *generation, uint64_t leave_by_ms)
{
    generation->retired = true;
    if (!generation->ready && generation->template_pid > 0)
        kill(generation->template_pid, SIGKILL);
    mpq_roster_retire(&manager->roster, generation->number, leave_by_ms);
}

static void dismiss_template(mpq_generation *generation, uint64_t now_ms)
{
    if (generation->fd >= 0) {
        mpq_generation_hang_up(generation);
        generation->go_by_ms = now_ms + TEMPLATE_FOR_MS;
    }
    if (generation->template_pid > 0 && now_ms >= generation->go_by_ms)
        kill(generation->template_pid, SIGKILL);
}

static void clear_away(mpq_manager *manager, uint64_t now_ms)
{
    for (mpq_generation **at = &manager->generations; *at;) {
        mpq_generation *generation = *at;
        if (generation->retired && generation->unanswered == 0)
            dismiss_template(generation, now_ms);
        if (!generation->retired || generation->template_pid != 0 ||
            mpq_roster_left(&manager->roster, generation->number) > 0) {
            at = &generation->older;
            continue;
        }
        *at = generation->older;
        generation->older = NULL;
        mpq_generation_free(generation, true);
    }
}

/* NULL while it may still succeed. `text` is room for the answer. */
static const char *verdict(mpq_manager *manager, const mpq_generation *generation, uint64_t now_ms, char *text,
                           size_t size)
{
    uint32_t queue = 0;
    if (generation->error[0])
        return generation->error;
    if (manager->stage == MPQ_STAGE_RUNNING && manager->roster.failed)
        return manager->roster.failure;
    if (now_ms < generation->prove_by_ms || mpq_roster_proven(&manager->roster, &queue))
        return NULL;
    snprintf(text, size, "no worker of queue \"%.128s\" has started within %g s%s%.700s",
             manager->self->config->queues[queue].name, manager->self->config->start_timeout_ms / 1000.0,
             manager->roster.failed ? "; " : "", manager->roster.failure);
    return text;
}

/* -- start ----------------------------------------------------------------------------------------------------- */

static void begin_stop(mpq_manager *manager, uint64_t leave_by_ms);

void mpq_manager_fail_start(mpq_manager *manager, const char *why)
{
    snprintf(manager->failure, sizeof manager->failure, "%s", why);
    manager->failed = true;
    mpq_log_write(log_of(manager), MPQ_LEVEL_CRITICAL, "service \"%s\" could not start: %s",
                  manager->self->config->name, why);
    begin_stop(manager, mpq_clock_monotonic_ms());
}

static void advance_start(mpq_manager *manager, uint64_t now_ms)
{
    mpq_generation *first = manager->generations;
    uint32_t missing;
    char text[sizeof manager->failure];
    const char *why = verdict(manager, first, now_ms, text, sizeof text);
    bool proven = mpq_roster_proven(&manager->roster, &missing);
    if (!why && proven && !manager->dispatcher.ever_ready && now_ms >= first->prove_by_ms)
        why = "the dispatcher has not become ready in time";
    if (why) {
        mpq_manager_fail_start(manager, why);
        return;
    }
    if (!proven || !manager->dispatcher.ever_ready)
        return;
    first->proven = true;
    manager->stage = MPQ_STAGE_RUNNING;
    mpq_log_write(log_of(manager), MPQ_LEVEL_NOTICE, "service \"%s\" has started (pid %d)", manager->self->config->name,
                  (int)manager->self->manager_pid);
    mpq_daemon_report(&manager->report_fd, NULL);
}

/* -- reload ---------------------------------------------------------------------------------------------------- */

int mpq_manager_begin_reload(mpq_manager *manager, mpq_error *err)
{
    const char *name = manager->self->config->name;
    if (manager->stage == MPQ_STAGE_STARTING)
        return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" has not started yet", name);
    if (manager->stage != MPQ_STAGE_RUNNING)
        return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" is stopping", name);
    if (mpq_manager_proving(manager))
        return mpq_error_set(err, MPQ_ERROR_STATE, "service \"%s\" is already reloading", name);
    if (mpq_manager_add_generation(manager, err) < 0)
        return -1;
    mpq_log_write(log_of(manager), MPQ_LEVEL_NOTICE, "reload: generation %u is being started",
                  manager->last_generation);
    return 0;
}

static void take_over(mpq_manager *manager, mpq_generation *generation, uint64_t now_ms)
{
    uint64_t leave_by_ms = now_ms + manager->self->config->stop_timeout_ms;
    generation->proven = true;
    for (mpq_generation *older = generation->older; older; older = older->older)
        if (!older->retired)
            retire(manager, older, leave_by_ms);
    mpq_log_write(log_of(manager), MPQ_LEVEL_NOTICE,
                  "reload: generation %u has taken over; the workers before it leave after their jobs",
                  generation->number);
    mpq_control_server_reloaded(manager->control, NULL);
}

static void drop(mpq_manager *manager, mpq_generation *generation, const char *why, uint64_t now_ms)
{
    char text[sizeof manager->failure];
    snprintf(text, sizeof text, "the reload has failed, the service goes on with the code it had: %.900s", why);
    retire(manager, generation, now_ms + manager->self->config->stop_timeout_ms);
    for (uint32_t i = 0; i < manager->roster.capacity; i++) {
        const mpq_roster_entry *entry = &manager->roster.entries[i];
        int32_t state = atomic_load(&manager->self->board.file->workers[i].state);
        if (entry->used && entry->generation == generation->number && state == MPQ_WORKER_STARTING)
            mpq_roster_kill(&manager->roster, i, MPQ_KILL_INTERRUPTED, 0);
    }
    mpq_roster_prove(&manager->roster, 0);
    mpq_log_write(log_of(manager), MPQ_LEVEL_ERROR, "%s", text);
    mpq_control_server_reloaded(manager->control, text);
}

static void advance_reload(mpq_manager *manager, uint64_t now_ms)
{
    mpq_error err;
    mpq_generation *generation;
    uint32_t missing;
    char text[sizeof manager->failure];
    if (manager->reload_signalled && mpq_manager_begin_reload(manager, &err) < 0)
        mpq_log_write(log_of(manager), MPQ_LEVEL_WARNING, "reload refused: %s", err.text);
    manager->reload_signalled = false;
    generation = mpq_manager_proving(manager);
    if (!generation)
        return;
    const char *why = verdict(manager, generation, now_ms, text, sizeof text);
    if (why)
        drop(manager, generation, why, now_ms);
    else if (mpq_roster_proven(&manager->roster, &missing))
        take_over(manager, generation, now_ms);
}

/* -- stop ------------------------------------------------------------------------------------------------------ */

static void begin_stop(mpq_manager *manager, uint64_t leave_by_ms)
{
    mpq_board *board = &manager->self->board;
    manager->stage = MPQ_STAGE_STOPPING;
    MPQ_CRASH_POINT("manager.stop.before");
    atomic_store(&board->shared->stopping, 1);
    MPQ_CRASH_POINT("manager.stop.announced");
    mpq_board_wake(board->dispatcher_wake_fd);
    mpq_control_server_reloaded(manager->control, "the service is stopping");
    for (mpq_generation *generation = manager->generations; generation; generation = generation->older)
        retire(manager, generation, leave_by_ms);
    mpq_roster_retire(&manager->roster, 0, leave_by_ms);
    MPQ_CRASH_POINT("manager.stop.retired");
}

/* The first signal lets running jobs end, the second does not. */
static void heed_stop(mpq_manager *manager, uint64_t now_ms)
{
    unsigned signals = manager->stop_signals;
    bool at_once = signals >= 2 && manager->stop_signals_heeded < 2;
    if (manager->stage < MPQ_STAGE_STOPPING && (manager->stop_asked || signals > 0)) {
        mpq_log_write(log_of(manager), MPQ_LEVEL_NOTICE, "service \"%s\" is stopping: running jobs have %g s to end",
                      manager->self->config->name, manager->self->config->stop_timeout_ms / 1000.0);
        begin_stop(manager, now_ms + manager->self->config->stop_timeout_ms);
    }
    if (manager->stage == MPQ_STAGE_STOPPING && at_once) {
        mpq_log_write(log_of(manager), MPQ_LEVEL_NOTICE, "stopping at once: running jobs are handed back");
        mpq_roster_retire(&manager->roster, 0, now_ms);
    }
    manager->stop_signals_heeded = signals;
}

/* A template that does not answer (stopped, or in endless user code) would leave us waiting for a worker's pid. */
static void hurry_templates(mpq_manager *manager, uint64_t now_ms)
{
    for (uint32_t i = 0; i < manager->roster.capacity; i++) {
        const mpq_roster_entry *entry = &manager->roster.entries[i];
        if (!entry->asked || !entry->leaving || entry->leave_by_ms > now_ms)
            continue;
        for (mpq_generation *generation = manager->generations; generation; generation = generation->older)
            if (generation->number == entry->generation && generation->template_pid > 0)
                kill(generation->template_pid, SIGKILL);
    }
}

static void begin_settling(mpq_manager *manager, uint64_t now_ms)
{
    manager->stage = MPQ_STAGE_SETTLING;
    manager->settle_by_ms = now_ms + SETTLE_FOR_MS;
    mpq_backoff_reset(&manager->dispatcher.backoff);
    MPQ_CRASH_POINT("manager.settle.before");
    atomic_store(&manager->self->board.shared->stopping, 2);
    mpq_board_wake(manager->self->board.dispatcher_wake_fd);
    MPQ_CRASH_POINT("manager.settle.announced");
}

static bool has_settled(mpq_manager *manager, uint64_t now_ms)
{
    if (manager->dispatcher.detached)
        return true;
    if (manager->dispatcher.pid == 0)
        return !manager->dispatcher.ever_ready || now_ms >= manager->settle_by_ms;
    if (now_ms >= manager->settle_by_ms)
        kill(manager->dispatcher.pid, SIGKILL);
    return false;
}

static void advance_stop(mpq_manager *manager, uint64_t now_ms)
{
    mpq_roster_kill_late(&manager->roster, now_ms);
    if (manager->stage == MPQ_STAGE_STOPPING && mpq_roster_left(&manager->roster, 0) == 0)
        begin_settling(manager, now_ms);
    if (manager->stage != MPQ_STAGE_SETTLING || !has_settled(manager, now_ms) || manager->generations)
        return;
    if (manager->dispatcher.ever_ready && !manager->dispatcher.detached)
        mpq_log_write(
            log_of(manager), MPQ_LEVEL_ERROR,
            "the dispatcher could not hand everything back; the jobs it held are run again when the lease has "
            "ended or when the service starts again");
    MPQ_CRASH_POINT("manager.stop.over");
    manager->stage = MPQ_STAGE_OVER;
}

/* -------------------------------------------------------------------------------------------------------------- */

static void look_at_dispatcher(mpq_manager *manager)
{
    if (atomic_load(&manager->self->board.shared->dispatcher_ready) != 0)
        manager->dispatcher.ever_ready = true;
}

void mpq_manager_advance(mpq_manager *manager, uint64_t now_ms)
{
    look_at_dispatcher(manager);
    heed_stop(manager, now_ms);
    if (manager->stage == MPQ_STAGE_STARTING)
        advance_start(manager, now_ms);
    else if (manager->stage == MPQ_STAGE_RUNNING)
        advance_reload(manager, now_ms);
    hurry_templates(manager, now_ms);
    clear_away(manager, now_ms);
    if (manager->stage >= MPQ_STAGE_STOPPING)
        advance_stop(manager, now_ms);
}

/* While something is under way it is looked at often; what moves it on wakes the loop anyway, mostly. */
uint64_t mpq_manager_next_advance(const mpq_manager *manager)
{
    bool leaving = manager->generations && manager->generations->older;
    if (manager->stage == MPQ_STAGE_RUNNING && !mpq_manager_proving(manager) && !leaving)
        return UINT64_MAX;
    return mpq_clock_monotonic_ms() + LOOK_EVERY_MS;
}
