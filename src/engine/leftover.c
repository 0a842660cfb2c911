#include "leftover.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "group.h"
#include "procfs.h"

enum { LOOK_EVERY_MS = 5, WAIT_MS = 500, GIVE_UP_MS = 5000 };

static void pause_a_little(void)
{
    struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    nanosleep(&pause, NULL);
}

/* -- the predecessor's ----------------------------------------------------------------------------------------- */

static bool lives(pid_t pid, uint64_t born)
{
    return pid > 0 && pid != getpid() && born != 0 && mpq_procfs_born(pid) == born;
}

static unsigned end_one(pid_t pid, uint64_t born, bool kill_it)
{
    if (!lives(pid, born))
        return 0;
    if (kill_it)
        kill(pid, SIGKILL);
    return 1;
}

static unsigned end_all(const mpq_board_file *dead, bool kill_them)
{
    unsigned left = end_one(dead->dispatcher_pid, dead->dispatcher_born, kill_them) +
                    end_one(dead->template_pid, dead->template_born, kill_them);
    for (uint32_t i = 0; i < dead->worker_capacity; i++) {
        left += end_one(dead->workers[i].pid, dead->workers[i].pid_born, kill_them);
        left += (unsigned)mpq_group_end_orphans(dead->workers[i].pid, dead->workers[i].pid_born);
    }
    return left;
}

void mpq_leftover_end_predecessor(const mpq_board_file *dead, mpq_log *log)
{
    char boot[MPQ_BOOT_ID_BYTES];
    mpq_procfs_boot_id(boot);
    if (boot[0] == 0 || strncmp(boot, dead->boot, sizeof boot) != 0)
        return;
    uint64_t began = mpq_clock_monotonic_ms();
    unsigned left;
    bool told = false;
    while ((left = end_all(dead, mpq_clock_monotonic_ms() - began >= WAIT_MS)) > 0) {
        uint64_t waited = mpq_clock_monotonic_ms() - began;
        if (waited >= WAIT_MS && !told)
            mpq_log_write(log, MPQ_LEVEL_WARNING, "%u processes of the service that was killed still live: ending them",
                          left);
        told = told || waited >= WAIT_MS;
        if (waited >= GIVE_UP_MS)
            break;
        pause_a_little();
    }
    if (left > 0)
        mpq_log_write(log, MPQ_LEVEL_ERROR,
                      "%u processes of the service that was killed can't be ended; a job of theirs may be run twice",
                      left);
}

/* -- our own --------------------------------------------------------------------------------------------------- */

void mpq_leftover_note(mpq_leftover_spared *spared)
{
    size_t max = sizeof spared->pids / sizeof *spared->pids;
    size_t count = mpq_procfs_children(getpid(), spared->pids, max);
    spared->count = count < max ? count : max;
}

static bool is_spared(const mpq_leftover_spared *spared, pid_t pid)
{
    for (size_t i = 0; i < spared->count; i++)
        if (spared->pids[i] == pid)
            return true;
    return false;
}

static size_t kill_children(const mpq_leftover_spared *spared)
{
    pid_t pids[256];
    size_t max = sizeof pids / sizeof *pids;
    size_t count = mpq_procfs_children(getpid(), pids, max);
    size_t killed = 0;
    for (size_t i = 0; i < count && i < max; i++) {
        if (is_spared(spared, pids[i]))
            continue;
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, WNOHANG);
        killed++;
    }
    return killed;
}

void mpq_leftover_end_children(const mpq_leftover_spared *spared, mpq_log *log)
{
    uint64_t give_up_at = mpq_clock_monotonic_ms() + GIVE_UP_MS;
    size_t left = kill_children(spared);
    if (left > 0)
        mpq_log_write(log, MPQ_LEVEL_NOTICE, "ending %zu processes that jobs have left behind", left);
    while (left > 0 && mpq_clock_monotonic_ms() < give_up_at) {
        pause_a_little();
        left = kill_children(spared);
    }
}
