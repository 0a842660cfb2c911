/*
 * The dispatcher: moves jobs between the broker and the workers' rings, one lane for each queue. It runs no user code
 * and keeps nothing that its successor could not rebuild.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "lane.h"
#include "roles.h"

enum { FDS_EACH = 3, DETACH_FOR_MS = 4000 };

typedef struct dispatcher {
    mpq_process *process;
    mpq_lane *lanes;
    uint32_t count;
    struct pollfd *fds; /* [0] is the wake-up descriptor */
    uint32_t *fd_lanes; /* which lane a descriptor belongs to */
    nfds_t fd_count;
    uint64_t give_up_at_ms; /* stopping: the broker may be away */
} dispatcher;

static int open_lanes(dispatcher *self, mpq_process *process, mpq_error *err)
{
    self->process = process;
    self->count = (uint32_t)process->config->queue_count;
    self->lanes = calloc(self->count, sizeof *self->lanes);
    self->fds = calloc(1 + (size_t)self->count * FDS_EACH, sizeof *self->fds);
    self->fd_lanes = calloc(1 + (size_t)self->count * FDS_EACH, sizeof *self->fd_lanes);
    if (!self->lanes || !self->fds || !self->fd_lanes)
        return mpq_error_set_memory(err);
    for (uint32_t i = 0; i < self->count; i++)
        if (mpq_lane_open(process, i, &self->lanes[i], err) < 0)
            return -1;
    return 0;
}

static void close_lanes(dispatcher *self)
{
    for (uint32_t i = 0; self->lanes && i < self->count; i++)
        mpq_lane_close(&self->lanes[i]);
    free(self->lanes);
    free(self->fds);
    free(self->fd_lanes);
}

/* The first dispatcher of a service has to reach the broker, or the service does not start. Later ones keep trying. */
static int attach_first(dispatcher *self, mpq_error *err)
{
    if (atomic_load(&self->process->board.shared->dispatcher_ready))
        return 0;
    for (uint32_t i = 0; i < self->count; i++)
        if (mpq_lane_attach(&self->lanes[i], err) < 0)
            return -1;
    return 0;
}

static void report_ready(dispatcher *self)
{
    uint32_t pid = (uint32_t)getpid();
    if (atomic_load(&self->process->board.shared->dispatcher_ready) == pid)
        return;
    for (uint32_t i = 0; i < self->count; i++)
        if (!self->lanes[i].attached_once)
            return;
    MPQ_CRASH_POINT("dispatcher.ready.before");
    atomic_store(&self->process->board.shared->dispatcher_ready, pid);
    mpq_board_wake(self->process->board.manager_wake_fd);
}

static void watch(dispatcher *self, int fd, uint32_t lane)
{
    self->fds[self->fd_count] = (struct pollfd){.fd = fd, .events = POLLIN};
    self->fd_lanes[self->fd_count++] = lane;
}

/* fd_lanes of a hint's descriptor is lane + count, to tell it from that of an answer. */
static void collect_fds(dispatcher *self)
{
    self->fd_count = 0;
    watch(self, self->process->board.dispatcher_wake_fd, 0);
    for (uint32_t i = 0; i < self->count; i++) {
        mpq_lane *lane = &self->lanes[i];
        int hints[2];
        if (lane->state != MPQ_LANE_UP)
            continue;
        int fd = lane->broker->ops->fd(lane->broker);
        if (fd >= 0 && lane->flight_count > 0)
            watch(self, fd, i);
        int count = lane->broker->ops->wait_fds(lane->broker, hints);
        for (int j = 0; j < count; j++)
            watch(self, hints[j], i + self->count);
    }
}

/* In microseconds: delayed jobs start when they are due. */
static uint64_t sleep_for(dispatcher *self)
{
    uint64_t now = mpq_clock_monotonic_us(), next = UINT64_MAX;
    bool may_sleep = true;
    for (uint32_t i = 0; i < self->count; i++) {
        uint64_t at;
        may_sleep = mpq_lane_sleep(&self->lanes[i], now, &at) && may_sleep;
        next = at < next ? at : next;
    }
    return may_sleep && next > now ? next - now : 0;
}

static void wait_for_events(dispatcher *self)
{
    uint64_t wakes;
    collect_fds(self);
    uint64_t sleep_us = sleep_for(self);
    struct timespec timeout = {.tv_sec = (time_t)(sleep_us / 1000000), .tv_nsec = (long)(sleep_us % 1000000) * 1000};
    int ready = ppoll(self->fds, self->fd_count, &timeout, NULL);
    for (uint32_t i = 0; i < self->count; i++)
        mpq_ring_awake(self->lanes[i].ring);
    if (ready <= 0)
        return;
    if (self->fds[0].revents && read(self->fds[0].fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN && errno != EINTR)
        mpq_log_write(self->process->log, MPQ_LEVEL_ERROR, "the dispatcher's wake-up failed: %s", strerror(errno));
    for (nfds_t i = 1; i < self->fd_count; i++)
        if (self->fds[i].revents && self->fd_lanes[i] >= self->count)
            mpq_lane_woken(&self->lanes[self->fd_lanes[i] - self->count]);
}

/* Every worker has gone: true when everything is settled and handed back. */
static bool finished(dispatcher *self, int *status)
{
    mpq_error err;
    bool all = true;
    uint64_t now = mpq_clock_monotonic_ms();
    if (!self->give_up_at_ms)
        self->give_up_at_ms = now + DETACH_FOR_MS;
    for (uint32_t i = 0; i < self->count; i++) {
        mpq_lane *lane = &self->lanes[i];
        if (lane->state == MPQ_LANE_CLOSED)
            continue;
        if (lane->overflow.count > 0 || !mpq_lane_settled(lane) || mpq_lane_detach(lane, &err) < 0)
            all = false;
    }
    *status = all ? 0 : 1;
    if (!all && now >= self->give_up_at_ms)
        mpq_log_write(self->process->log, MPQ_LEVEL_ERROR,
                      "the last results could not be settled; the jobs are run again when the lease has ended");
    return all || now >= self->give_up_at_ms;
}

static int run(dispatcher *self)
{
    int status = 1;
    for (;;) {
        /* Read before the pump, which then sees the last result that the last worker left. */
        bool workers_gone = atomic_load(&self->process->board.shared->stopping) >= 2;
        for (uint32_t i = 0; i < self->count; i++)
            mpq_lane_pump(&self->lanes[i]);
        report_ready(self);
        if (workers_gone && finished(self, &status))
            return status;
        wait_for_events(self);
    }
}

int mpq_dispatcher_run(mpq_process *process, mpq_error *err)
{
    dispatcher self = {0};
    mpq_log_set_tag(process->log, "dispatcher");
    int status = 1;
    if (open_lanes(&self, process, err) == 0 && attach_first(&self, err) == 0)
        status = run(&self);
    close_lanes(&self);
    return status;
}
