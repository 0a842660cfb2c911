#include "../../php_mpqueue.h"
#include "console.h"
#include "fork.h"
#include "host.h"
#include "hygiene.h"
#include "text.h"

#include <stdlib.h>
#include <unistd.h>

static int not_running(const mpqueue_console *console, int status)
{
    mpqueue_text_print(MPQUEUE_YELLOW, "service \"%s\" is not running\n", console->engine->name);
    return status;
}

static void log_directory(const mpq_config *config, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", config->log_path, config->name);
}

static int report_start(const mpqueue_console *console, int status, const mpq_error *err)
{
    char directory[1024];
    mpq_error ignored;
    pid_t pid;

    if (status != 0) {
        return mpqueue_console_fail("%s", err->text[0] ? err->text : "the service could not be started");
    }
    if (console->daemon) {
        pid = mpq_control_running(console->engine, &ignored);
        log_directory(console->engine, directory, sizeof directory);
        mpqueue_text_print(MPQUEUE_GREEN, "service \"%s\" started", console->engine->name);
        if (pid > 0) {
            mpqueue_text_print(MPQUEUE_PLAIN, ", pid %d", (int)pid);
        }
        mpqueue_text_print(MPQUEUE_PLAIN, "; its log is in %s\n", directory);
    }
    return MPQUEUE_EXIT_OK;
}

/* Comes back in every process of the service, each when its part is over. */
static int start(mpqueue_console *console)
{
    const mpq_service_options options = {.daemon = console->daemon};
    pid_t caller = getpid();
    bool ignored_abort = PG(ignore_user_abort);
    enum mpq_role role = MPQ_ROLE_MANAGER;
    mpq_error err = {0};
    mpqueue_host host;
    int status;

    mpqueue_host_init(&host, console->config);
    mpqueue_fork_watch();
    mpqueue_fork_no_time_limit();
    mpqueue_hygiene_watch();
    /* A terminal that went away must not end whoever writes to it. */
    PG(ignore_user_abort) = true;
    status = mpq_service_run(console->engine, &host.table, &options, &role, &err);
    mpqueue_hygiene_forget();
    mpqueue_hygiene_unwatch();
    if (getpid() != caller) {
        console->is_child = true;
        return status;
    }
    PG(ignore_user_abort) = ignored_abort;
    return report_start(console, status, &err);
}

static int stop(mpqueue_console *console)
{
    mpq_error err = {0};
    pid_t pid = mpq_control_running(console->engine, &err);
    int rc;

    if (pid < 0) {
        return mpqueue_console_fail("%s", err.text);
    }
    if (pid == 0) {
        return not_running(console, MPQUEUE_EXIT_OK);
    }
    mpqueue_text_print(MPQUEUE_PLAIN, "stopping service \"%s\" (pid %d), running jobs are finished ...\n",
                       console->engine->name, (int)pid);
    rc = mpq_control_stop(console->engine, 0, &err);
    if (rc < 0) {
        return mpqueue_console_fail("%s", err.text);
    }
    mpqueue_text_print(MPQUEUE_GREEN, "stopped\n");
    return MPQUEUE_EXIT_OK;
}

static int restart(mpqueue_console *console)
{
    int status = stop(console);
    return status == MPQUEUE_EXIT_OK ? start(console) : status;
}

static int reload(mpqueue_console *console)
{
    mpq_error err = {0};
    int rc = mpq_control_reload(console->engine, &err);

    if (rc > 0) {
        return not_running(console, MPQUEUE_EXIT_FAILED);
    }
    if (rc < 0) {
        return mpqueue_console_fail("%s", err.text);
    }
    mpqueue_text_print(MPQUEUE_GREEN, "service \"%s\" reloaded\n", console->engine->name);
    return MPQUEUE_EXIT_OK;
}

static enum mpqueue_colour colour_of(const char *state)
{
    return strcmp(state, "busy") == 0       ? MPQUEUE_YELLOW
           : strcmp(state, "stopping") == 0 ? MPQUEUE_RED
           : strcmp(state, "starting") == 0 ? MPQUEUE_DIM
                                            : MPQUEUE_GREEN;
}

static void add_row(mpqueue_table *table, const mpq_status_row *row, uint64_t now)
{
    bool is_worker = strcmp(row->type, "worker") == 0;
    char at[64], ago[64], memory[64], busy[64];

    mpqueue_text_time(row->started_at_ms, at, sizeof at);
    mpqueue_text_ago(row->started_at_ms && now > row->started_at_ms ? now - row->started_at_ms : 0, ago, sizeof ago);
    mpqueue_text_bytes(row->memory_bytes, memory, sizeof memory);
    mpqueue_text_ago(row->job_for_ms, busy, sizeof busy);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", row->queue[0] ? row->queue : "-");
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", row->type);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%d", row->pid);
    mpqueue_table_add(table, colour_of(row->state), "%s", row->state);
    mpqueue_table_add(table, MPQUEUE_PLAIN, row->generation ? "%u" : "-", row->generation);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", at);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", row->started_at_ms ? ago : "-");
    mpqueue_table_add(table, MPQUEUE_PLAIN, is_worker ? "%lu" : "-", (unsigned long)row->jobs);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", row->memory_bytes ? memory : "-");
    mpqueue_table_add(table, MPQUEUE_PLAIN, row->job[0] ? "%s for %s" : "-", row->job, busy);
}

static int status(mpqueue_console *console)
{
    static const char *const titles[] = {"queue",   "type",  ">pid",    "state",       ">generation", "started",
                                         ">uptime", ">jobs", ">memory", "current job", NULL};
    mpq_status_row *rows = NULL;
    mpq_error err = {0};
    mpqueue_table table;
    size_t count = 0;
    int rc = mpq_control_status(console->engine, &rows, &count, &err);

    if (rc > 0) {
        return not_running(console, MPQUEUE_EXIT_FAILED);
    }
    if (rc < 0) {
        return mpqueue_console_fail("%s", err.text);
    }
    mpqueue_table_init(&table, titles);
    for (size_t i = 0; i < count; i++) {
        add_row(&table, &rows[i], mpq_clock_wall_ms());
    }
    free(rows);
    mpqueue_table_print(&table);
    return MPQUEUE_EXIT_OK;
}

static const char *const start_options[] = {"--daemon", NULL};
static const char *const no_options[] = {NULL};

const mpqueue_command mpqueue_worker_commands[] = {
    {"worker:start", "start the service", start_options, start},
    {"worker:stop", "stop it when the running jobs have ended", no_options, stop},
    {"worker:reload", "replace the workers by fresh ones with new code, without a gap", no_options, reload},
    {"worker:restart", "stop and start", start_options, restart},
    {"worker:status", "show its processes", no_options, status},
    {NULL, NULL, NULL, NULL},
};
