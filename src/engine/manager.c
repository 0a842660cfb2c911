#include "manager.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "clock.h"
#include "crashpoint.h"
#include "deadline.h"
#include "procfs.h"
#include "spawn.h"

enum { SHORT_MS = 100 };

/* -- the dead -------------------------------------------------------------------------------------------------- */

static void describe(int status, char *out, size_t size)
{
    mpq_death death = {.status_known = true, .status = status};
    mpq_death_describe(&death, out, size);
}

/* Damps what dies in a row; says in words when the next one comes. */
static const char *hold_back(mpq_backoff *backoff, uint64_t since_ms, char *out, size_t size)
{
    uint64_t now = mpq_clock_monotonic_ms();
    if (now - since_ms >= MPQ_BACKOFF_WELL_MS)
        mpq_backoff_reset(backoff);
    uint32_t pause_ms = mpq_backoff_failed(backoff, now);
    if (pause_ms)
        snprintf(out, size, "the next one is started in %g s", pause_ms / 1000.0);
    else
        snprintf(out, size, "it is replaced");
    return out;
}

static void lose_dispatcher(mpq_manager *manager, int status)
{
    struct mpq_board_shared *shared = manager->self->board.shared;
    mpq_log *log = manager->self->log;
    char how[128], next[64], why[sizeof manager->failure];
    pid_t pid = manager->dispatcher.pid;
    manager->dispatcher.pid = 0;
    atomic_store(&manager->self->board.file->dispatcher_pid, 0);
    MPQ_CRASH_POINT("manager.reap.dispatcher_lost");
    describe(status, how, sizeof how);
    manager->dispatcher.ever_ready |= atomic_load(&shared->dispatcher_ready) != 0;
    if (manager->stage == MPQ_STAGE_SETTLING && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        manager->dispatcher.detached = true;
        return;
    }
    if (manager->stage == MPQ_STAGE_STARTING && !manager->dispatcher.ever_ready) {
        shared->start_error[sizeof shared->start_error - 1] = 0;
        if (shared->start_error[0])
            snprintf(why, sizeof why, "%s", shared->start_error);
        else
            snprintf(why, sizeof why, "the dispatcher %s while it started", how);
        mpq_manager_fail_start(manager, why);
        return;
    }
    hold_back(&manager->dispatcher.backoff, manager->dispatcher.since_ms, next, sizeof next);
    mpq_log_write(log, MPQ_LEVEL_ERROR, "the dispatcher (pid %d) %s; %s", (int)pid, how, next);
}

static void hear_template(mpq_manager *manager, mpq_generation *generation)
{
    mpq_template_reply reply;
    while (mpq_generation_hear(generation, &reply) == 0) {
        if (reply.said == MPQ_TEMPLATE_READY)
            generation->ready = true;
        else if (reply.said == MPQ_TEMPLATE_FAILED)
            snprintf(generation->error, sizeof generation->error, "preload failed: %.900s", reply.text);
        else
            mpq_roster_answered(&manager->roster, generation, &reply);
    }
}

static void lose_template(mpq_manager *manager, mpq_generation *generation, int status)
{
    char how[128], next[64];
    pid_t pid = generation->template_pid;
    hear_template(manager, generation); /* what it said before it died */
    mpq_roster_template_gone(&manager->roster, generation);
    MPQ_CRASH_POINT("manager.reap.template_lost");
    mpq_generation_hang_up(generation);
    generation->template_pid = 0;
    if (generation->retired || manager->stage >= MPQ_STAGE_SETTLING)
        return;
    describe(status, how, sizeof how);
    if (!generation->ready && generation->error[0] == 0)
        snprintf(generation->error, sizeof generation->error, "the template %s while it loaded the preload", how);
    if (!generation->ready && !generation->proven)
        return; /* the end of the start or of the reload: see mpq_manager_advance */
    hold_back(&generation->backoff, generation->template_since_ms, next, sizeof next);
    mpq_log_write(manager->self->log, MPQ_LEVEL_ERROR, "the template (pid %d) %s; %s", (int)pid,
                  generation->ready ? how : generation->error, next);
    generation->error[0] = 0;
}

static mpq_generation *with_template(const mpq_manager *manager, pid_t pid)
{
    mpq_generation *generation = manager->generations;
    while (generation && generation->template_pid != pid)
        generation = generation->older;
    return generation;
}

static void reap(mpq_manager *manager)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        mpq_generation *generation = with_template(manager, pid);
        MPQ_CRASH_POINT("manager.reap.waited");
        if (pid == manager->dispatcher.pid)
            lose_dispatcher(manager, status);
        else if (generation)
            lose_template(manager, generation, status);
        else if (!mpq_roster_reaped(&manager->roster, pid, status))
            mpq_log_write(manager->self->log, MPQ_LEVEL_DEBUG, "process %d, which a job had left behind, has ended",
                          (int)pid);
    }
}

static void hear_templates(mpq_manager *manager)
{
    for (mpq_generation *generation = manager->generations; generation; generation = generation->older)
        hear_template(manager, generation);
}

/* -- the missing ----------------------------------------------------------------------------------------------- */

/* All of these return 0, or 1 in a child. */

static void report_fork(mpq_manager *manager, mpq_backoff *backoff, const char *what, const mpq_error *err)
{
    uint32_t pause_ms = mpq_backoff_failed(backoff, mpq_clock_monotonic_ms());
    mpq_log_write(manager->self->log, MPQ_LEVEL_ERROR, "%s could not be started: %s; tried again in %g s", what,
                  err->text, pause_ms / 1000.0);
}

static bool wants_dispatcher(const mpq_manager *manager, uint64_t now_ms)
{
    if (manager->dispatcher.pid != 0 || manager->dispatcher.detached || now_ms < manager->dispatcher.backoff.next_at_ms)
        return false;
    if (manager->stage >= MPQ_STAGE_STOPPING && !manager->dispatcher.ever_ready)
        return false;
    return manager->stage < MPQ_STAGE_SETTLING || now_ms < manager->settle_by_ms;
}

static int restore_dispatcher(mpq_manager *manager, uint64_t now_ms)
{
    mpq_error err;
    if (!wants_dispatcher(manager, now_ms))
        return 0;
    MPQ_CRASH_POINT("manager.dispatcher.before_fork");
    pid_t pid = mpq_spawn_child(manager->self, MPQ_ROLE_DISPATCHER, &err);
    if (pid == 0)
        return 1;
    if (pid < 0) {
        report_fork(manager, &manager->dispatcher.backoff, "a dispatcher", &err);
        return 0;
    }
    mpq_board_file *file = manager->self->board.file;
    MPQ_CRASH_POINT("manager.dispatcher.forked");
    manager->dispatcher.pid = pid;
    manager->dispatcher.since_ms = now_ms;
    manager->dispatcher.started_at_ms = mpq_clock_wall_ms();
    atomic_store(&file->dispatcher_born, mpq_procfs_born(pid));
    MPQ_CRASH_POINT("manager.dispatcher.born_noted");
    atomic_store(&file->dispatcher_pid, (int32_t)pid);
    mpq_log_write(manager->self->log, MPQ_LEVEL_INFO, "dispatcher %d started", (int)pid);
    return 0;
}

static int restore_template(mpq_manager *manager, mpq_generation *generation, uint64_t now_ms)
{
    mpq_error err;
    if (generation->retired || generation->template_pid != 0 || generation->error[0] != 0 ||
        now_ms < generation->backoff.next_at_ms || manager->stage >= MPQ_STAGE_STOPPING)
        return 0;
    MPQ_CRASH_POINT("manager.template.before_fork");
    int forked = mpq_generation_fork(generation, manager->self, manager->loop, &err);
    if (forked > 0)
        return 1;
    if (forked < 0) {
        report_fork(manager, &generation->backoff, "a template", &err);
        return 0;
    }
    mpq_board_file *file = manager->self->board.file;
    atomic_store(&file->template_born, mpq_procfs_born(generation->template_pid));
    MPQ_CRASH_POINT("manager.template.forked");
    atomic_store(&file->template_pid, (int32_t)generation->template_pid);
    mpq_log_write(manager->self->log, MPQ_LEVEL_INFO, "template %d of generation %u started",
                  (int)generation->template_pid, generation->number);
    return 0;
}

/* One for each queue is enough to prove a generation while an older one does the work. */
static uint32_t wanted_workers(const mpq_manager *manager, const mpq_generation *generation, uint32_t queue)
{
    uint32_t all = manager->self->config->queues[queue].workers;
    if (generation->retired || manager->stage >= MPQ_STAGE_STOPPING)
        return 0;
    return generation->proven || manager->stage == MPQ_STAGE_STARTING || all == 0 ? all : 1;
}

static void restore_workers(mpq_manager *manager, mpq_generation *generation, uint64_t now_ms)
{
    for (uint32_t queue = 0; queue < manager->self->config->queue_count; queue++) {
        uint32_t wanted = wanted_workers(manager, generation, queue);
        if (wanted == 0 || now_ms < manager->roster.backoff[queue].next_at_ms)
            continue;
        uint32_t have = mpq_roster_count(&manager->roster, generation->number, queue);
        while (have < wanted && mpq_roster_ask(&manager->roster, generation, queue) == 0)
            have++;
        manager->short_of_workers |= have < wanted && generation->ready;
    }
}

static int restore(mpq_manager *manager, uint64_t now_ms)
{
    manager->short_of_workers = false;
    if (restore_dispatcher(manager, now_ms))
        return 1;
    for (mpq_generation *generation = manager->generations; generation; generation = generation->older) {
        if (restore_template(manager, generation, now_ms))
            return 1;
        restore_workers(manager, generation, now_ms);
    }
    return 0;
}

/* -- the loop -------------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_retry(const mpq_manager *manager, uint64_t now_ms)
{
    uint64_t next = mpq_roster_next_try(&manager->roster, now_ms);
    if (manager->short_of_workers)
        next = earlier(next, now_ms + SHORT_MS);
    if (manager->dispatcher.backoff.next_at_ms > now_ms)
        next = earlier(next, manager->dispatcher.backoff.next_at_ms);
    for (const mpq_generation *generation = manager->generations; generation; generation = generation->older)
        if (generation->backoff.next_at_ms > now_ms)
            next = earlier(next, generation->backoff.next_at_ms);
    return next;
}

/* First announced, then looked at: a run that begins after we have looked sees when we wake, and a run that began
 * before is found by looking. */
static void set_alarm(mpq_manager *manager, uint64_t now_ms)
{
    struct mpq_board_shared *shared = manager->self->board.shared;
    uint64_t next = earlier(next_retry(manager, now_ms), mpq_manager_next_advance(manager));
    next = earlier(next, mpq_roster_kill_late(&manager->roster, now_ms));
    next = earlier(next, mpq_control_server_expire(manager->control, now_ms));
    atomic_store(&shared->manager_wakes_at_ms, next);
    next = earlier(next, mpq_deadline_enforce(&manager->roster, now_ms));
    atomic_store(&shared->manager_wakes_at_ms, next);
    if (next == UINT64_MAX)
        mpq_watch_stop(manager->timer);
    else
        mpq_watch_start(manager->timer, next > now_ms ? (next - now_ms) * 1000 : 0);
}

/* 0 = go on (or over), 1 = this is a child. */
static int step(mpq_manager *manager)
{
    reap(manager);
    hear_templates(manager);
    uint64_t now_ms = mpq_clock_monotonic_ms();
    mpq_manager_advance(manager, now_ms);
    if (manager->stage == MPQ_STAGE_OVER)
        return 0;
    if (restore(manager, now_ms))
        return 1;
    set_alarm(manager, now_ms);
    return 0;
}

static void wait_for_event(mpq_manager *manager)
{
    struct timespec pause = {.tv_nsec = 100000000};
    if (mpq_loop_once(manager->loop, true) >= 0)
        return;
    mpq_log_write(manager->self->log, MPQ_LEVEL_CRITICAL, "the manager's event loop fails: %s", strerror(errno));
    nanosleep(&pause, NULL); /* without events we still look after everybody */
}

int mpq_manager_run(mpq_process *self, int report_fd, mpq_error *err)
{
    mpq_manager *manager = calloc(1, sizeof *manager);
    if (!manager)
        return mpq_error_set_memory(err), 1;
    if (mpq_manager_open(manager, self, report_fd, err) < 0) {
        manager->failed = true;
        snprintf(manager->failure, sizeof manager->failure, "%s", err->text);
        mpq_manager_close(manager);
        free(manager);
        return 1;
    }
    int forked = 0;
    while (forked == 0 && manager->stage != MPQ_STAGE_OVER) {
        forked = step(manager);
        if (forked == 0 && manager->stage != MPQ_STAGE_OVER)
            wait_for_event(manager);
    }
    int status = 0;
    if (forked) {
        mpq_manager_forget(manager);
    } else {
        status = manager->failed;
        if (manager->failed)
            mpq_error_set(err, MPQ_ERROR_STATE, "%s", manager->failure);
        mpq_manager_close(manager);
    }
    free(manager);
    return status;
}
