#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "group.h"
#include "leftover.h"
#include "procfs.h"
#include "test.h"

/* A leader with a program of its own, which has one, too. All of them write into the pipe's end as long as they live.
 */
typedef struct family {
    pid_t leader;
    int alive; /* reads the end when all of them have gone */
} family;

static void be_stubborn(void)
{
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

static family start(bool leader_leaves)
{
    int alive[2], ready[2];
    char byte;
    if (pipe(alive) < 0 || pipe(ready) < 0)
        abort();
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        if (fork() == 0) {
            if (fork() == 0 && write(ready[1], "x", 1) < 0)
                abort();
            be_stubborn();
        }
        if (leader_leaves)
            _exit(3);
        be_stubborn();
    }
    close(alive[1]);
    if (read(ready[0], &byte, 1) != 1)
        abort();
    close(ready[0]);
    close(ready[1]);
    return (family){leader, alive[0]};
}

static bool all_gone(const family *it)
{
    char byte;
    fcntl(it->alive, F_SETFL, O_NONBLOCK);
    bool gone = read(it->alive, &byte, 1) == 0;
    close(it->alive);
    return gone;
}

TEST(group_ends_what_a_dead_leader_left)
{
    int status;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    family it = start(true);
    CHECK_INT(waitpid(it.leader, &status, 0), it.leader);
    mpq_group_end(it.leader);
    CHECK(all_gone(&it));
    CHECK_INT(kill(-it.leader, 0), -1);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no zombies */
}

TEST(group_without_members_costs_no_time)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(setpgid(0, 0));
    waitpid(pid, NULL, 0);
    uint64_t began = mpq_clock_monotonic_ms();
    mpq_group_end(pid);
    mpq_group_end(0);
    mpq_group_end(1);
    CHECK(mpq_clock_monotonic_ms() - began < 50);
}

/* A zombie stays in its group until its parent reaps it; this parent has left the group and does not. */
TEST(group_gives_up_on_a_zombie_of_somebody_else)
{
    int ready[2];
    pid_t parent;
    if (pipe(ready) < 0)
        abort();
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        if (fork() != 0)
            _exit(0);
        if (fork() == 0)
            be_stubborn();
        setsid();
        parent = getpid();
        if (write(ready[1], &parent, sizeof parent) < 0)
            abort();
        be_stubborn();
    }
    CHECK_INT(read(ready[0], &parent, sizeof parent), sizeof parent);
    waitpid(leader, NULL, 0);
    uint64_t began = mpq_clock_monotonic_ms();
    mpq_group_end(leader);
    uint64_t took_ms = mpq_clock_monotonic_ms() - began;
    int left = kill(-leader, 0);
    kill(parent, SIGKILL);
    CHECK_INT(left, 0);
    CHECK(took_ms >= 50 && took_ms < 1000);
}

TEST(group_leader_ends_the_others_and_lives)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (mpq_group_end_others() != 0)
            _exit(1);
        for (int i = 0; i < 3; i++)
            if (fork() == 0)
                be_stubborn();
        pid_t left[4];
        if (mpq_group_end_others() != 3)
            _exit(2);
        if (waitpid(-1, NULL, WNOHANG) != -1 || mpq_procfs_group(getpid(), left, 4) != 1)
            _exit(3);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
}

TEST(group_of_another_leader_is_left_alone)
{
    int status;
    pid_t sibling = fork();
    if (sibling == 0)
        be_stubborn();
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)mpq_group_end_others()); /* leads nothing */
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_INT(waitpid(sibling, &status, WNOHANG), 0);
    kill(sibling, SIGKILL);
    waitpid(sibling, NULL, 0);
}

/* What a start does about a service that was killed: its workers have died with it, their programs have not. */
TEST(group_ends_orphans_of_a_dead_service)
{
    size_t bytes = sizeof(mpq_board_file) + 2 * sizeof(mpq_board_worker);
    mpq_board_file *dead = calloc(1, bytes);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    uint64_t born = mpq_procfs_born(getpid());
    family theirs = start(true), others = start(true);
    dead->worker_capacity = 2;
    dead->workers[0].pid = theirs.leader;
    dead->workers[0].pid_born = born;
    dead->workers[1].pid = others.leader;
    dead->workers[1].pid_born = born + 100000000; /* the number was somebody's later: its group is younger than that */
    waitpid(theirs.leader, NULL, 0);
    waitpid(others.leader, NULL, 0);
    mpq_procfs_boot_id(dead->boot);
    mpq_leftover_end_predecessor(dead, NULL);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    CHECK(all_gone(&theirs));
    CHECK(kill(-others.leader, 0) == 0);
    kill(-others.leader, SIGKILL);
    free(dead);
}

/* The number is a process's that leads a group of its own by now. */
TEST(group_of_a_reused_number_is_left_alone)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        be_stubborn();
    }
    setpgid(pid, pid);
    CHECK_INT(mpq_group_end_orphans(pid, mpq_procfs_born(pid) - 1), 0);
    CHECK_INT(mpq_group_end_orphans(pid, 0), 0);
    CHECK_INT(mpq_group_end_orphans(getpgrp(), 1), 0);
    CHECK_INT(waitpid(pid, &status, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
