#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "manager.h"

static const char *worker_state(const mpq_roster_entry *entry, int32_t state)
{
    if (entry->leaving)
        return "stopping";
    return state == MPQ_WORKER_BUSY ? "busy" : state == MPQ_WORKER_IDLE ? "idle" : "starting";
}

/* The worker goes on while we read: a row is a glimpse, but the job and its duration belong to one run. */
static void fill_job(const mpq_board_worker *worker, mpq_status_row *row)
{
    uint32_t run = atomic_load(&worker->run_token);
    mpq_id id = worker->job;
    uint64_t started_at_ms = atomic_load(&worker->run_started_at_ms);
    uint64_t now = mpq_clock_monotonic_ms();
    if (!(run & 1) || atomic_load(&worker->run_token) != run)
        return;
    mpq_id_format(&id, row->job);
    row->job_for_ms = now > started_at_ms ? now - started_at_ms : 0;
}

static void fill_worker(const mpq_manager *manager, uint32_t index, mpq_status_row *row)
{
    const mpq_roster_entry *entry = &manager->roster.entries[index];
    const mpq_board_worker *worker = &manager->self->board.file->workers[index];
    snprintf(row->queue, sizeof row->queue, "%s", manager->self->config->queues[entry->queue].name);
    snprintf(row->type, sizeof row->type, "worker");
    snprintf(row->state, sizeof row->state, "%s", worker_state(entry, atomic_load(&worker->state)));
    row->pid = (int32_t)entry->pid;
    row->generation = entry->generation;
    row->started_at_ms = atomic_load(&worker->started_at_ms);
    row->jobs = atomic_load(&worker->jobs);
    row->memory_bytes = atomic_load(&worker->memory_bytes);
    fill_job(worker, row);
}

static void fill_manager(const mpq_manager *manager, mpq_status_row *row)
{
    snprintf(row->type, sizeof row->type, "manager");
    snprintf(row->state, sizeof row->state, "%s",
             manager->stage == MPQ_STAGE_STARTING  ? "starting"
             : manager->stage == MPQ_STAGE_RUNNING ? "idle"
                                                   : "stopping");
    row->pid = (int32_t)manager->self->manager_pid;
    row->generation = manager->last_generation;
    row->started_at_ms = manager->since_ms;
}

static void fill_dispatcher(const mpq_manager *manager, mpq_status_row *row)
{
    const struct mpq_board_shared *shared = manager->self->board.shared;
    bool ready = atomic_load(&shared->dispatcher_ready) == (uint32_t)manager->dispatcher.pid;
    snprintf(row->type, sizeof row->type, "dispatcher");
    snprintf(row->state, sizeof row->state, "%s",
             manager->stage >= MPQ_STAGE_STOPPING ? "stopping"
             : ready                              ? "idle"
                                                  : "starting");
    row->pid = (int32_t)manager->dispatcher.pid;
    row->started_at_ms = manager->dispatcher.started_at_ms;
    row->jobs = atomic_load(&shared->settled);
}

static void fill_template(const mpq_generation *generation, mpq_status_row *row)
{
    uint64_t age_ms = mpq_clock_monotonic_ms() - generation->template_since_ms;
    snprintf(row->type, sizeof row->type, "template");
    snprintf(row->state, sizeof row->state, "%s",
             generation->retired ? "stopping"
             : generation->ready ? "idle"
                                 : "starting");
    row->pid = (int32_t)generation->template_pid;
    row->generation = generation->number;
    row->started_at_ms = mpq_clock_wall_ms() - age_ms;
}

static size_t count_generations(const mpq_manager *manager)
{
    size_t count = 0;
    for (const mpq_generation *generation = manager->generations; generation; generation = generation->older)
        count++;
    return count;
}

int mpq_manager_status(const mpq_manager *manager, mpq_status_row **rows, size_t *count, mpq_error *err)
{
    size_t max = 2 + count_generations(manager) + mpq_roster_left(&manager->roster, 0);
    mpq_status_row *row = calloc(max, sizeof *row);
    if (!row)
        return mpq_error_set_memory(err);
    *rows = row;
    fill_manager(manager, row++);
    if (manager->dispatcher.pid)
        fill_dispatcher(manager, row++);
    for (const mpq_generation *generation = manager->generations; generation; generation = generation->older)
        if (generation->template_pid)
            fill_template(generation, row++);
    for (uint32_t i = 0; i < manager->roster.capacity; i++)
        if (manager->roster.entries[i].used)
            fill_worker(manager, i, row++);
    *count = (size_t)(row - *rows);
    return 0;
}
