#include "group.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "procfs.h"

/* Who is killed runs no further instruction; this is for the kernel to take it apart. A process that hangs in the
 * kernel is not waited for: what it does there is done already. */
enum { PATIENCE_MS = 100, MEMBERS_MAX = 256 };

static void pause_a_little(void)
{
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

/* The dead stay in the group until they are reaped: by us if they were left to us, else by their parent. */
static bool is_empty(pid_t leader)
{
    while (waitpid(-leader, NULL, WNOHANG) > 0)
        continue;
    return kill(-leader, 0) < 0 && errno == ESRCH;
}

void mpq_group_end(pid_t leader)
{
    if (leader <= 1 || kill(-leader, SIGKILL) < 0)
        return;
    uint64_t until_ms = mpq_clock_monotonic_ms() + PATIENCE_MS;
    while (!is_empty(leader) && mpq_clock_monotonic_ms() < until_ms)
        pause_a_little();
}

static size_t kill_others(pid_t leader, uint64_t born)
{
    pid_t members[MEMBERS_MAX];
    size_t count = mpq_procfs_group(leader, members, MEMBERS_MAX), killed = 0;
    for (size_t i = 0; i < count && i < MEMBERS_MAX; i++)
        if (members[i] != leader && mpq_procfs_born(members[i]) >= born)
            killed += kill(members[i], SIGKILL) == 0;
    return killed;
}

/* Again and again: one that was about to fork may have done so before it was killed. */
size_t mpq_group_end_others(void)
{
    pid_t self = getpid();
    uint64_t until_ms = mpq_clock_monotonic_ms() + PATIENCE_MS;
    size_t found = getpgrp() == self ? kill_others(self, 0) : 0, left = found;
    while (left > 0 && mpq_clock_monotonic_ms() < until_ms) {
        pause_a_little();
        left = kill_others(self, 0);
        while (waitpid(-self, NULL, WNOHANG) > 0) /* last, so that none that has died meanwhile stays */
            continue;
    }
    return found;
}

size_t mpq_group_end_orphans(pid_t leader, uint64_t leader_born)
{
    if (leader <= 1 || leader == getpgrp() || leader_born == 0 || kill(-leader, 0) < 0)
        return 0;
    uint64_t born_now = mpq_procfs_born(leader);
    return born_now == 0 || born_now == leader_born ? kill_others(leader, leader_born) : 0;
}
