/* What a cell's crash point does, to whom, and which further runs of jobs that explains. */
#include "cell_parts.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

pid_t cell_victim(void)
{
    return atomic_load(&cell_life.plan->victim);
}

bool cell_fault_is_pending(void)
{
    return cell_life.cell->fault == CELL_FREEZE && cell_victim() && !cell_life.thawed;
}

/* -- striking -------------------------------------------------------------------------------------------------- */

static bool talks_to_store(void)
{
    const char *name = mpq_crash_point_name(cell_life.cell->site);
    return cell_life.cell->role == CELL_DISPATCHER || cell_life.cell->role == CELL_PRODUCER ||
           strncmp(name, "grab.", 5) == 0 || strncmp(name, "store.", 6) == 0;
}

/* What a crash point does that neither kills nor freezes. */
static void disturb(void *arg)
{
    (void)arg;
    if (cell_life.cell->fault == CELL_RESET)
        proxy_cut(&cell_life.proxy, 0);
    else if (cell_life.cell->fault == CELL_LOST_ANSWER)
        proxy_lose_answer(&cell_life.proxy, talks_to_store() ? getpid() : 0);
    else
        proxy_lose_request(&cell_life.proxy, talks_to_store() ? getpid() : 0);
}

void cell_follow_plan(enum cell_role role)
{
    mpq_crash_use(cell_life.plan, disturb, NULL);
    mpq_crash_be((uint32_t)role);
}

void cell_arm(void)
{
    static const enum mpq_crash_action actions[CELL_FAULTS] = {[CELL_KILL] = MPQ_CRASH_KILL,
                                                               [CELL_FREEZE] = MPQ_CRASH_STOP,
                                                               [CELL_RESET] = MPQ_CRASH_CALL,
                                                               [CELL_LOST_ANSWER] = MPQ_CRASH_CALL,
                                                               [CELL_LOST_REQUEST] = MPQ_CRASH_CALL};
    if (cell_life.cell->fault != CELL_CALM)
        mpq_crash_arm(cell_life.plan, cell_life.cell->site, (uint32_t)cell_life.cell->role,
                      actions[cell_life.cell->fault], cell_life.cell->nth);
}

/* The other node works from the moment on when there is something to take over. */
void cell_look_after_frozen(void)
{
    if (cell_life.cell->fault != CELL_FREEZE || !cell_victim() || cell_life.thawed)
        return;
    cell_launch_rival();
    if (mpq_clock_monotonic_ms() - atomic_load(&cell_life.plan->at_ms) < CELL_FROZEN_MS)
        return;
    kill(cell_victim(), SIGCONT);
    cell_life.thawed = true;
}

/* -- what it explains ------------------------------------------------------------------------------------------ */

static bool names_strike(const char *prefix)
{
    return strncmp(mpq_crash_point_name(cell_life.cell->site), prefix, strlen(prefix)) == 0;
}

/* Runs beyond the first that are explained. A job that BLMOVE has delivered begins to run before its claim is answered:
 * one of each consumer is run again if the claim never arrives. A start that fails breaks off what its workers run. A
 * service that is killed whole forgets what is finished and not settled. Owners that lose their lease lose all they
 * have. */
uint32_t cell_allowed_runs(void)
{
    const cell *plan = cell_life.cell;
    bool sqlite = !plan->redis_path;
    uint32_t allowed = cell_life.failed_starts * CELL_WORKERS;
    if (plan->scenario == CELL_CUT || plan->fault == CELL_RESET)
        allowed += LEDGER_QUEUES;
    if (plan->scenario == CELL_KILLED || plan->scenario == CELL_LEASE)
        allowed += CELL_JOBS;
    if (plan->fault == CELL_KILL && plan->role == CELL_MANAGER && !names_strike("manager.child."))
        allowed += CELL_JOBS;
    if (plan->fault == CELL_KILL && plan->role == CELL_WORKER)
        allowed += 1;
    if (plan->fault == CELL_FREEZE && (plan->role == CELL_DISPATCHER || (sqlite && names_strike("store."))))
        allowed += CELL_JOBS;
    if (plan->fault == CELL_LOST_REQUEST)
        allowed += 1;
    return allowed;
}
