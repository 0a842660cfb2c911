#include "template.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crashpoint.h"
#include "spawn.h"

static int say(int fd, const mpq_template_reply *reply)
{
    ssize_t sent;
    do
        sent = send(fd, reply, sizeof *reply, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *reply ? 0 : -1;
}

static int preload(mpq_process *self, int fd)
{
    mpq_error err = {0};
    mpq_template_reply reply = {.said = MPQ_TEMPLATE_READY};
    if (self->host->preload && self->host->preload(self->host->self, &err) < 0) {
        reply.said = MPQ_TEMPLATE_FAILED;
        snprintf(reply.text, sizeof reply.text, "%s", err.text);
    }
    mpq_spawn_follow_manager(self);
    MPQ_CRASH_POINT("template.preload.done");
    if (say(fd, &reply) < 0)
        return -1;
    return reply.said == MPQ_TEMPLATE_READY ? 0 : 1;
}

/* 0, 1 in the new worker, -1 when the manager does not listen any more. */
static int serve(mpq_process *self, int fd, uint32_t index)
{
    mpq_error err = {0};
    pid_t pid = mpq_spawn_worker(self, index, &err);
    if (pid == 0)
        return 1;
    mpq_template_reply reply = {.said = MPQ_TEMPLATE_SPAWNED, .index = index, .pid = (int32_t)pid};
    if (pid < 0) {
        reply.said = MPQ_TEMPLATE_NO_WORKER;
        snprintf(reply.text, sizeof reply.text, "%s", err.text);
    }
    MPQ_CRASH_POINT("template.reply.before");
    return say(fd, &reply);
}

/* 0 with a request, -1 when there will be no more. */
static int hear(const mpq_process *self, int fd, mpq_template_request *request)
{
    ssize_t got;
    do
        got = recv(fd, request, sizeof *request, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *request && request->index < self->board.file->worker_capacity ? 0 : -1;
}

int mpq_template_run(mpq_process *self, int fd)
{
    int outcome = preload(self, fd);
    if (outcome != 0) {
        close(fd);
        return 1;
    }
    mpq_template_request request;
    while (outcome == 0 && hear(self, fd, &request) == 0)
        outcome = serve(self, fd, request.index);
    close(fd);
    return 0;
}
