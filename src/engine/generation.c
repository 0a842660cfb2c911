#include "generation.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "spawn.h"

enum { UNANSWERED_MAX = 64 }; /* fits any socket buffer */

mpq_generation *mpq_generation_new(uint32_t number, mpq_generation *older)
{
    mpq_generation *generation = calloc(1, sizeof *generation);
    if (!generation)
        return NULL;
    generation->number = number;
    generation->fd = -1;
    generation->older = older;
    return generation;
}

void mpq_generation_hang_up(mpq_generation *generation)
{
    if (generation->watch)
        mpq_watch_close(generation->watch);
    if (generation->fd >= 0)
        close(generation->fd);
    generation->watch = NULL;
    generation->fd = -1;
}

void mpq_generation_free(mpq_generation *generation, bool watches_too)
{
    while (generation) {
        mpq_generation *older = generation->older;
        if (!watches_too)
            generation->watch = NULL;
        mpq_generation_hang_up(generation);
        free(generation);
        generation = older;
    }
}

/* Being woken is all: the manager's next step hears every template. */
static void wake_only(void *arg)
{
    (void)arg;
}

int mpq_generation_fork(mpq_generation *generation, mpq_process *self, mpq_loop *loop, mpq_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return mpq_error_set_errno(err, errno, "can't create the line to a template");
    mpq_generation_hang_up(generation);
    generation->fd = ends[0];
    if (mpq_loop_readable(loop, ends[0], wake_only, NULL, &generation->watch, err) < 0) {
        close(ends[1]);
        mpq_generation_hang_up(generation);
        return -1;
    }
    pid_t pid = mpq_spawn_child(self, MPQ_ROLE_TEMPLATE, err);
    if (pid == 0) {
        self->template_fd = ends[1];
        return 1;
    }
    close(ends[1]);
    if (pid < 0) {
        mpq_generation_hang_up(generation);
        return -1;
    }
    generation->template_pid = pid;
    generation->template_since_ms = mpq_clock_monotonic_ms();
    generation->ready = false;
    generation->unanswered = 0;
    return 0;
}

int mpq_generation_ask(mpq_generation *generation, uint32_t index)
{
    mpq_template_request request = {.index = index};
    if (generation->template_pid == 0 || generation->fd < 0 || generation->unanswered >= UNANSWERED_MAX)
        return 1;
    if (send(generation->fd, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof request)
        return 1;
    generation->unanswered++;
    return 0;
}

/* A template that ended without reading all requests leaves one ECONNRESET in front of its last words. */
static ssize_t receive(int fd, mpq_template_reply *reply)
{
    ssize_t got;
    int resets = 0;
    do
        got = recv(fd, reply, sizeof *reply, MSG_DONTWAIT);
    while (got < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
    return got;
}

int mpq_generation_hear(mpq_generation *generation, mpq_template_reply *reply)
{
    if (generation->fd < 0)
        return 1;
    ssize_t got = receive(generation->fd, reply);
    if (got == (ssize_t)sizeof *reply) {
        reply->text[sizeof reply->text - 1] = 0;
        return 0;
    }
    /* The end of file would keep the loop awake until the dead template is reaped. */
    if (got == 0 && generation->watch) {
        mpq_watch_close(generation->watch);
        generation->watch = NULL;
    }
    return 1;
}
