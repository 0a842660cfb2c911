#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

struct mpq_watch {
    mpq_loop *loop; /* borrowed */
    mpq_watch *next;
    mpq_watch *previous;
    struct event *event; /* owned */
    mpq_loop_fn fn;
    void *arg;
};

struct mpq_loop {
    struct event_base *base; /* owned */
    mpq_watch *watches;      /* owned */
};

/* libevent ends the process when it can't have the descriptors of a base (epoll, timer, a pair for signals): look first
 * whether there are any. */
static bool can_have_descriptors(void)
{
    int fds[4];
    bool have = pipe2(fds, O_CLOEXEC) == 0;
    if (!have)
        return false;
    have = pipe2(fds + 2, O_CLOEXEC) == 0;
    int number = errno;
    for (int i = 0; i < (have ? 4 : 2); i++)
        close(fds[i]);
    errno = number;
    return have;
}

/* Microseconds instead of epoll's milliseconds; and times count from now, not from the start of the pass. */
static struct event_base *new_base(void)
{
    struct event_base *base = NULL;
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int mpq_loop_open(mpq_loop **out, mpq_error *err)
{
    mpq_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return mpq_error_set_memory(err);
    errno = 0;
    loop->base = can_have_descriptors() ? new_base() : NULL;
    if (!loop->base) {
        int number = errno ? errno : ENOMEM;
        free(loop);
        return mpq_error_set_errno(err, number, "can't set up an event loop");
    }
    *out = loop;
    return 0;
}

void mpq_loop_close(mpq_loop *loop)
{
    if (!loop)
        return;
    while (loop->watches)
        mpq_watch_close(loop->watches);
    event_base_free(loop->base);
    free(loop);
}

static void free_watches_only(mpq_loop *loop)
{
    while (loop->watches) {
        mpq_watch *watch = loop->watches;
        loop->watches = watch->next;
        free(watch);
    }
}

/* The inherited epoll descriptor is the parent's, too: deleting from it would deafen the parent. Reinit gives the base
 * one of its own first; when even that fails the memory is left to the end of the process. */
void mpq_loop_forget(mpq_loop *loop)
{
    if (!loop)
        return;
    if (can_have_descriptors() && event_reinit(loop->base) == 0) {
        mpq_loop_close(loop);
        return;
    }
    free_watches_only(loop);
    free(loop);
}

/* `fn` may close the watch: nothing of it is touched afterwards. */
static void call(evutil_socket_t fd, short what, void *arg)
{
    mpq_watch *watch = arg;
    (void)fd;
    (void)what;
    watch->fn(watch->arg);
}

static mpq_watch *new_watch(mpq_loop *loop, int fd_or_signal, short what, mpq_loop_fn fn, void *arg)
{
    mpq_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->event = event_new(loop->base, fd_or_signal, what, call, watch);
    if (!watch->event) {
        free(watch);
        return NULL;
    }
    watch->loop = loop;
    watch->fn = fn;
    watch->arg = arg;
    watch->next = loop->watches;
    if (watch->next)
        watch->next->previous = watch;
    loop->watches = watch;
    return watch;
}

static int open_watch(mpq_loop *loop, int fd_or_signal, short what, mpq_loop_fn fn, void *arg, mpq_watch **out,
                      mpq_error *err)
{
    mpq_watch *watch = new_watch(loop, fd_or_signal, what, fn, arg);
    if (!watch)
        return mpq_error_set_memory(err);
    errno = 0;
    if (event_add(watch->event, NULL) != 0) {
        int number = errno ? errno : EINVAL;
        mpq_watch_close(watch);
        return mpq_error_set_errno(err, number, "can't watch %s %d", what & EV_SIGNAL ? "signal" : "descriptor",
                                   fd_or_signal);
    }
    *out = watch;
    return 0;
}

int mpq_loop_readable(mpq_loop *loop, int fd, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err)
{
    return open_watch(loop, fd, EV_READ | EV_PERSIST, fn, arg, out, err);
}

int mpq_loop_signal(mpq_loop *loop, int number, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err)
{
    return open_watch(loop, number, EV_SIGNAL | EV_PERSIST, fn, arg, out, err);
}

int mpq_loop_timer(mpq_loop *loop, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err)
{
    mpq_watch *watch = new_watch(loop, -1, 0, fn, arg);
    if (!watch)
        return mpq_error_set_memory(err);
    *out = watch;
    return 0;
}

void mpq_watch_start(mpq_watch *timer, uint64_t after_us)
{
    struct timeval after = {(time_t)(after_us / 1000000), (suseconds_t)(after_us % 1000000)};
    event_add(timer->event, &after);
}

void mpq_watch_stop(mpq_watch *timer)
{
    event_del(timer->event);
}

void mpq_watch_close(mpq_watch *watch)
{
    if (!watch)
        return;
    if (watch->next)
        watch->next->previous = watch->previous;
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        watch->loop->watches = watch->next;
    event_free(watch->event);
    free(watch);
}

int mpq_loop_run(mpq_loop *loop)
{
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -1 : 0;
}

int mpq_loop_once(mpq_loop *loop, bool block)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | (block ? 0 : EVLOOP_NONBLOCK);
    return event_base_loop(loop->base, flags) < 0 ? -1 : 0;
}

void mpq_loop_break(mpq_loop *loop)
{
    event_base_loopbreak(loop->base);
}
