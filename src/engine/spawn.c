#include "spawn.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crashpoint.h"
#include "procfs.h"
#include "signals.h"

void mpq_spawn_follow_manager(const mpq_process *self)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self->manager_pid)
        _exit(1);
}

static void become(mpq_process *self, enum mpq_role role)
{
    self->role = role;
    if (self->host->after_fork)
        self->host->after_fork(self->host->self, role);
}

static void announce_fork(const mpq_host *host)
{
    if (host->before_fork)
        host->before_fork(host->self);
}

pid_t mpq_spawn_child(mpq_process *self, enum mpq_role role, mpq_error *err)
{
    sigset_t mask;
    announce_fork(self->host);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    mpq_signals_block_all();
    pid_t pid = fork();
    int number = errno;
    if (pid == 0) {
        mpq_spawn_follow_manager(self);
        MPQ_CRASH_POINT("manager.child.born");
        become(self, role);
        return 0;
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return pid > 0 ? pid : mpq_error_set_errno(err, number, "can't fork");
}

/* fork() as a sibling: the C library has no call for it. What it would do besides for a process with one thread is to
 * note the new thread id. */
static pid_t clone_sibling(void)
{
    int *tid = NULL;
#ifdef PR_GET_TID_ADDRESS
    if (prctl(PR_GET_TID_ADDRESS, &tid) < 0)
        tid = NULL;
#endif
    unsigned long flags = CLONE_PARENT | SIGCHLD;
#if defined(__s390__) || defined(__CRIS__)
    pid_t pid = (pid_t)syscall(SYS_clone, 0, flags, 0, 0, 0);
#else
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
#endif
    if (pid == 0 && tid)
        *tid = (int)syscall(SYS_set_tid_address, tid);
    return pid;
}

/* True when the entry names `pid` afterwards. The manager takes an entry back, in the same way, when `template_pid` has
 * died. */
static bool claim_entry(mpq_board_worker *entry, pid_t template_pid, pid_t pid)
{
    int32_t expected = -(int32_t)template_pid;
    return atomic_compare_exchange_strong(&entry->pid, &expected, (int32_t)pid) || expected == (int32_t)pid;
}

pid_t mpq_spawn_worker(mpq_process *self, uint32_t index, mpq_error *err)
{
    mpq_board_worker *entry = &self->board.file->workers[index];
    pid_t template_pid = getpid();
    sigset_t mask;
    announce_fork(self->host);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    mpq_signals_block_all();
    MPQ_CRASH_POINT("template.clone.before");
    pid_t pid = clone_sibling();
    int number = errno;
    if (pid == 0) {
        setpgid(0, 0); /* so that it can be killed together with the programs that its job starts */
        mpq_spawn_follow_manager(self);
        MPQ_CRASH_POINT("template.worker.born");
        if (!claim_entry(entry, template_pid, getpid()))
            _exit(0);
        MPQ_CRASH_POINT("template.worker.claimed_entry");
        atomic_store(&entry->pid_born, mpq_procfs_born(getpid()));
        self->worker_index = index;
        become(self, MPQ_ROLE_WORKER);
        return 0;
    }
    MPQ_CRASH_POINT("template.clone.after");
    if (pid > 0)
        claim_entry(entry, template_pid, pid);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return pid > 0 ? pid : mpq_error_set_errno(err, number, "can't clone a worker");
}

/* The process in between, which only makes sure that the daemon is no session leader and has no parent. */
static void fork_again(void)
{
    if (setsid() < 0)
        _exit(1);
    pid_t pid = fork();
    if (pid != 0)
        _exit(pid > 0 ? 0 : 1);
}

pid_t mpq_spawn_daemon(const mpq_host *host, mpq_error *err)
{
    sigset_t mask;
    announce_fork(host);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    mpq_signals_block_all();
    pid_t pid = fork();
    int number = errno;
    if (pid == 0) {
        fork_again();
        if (host->after_fork)
            host->after_fork(host->self, MPQ_ROLE_MANAGER);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return pid >= 0 ? pid : mpq_error_set_errno(err, number, "can't fork");
}
