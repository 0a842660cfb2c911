#include "cell_parts.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "procfs.h"

const char *const cell_scenario_names[CELL_SCENARIOS] = {"stopped", "reloaded", "cut", "killed", "lease"};
const char *const cell_fault_names[CELL_FAULTS] = {"calm", "kill", "freeze", "reset", "lost-answer", "lost-request"};
const char *const cell_role_names[CELL_ROLES] = {"manager", "dispatcher", "template", "worker", "producer"};
const char *const cell_queue_names[LEDGER_QUEUES] = {"q", "g"};

enum { ALTOGETHER_MS = 90000 };

struct cell_life cell_life;

void cell_blame(const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t used = strlen(cell_life.result->problem);
    if (cell_life.result->problems++ < 4)
        snprintf(cell_life.result->problem + used, sizeof cell_life.result->problem - used, "%s%s", used ? "; " : "",
                 text);
}

/* -- the scenario's event -------------------------------------------------------------------------------------- */

/* A stop that the fault turned into a death is a stop to be done again. */
static void stop_service(void)
{
    for (int tries = 0; tries < 4; tries++) {
        if (!cell_await(cell_is_up, "for the service to be up before it is stopped"))
            return;
        pid_t pid = cell_life.service.pid;
        cell_life.wanted = false;
        kill(pid, SIGTERM);
        if (!cell_await(cell_has_ended, "for the service to stop"))
            return;
        if (pid != cell_victim() || cell_life.cell->fault != CELL_KILL)
            return;
        cell_life.wanted = true;
    }
}

static void freeze_dispatcher(void)
{
    cell_await(cell_is_up, "for the service to be up before its dispatcher is frozen");
    pid_t pid = fake_service_pid(&cell_life.service, "dispatcher", NULL);
    if (pid <= 0 || kill(pid, SIGSTOP) < 0)
        return;
    uint64_t began = mpq_clock_monotonic_ms();
    cell_launch_rival();
    while (mpq_clock_monotonic_ms() - began < CELL_FROZEN_MS)
        cell_tick();
    kill(pid, SIGCONT);
}

static void take_place(void)
{
    switch (cell_life.cell->scenario) {
    case CELL_STOPPED:
        stop_service();
        cell_life.wanted = true;
        break;
    case CELL_RELOADED:
        cell_await(cell_is_up, "for the service to be up before its reload");
        kill(cell_life.service.pid, SIGUSR2);
        break;
    case CELL_CUT:
        proxy_cut(&cell_life.proxy, 0);
        break;
    case CELL_KILLED:
        cell_await(cell_is_thawed, "for the fault to be over");
        cell_life.killed_by_us = cell_life.service.pid > 0;
        if (cell_life.service.pid > 0)
            kill(cell_life.service.pid, SIGKILL);
        break;
    default:
        freeze_dispatcher();
    }
}

/* -- the whole ------------------------------------------------------------------------------------------------- */

static void work(void)
{
    cell_arm();
    cell_life.wanted = true;
    cell_launch();
    cell_launch_producer();
    if (!cell_await(cell_is_halfway, "for half of the jobs"))
        return;
    take_place();
    if (!cell_await(cell_is_drained, "for all jobs"))
        return;
    cell_await(cell_has_no_zombies, "for the manager to reap its children");
    stop_service();
    /* The fault may have come with the stop, and jobs with it. */
    cell_life.wanted = !cell_is_drained();
    if (cell_life.wanted && cell_await(cell_is_drained, "for the jobs that were left by the stop"))
        stop_service();
    cell_life.wanted = false;
    if (cell_life.rival.pid > 0)
        kill(cell_life.rival.pid, SIGTERM);
    cell_await(cell_rival_has_ended, "for the other node to stop");
}

static void clear_away(void)
{
    pid_t pids[64];
    if (cell_life.cell->redis_path) {
        int lost = proxy_losses(&cell_life.proxy);
        cell_life.result->losses = lost > 0 ? (uint32_t)lost : 0;
        proxy_stop(&cell_life.proxy);
    }
    size_t left = fake_service_left(1000);
    if (left == 0)
        return;
    cell_blame("%zu processes are left behind", left);
    left = mpq_procfs_children(getpid(), pids, 64);
    for (size_t i = 0; i < left && i < 64; i++)
        kill(pids[i], SIGKILL);
    fake_service_left(2000);
}

static void note_hits(void)
{
    for (size_t role = 0; role < MPQ_CRASH_ROLES_MAX; role++)
        for (size_t site = 0; site < MPQ_CRASH_POINTS_MAX; site++)
            cell_life.result->hits[role][site] = atomic_load(&cell_life.plan->hits[role][site]);
    cell_life.result->struck = cell_victim() != 0;
}

void cell_run(const cell *plan, cell_result *result)
{
    uint64_t began = mpq_clock_monotonic_ms();
    cell_life.give_up_at_ms = began + ALTOGETHER_MS;
    cell_life.cell = plan;
    cell_life.result = result;
    cell_set_up();
    work();
    clear_away();
    note_hits();
    cell_check();
    mpq_producer_close(cell_life.own);
    mpq_broker_config_fini(&cell_life.direct);
    fake_service_fini(&cell_life.service);
    fake_service_fini(&cell_life.rival);
    result->ms = (uint32_t)(mpq_clock_monotonic_ms() - began);
    result->over = 1;
}
