#include "service.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "daemon.h"
#include "manager.h"
#include "roles.h"
#include "signals.h"
#include "template.h"

static void introduce(mpq_process *self, const char *tag, const char *what, const char *of)
{
    char title[MPQ_QUEUE_NAME_MAX + 32];
    snprintf(title, sizeof title, "mpqueue: %s %.128s", what, of);
    mpq_log_set_tag(self->log, tag);
    if (self->host->title)
        self->host->title(self->host->self, title);
}

static int run_dispatcher(mpq_process *self)
{
    struct mpq_board_shared *shared = self->board.shared;
    mpq_error err = {0};
    introduce(self, "dispatcher", "dispatcher", self->config->name);
    int status = mpq_dispatcher_run(self, &err);
    if (status != 0 && atomic_load(&shared->dispatcher_ready) == 0)
        snprintf(shared->start_error, sizeof shared->start_error, "%s", err.text);
    else if (status != 0 && err.text[0])
        mpq_log_write(self->log, MPQ_LEVEL_ERROR, "%s", err.text);
    return status;
}

/* Where the manager looks for it when a worker dies that has not started. */
static void leave_reason(mpq_board_worker *entry, const char *text)
{
    size_t len = strnlen(text, sizeof entry->report - 1);
    memcpy(entry->report, text, len);
    entry->report_len = (uint32_t)len;
}

static int run_worker(mpq_process *self)
{
    mpq_board_worker *entry = &self->board.file->workers[self->worker_index];
    const char *queue = self->config->queues[entry->queue].name;
    char tag[MPQ_QUEUE_NAME_MAX + 16];
    mpq_error err = {0};
    snprintf(tag, sizeof tag, "%.128s:worker", queue);
    introduce(self, tag, "worker", queue);
    if (atomic_load(&entry->retire) || atomic_load(&self->board.shared->stopping))
        return 0;
    atomic_store(&entry->started_at_ms, mpq_clock_wall_ms());
    atomic_store(&entry->state, MPQ_WORKER_STARTING);
    int status = mpq_worker_run(self, self->worker_index, &err);
    if (status != 0 && atomic_load(&entry->state) == MPQ_WORKER_STARTING)
        leave_reason(entry, err.text);
    else if (status != 0 && err.text[0])
        mpq_log_write(self->log, MPQ_LEVEL_ERROR, "%s", err.text);
    return status;
}

static int run_template(mpq_process *self)
{
    introduce(self, "template", "template", self->config->name);
    int status = mpq_template_run(self, self->template_fd);
    if (self->role != MPQ_ROLE_WORKER)
        return status;
    mpq_signals_enter_child(self);
    return run_worker(self);
}

static int run_manager(mpq_process *self, int report_fd, mpq_error *err)
{
    introduce(self, "manager", "manager", self->config->name);
    mpq_signals_save(self);
    int status = mpq_manager_run(self, report_fd, err);
    if (self->role == MPQ_ROLE_MANAGER)
        mpq_signals_restore(self);
    else
        mpq_signals_enter_child(self);
    return status;
}

static int open_log(mpq_process *self, const mpq_service_options *options, mpq_error *err)
{
    char directory[PATH_MAX];
    const mpq_config *config = self->config;
    int len = snprintf(directory, sizeof directory, "%s/%s", config->log_path ? config->log_path : "", config->name);
    if (len < 0 || (size_t)len >= sizeof directory)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the path of the log directory is too long");
    if (mpq_log_open(config->log_path ? directory : NULL, config->log_level, !self->is_daemon, &self->log, err) < 0)
        return -1;
    return self->is_daemon ? mpq_daemon_redirect(config, options, err) : 0;
}

static void let_go(mpq_process *self)
{
    if (self->board.file)
        mpq_board_close(&self->board, self->config, false);
    mpq_log_close(self->log);
    self->log = NULL;
}

static int run(mpq_process *self, const mpq_service_options *options, int report_fd, mpq_error *err)
{
    if (open_log(self, options, err) < 0) {
        mpq_daemon_report(&report_fd, err->text);
        return 1;
    }
    int status = run_manager(self, report_fd, err);
    if (self->role == MPQ_ROLE_DISPATCHER)
        status = run_dispatcher(self);
    else if (self->role == MPQ_ROLE_TEMPLATE)
        status = run_template(self);
    let_go(self);
    return status;
}

int mpq_service_run(const mpq_config *config, const mpq_host *host, const mpq_service_options *options,
                    enum mpq_role *role, mpq_error *err)
{
    mpq_error ignored = {0};
    mpq_process self = {.config = config, .host = host, .role = MPQ_ROLE_MANAGER, .template_fd = -1};
    int report_fd = -1;
    err = err ? err : &ignored;
    self.is_daemon = options && options->daemon;
    *role = MPQ_ROLE_MANAGER;
    if (self.is_daemon) {
        int outcome = mpq_daemon_start(config, host, &report_fd, err);
        if (outcome != 0)
            return outcome > 0 ? 0 : 1;
    }
    int status = run(&self, options, report_fd, err);
    *role = self.role;
    if (self.is_daemon)
        *err = (mpq_error){0}; /* told to whoever has asked for the start */
    return status;
}
