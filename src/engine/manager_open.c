/* Setting a manager up and tearing it down. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "daemon.h"
#include "manager.h"
#include "procfs.h"
#include "signals.h"

/* -- notes ----------------------------------------------------------------------------------------------------- */

static void wake_only(void *arg)
{
    (void)arg;
}

static void on_stop_signal(void *arg)
{
    mpq_manager *manager = arg;
    manager->stop_signals++;
}

static void on_reload_signal(void *arg)
{
    mpq_manager *manager = arg;
    manager->reload_signalled = true;
}

static void on_wake(void *arg)
{
    mpq_manager *manager = arg;
    uint64_t count;
    if (read(manager->self->board.manager_wake_fd, &count, sizeof count) < 0)
        return; /* somebody woke us, that was all */
}

static void on_stop_command(void *arg)
{
    mpq_manager *manager = arg;
    manager->stop_asked = true;
}

static int on_reload_command(void *arg, mpq_error *err)
{
    return mpq_manager_begin_reload(arg, err);
}

static int on_status_command(void *arg, mpq_status_row **rows, size_t *count, mpq_error *err)
{
    return mpq_manager_status(arg, rows, count, err);
}

static int watch_signal(mpq_manager *manager, int number, mpq_loop_fn fn, mpq_error *err)
{
    mpq_watch *watch;
    return mpq_loop_signal(manager->loop, number, fn, manager, &watch, err);
}

static int watch_signals(mpq_manager *manager, mpq_error *err)
{
    if (watch_signal(manager, SIGTERM, on_stop_signal, err) < 0 ||
        watch_signal(manager, SIGINT, on_stop_signal, err) < 0 ||
        watch_signal(manager, SIGUSR2, on_reload_signal, err) < 0 || watch_signal(manager, SIGCHLD, wake_only, err) < 0)
        return -1;
    if (mpq_signals_was_ignored(manager->self, SIGHUP))
        return 0;
    return watch_signal(manager, SIGHUP, manager->self->is_daemon ? wake_only : on_stop_signal, err);
}

static int watch_everything(mpq_manager *manager, mpq_error *err)
{
    mpq_process *self = manager->self;
    mpq_watch *wake;
    mpq_control_handler handler = {manager, on_stop_command, on_reload_command, on_status_command};
    if (watch_signals(manager, err) < 0 ||
        mpq_loop_readable(manager->loop, self->board.manager_wake_fd, on_wake, manager, &wake, err) < 0 ||
        mpq_loop_timer(manager->loop, wake_only, NULL, &manager->timer, err) < 0)
        return -1;
    return mpq_control_server_open(self->config, manager->loop, &handler, &manager->control, err);
}

/* -- up -------------------------------------------------------------------------------------------------------- */

/* The lock first: without it nothing of a running service may be touched. */
static int open_board(mpq_manager *manager, mpq_error *err)
{
    mpq_process *self = manager->self;
    if (mpq_pidfile_acquire(self->config, &manager->pidfile, err) < 0 ||
        mpq_board_open(self->config, &self->board, err) < 0)
        return -1;
    MPQ_CRASH_POINT("manager.open.board");
    mpq_procfs_boot_id(self->board.file->boot);
    atomic_store(&self->board.file->manager_pid, (int32_t)self->manager_pid);
    if (self->board.legacy) {
        mpq_log_write(self->log, MPQ_LEVEL_NOTICE,
                      "the service did not end in order the last time (pid %d): its jobs are taken over",
                      (int)self->board.legacy->file->manager_pid);
        mpq_leftover_end_predecessor(self->board.legacy->file, self->log);
    }
    return 0;
}

int mpq_manager_open(mpq_manager *manager, mpq_process *self, int report_fd, mpq_error *err)
{
    manager->self = self;
    manager->report_fd = report_fd;
    manager->pidfile.fd = -1;
    manager->since_ms = mpq_clock_wall_ms();
    self->manager_pid = getpid();
    if (open_board(manager, err) < 0)
        return -1;
    MPQ_CRASH_POINT("manager.open.alone");
    mpq_leftover_note(&manager->spared);
    /* Orphans of jobs come to us instead of to init, so that they can be reaped, and ended at a stop. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (mpq_loop_open(&manager->loop, err) < 0 || watch_everything(manager, err) < 0 ||
        mpq_roster_init(&manager->roster, self, err) < 0)
        return -1;
    MPQ_CRASH_POINT("manager.open.watching");
    return mpq_manager_add_generation(manager, err);
}

/* -- down ------------------------------------------------------------------------------------------------------ */

static bool serves(const mpq_board_file *file, const char *queue)
{
    for (uint32_t i = 0; i < file->queue_count; i++)
        if (strcmp(file->queues[i].name, queue) == 0)
            return true;
    return false;
}

/* True when somebody may hold jobs under a name that only the board knows. */
static bool names_an_owner(mpq_board_file *file)
{
    const mpq_board_inherited *inherited = mpq_board_inheritance(file);
    for (uint32_t i = 0; i < file->inherited_count; i++)
        if (inherited[i].queue[0] && serves(file, inherited[i].queue))
            return true;
    for (uint32_t i = 0; i < file->queue_count; i++)
        if (file->queues[i].owner[0])
            return true;
    for (uint32_t i = 0; i < file->worker_capacity; i++)
        if (file->workers[i].owner[0])
            return true;
    return false;
}

/* After a clean stop there is nothing to take over. A start that failed may have reserved jobs all the same. */
static void close_board(mpq_manager *manager)
{
    mpq_board *board = &manager->self->board;
    if (!board->file)
        return;
    bool in_order = manager->dispatcher.detached || !manager->dispatcher.ever_ready;
    mpq_board_close(board, manager->self->config, in_order && !names_an_owner(board->file));
    memset(board, 0, sizeof *board);
}

void mpq_manager_close(mpq_manager *manager)
{
    mpq_log *log = manager->self->log;
    bool ran = manager->loop != NULL;
    mpq_signals_block_all(); /* one more SIGTERM must not end us before everything is cleared away */
    mpq_control_server_close(manager->control);
    mpq_generation_free(manager->generations, true);
    if (manager->loop)
        mpq_loop_close(manager->loop);
    if (ran)
        mpq_leftover_end_children(&manager->spared, log);
    MPQ_CRASH_POINT("manager.close.children_ended");
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    mpq_roster_fini(&manager->roster);
    MPQ_CRASH_POINT("manager.close.before_board");
    close_board(manager);
    MPQ_CRASH_POINT("manager.close.board_closed");
    mpq_pidfile_release(&manager->pidfile);
    if (manager->stage == MPQ_STAGE_OVER)
        mpq_log_write(log, MPQ_LEVEL_NOTICE, "service \"%s\" has stopped", manager->self->config->name);
    /* Last, so that whoever waits for it may start the service again at once. Without effect after a good start. */
    mpq_daemon_report(&manager->report_fd,
                      manager->failed ? manager->failure : "the service was stopped while it started");
}

void mpq_manager_forget(mpq_manager *manager)
{
    mpq_loop_forget(manager->loop);
    mpq_control_server_forget(manager->control);
    mpq_generation_free(manager->generations, false);
    mpq_pidfile_forget(&manager->pidfile);
    mpq_roster_fini(&manager->roster);
    if (manager->report_fd >= 0)
        close(manager->report_fd);
}
