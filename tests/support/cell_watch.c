/* Keeps the processes of a cell going while it waits for something, and answers how far they are. */
#include "cell_parts.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "clock.h"
#include "procfs.h"

enum {
    PATIENCE_MS = 30000,
    HALFWAY = 9 /* jobs that have ended when the scenario's event takes place */
};

void cell_launch(void)
{
    cell_follow_plan(CELL_MANAGER);
    fake_service_launch(&cell_life.service);
    mpq_crash_use(NULL, NULL, NULL);
    cell_life.result->starts++;
}

void cell_launch_rival(void)
{
    if (cell_life.rival_launched)
        return;
    cell_life.rival_launched = true;
    fake_service_launch(&cell_life.rival);
}

/* -- endings --------------------------------------------------------------------------------------------------- */

static void service_ended(int status)
{
    pid_t pid = cell_life.service.pid;
    cell_life.service.pid = 0;
    if (WIFSIGNALED(status)) {
        if (WTERMSIG(status) != SIGKILL || (pid != cell_victim() && !cell_life.killed_by_us))
            cell_blame("the manager was killed by signal %d", WTERMSIG(status));
        cell_life.killed_by_us = false;
    } else if (WEXITSTATUS(status) == 1 && cell_victim() && cell_life.failed_starts < 2) {
        cell_life.failed_starts++; /* the fault came before the service had started: it says so and ends */
    } else if (WEXITSTATUS(status) != 0) {
        cell_blame("the service ended with status %d", WEXITSTATUS(status));
    } else if (cell_life.wanted) {
        cell_blame("the service has stopped by itself");
    }
}

static void rival_ended(int status)
{
    bool locked_out = !cell_life.cell->redis_path && WIFEXITED(status) && WEXITSTATUS(status) == 1 && cell_life.wanted;
    cell_life.rival.pid = 0;
    if (status != 0 && !locked_out)
        cell_blame("the other node ended with status 0x%x", (unsigned)status);
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == cell_life.service.pid)
            service_ended(status);
        else if (pid == cell_life.producer)
            cell_producer_ended(status);
        else if (pid == cell_life.rival.pid)
            rival_ended(status);
        else if (pid == cell_life.proxy.pid)
            cell_blame("the proxy died");
    }
}

/* -- waiting --------------------------------------------------------------------------------------------------- */

void cell_tick(void)
{
    reap();
    cell_look_after_frozen();
    if (cell_life.wanted && cell_life.service.pid == 0 && cell_life.failed_starts < 3)
        cell_launch();
    fake_service_pause(5);
}

static uint64_t patience_ends(void)
{
    uint64_t until = mpq_clock_monotonic_ms() + PATIENCE_MS;
    return until < cell_life.give_up_at_ms ? until : cell_life.give_up_at_ms;
}

bool cell_await(bool (*done)(void), const char *what)
{
    uint64_t until = patience_ends();
    while (!done()) {
        if (mpq_clock_monotonic_ms() > until) {
            cell_blame("waited in vain: %s", what);
            return false;
        }
        cell_tick();
    }
    return true;
}

/* -- questions ------------------------------------------------------------------------------------------------- */

mpq_counts cell_count(uint32_t queue)
{
    mpq_counts counts = {0};
    mpq_error err;
    mpq_broker *broker = mpq_producer_broker(cell_life.own);
    /* An SQLite file may be locked by somebody who was frozen. */
    if (broker->ops->counts(broker, cell_queue_names[queue], &counts, &err) < 0)
        counts.running = 1;
    return counts;
}

bool cell_is_drained(void)
{
    if (!cell_life.produced || cell_fault_is_pending())
        return false;
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_counts counts = cell_count(i);
        if (counts.ready + counts.delayed + counts.running > 0)
            return false;
    }
    return true;
}

bool cell_is_halfway(void)
{
    return atomic_load(&cell_life.ledger->ended) >= HALFWAY || cell_is_drained();
}

bool cell_has_ended(void)
{
    return cell_life.service.pid == 0;
}

bool cell_rival_has_ended(void)
{
    return cell_life.rival.pid == 0;
}

bool cell_is_up(void)
{
    mpq_status_row row;
    return cell_life.service.pid > 0 && !cell_fault_is_pending() &&
           fake_service_row(&cell_life.service, "manager", "idle", &row);
}

bool cell_is_thawed(void)
{
    return !cell_fault_is_pending();
}

static bool is_zombie(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    int fields = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return fields == 1 && state == 'Z';
}

bool cell_has_no_zombies(void)
{
    pid_t pids[64];
    size_t found = cell_life.service.pid > 0 ? mpq_procfs_children(cell_life.service.pid, pids, 64) : 0;
    for (size_t i = 0; i < found && i < 64; i++)
        if (is_zombie(pids[i]))
            return false;
    return true;
}
