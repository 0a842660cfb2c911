/* The manager's view of one generation of user code: its template process and the line to it. */
#ifndef MPQ_GENERATION_H
#define MPQ_GENERATION_H

#include "backoff.h"
#include "loop.h"
#include "process.h"
#include "template.h"

typedef struct mpq_generation {
    uint32_t number;
    pid_t template_pid; /* 0 = none at the moment */
    int fd;             /* to the template, -1 = none */
    mpq_watch *watch;
    bool ready;          /* the template has loaded the user's code */
    bool proven;         /* every queue has had a started worker of it */
    bool retired;        /* wants no more workers; its template goes when nothing is asked of it any more */
    uint32_t unanswered; /* requests to the template */
    uint64_t prove_by_ms;
    uint64_t template_since_ms;
    uint64_t go_by_ms; /* retired: SIGKILL for the template then */
    mpq_backoff backoff;
    char error[sizeof((mpq_error *)0)->text]; /* why it could not start; empty = no failure so far */
    struct mpq_generation *older;             /* owned */
} mpq_generation;

mpq_generation *mpq_generation_new(uint32_t number, mpq_generation *older);
/* Closes and frees it and the older ones. `watches_too` = false in a forked child, whose loop is gone. */
void mpq_generation_free(mpq_generation *generation, bool watches_too);

/* Forks the template: 0 in the manager, 1 in the template (self->template_fd is set), -1. */
int mpq_generation_fork(mpq_generation *generation, mpq_process *self, mpq_loop *loop, mpq_error *err);
/* 0 = asked, 1 = not now (no template, or it is behind), then try again later. */
int mpq_generation_ask(mpq_generation *generation, uint32_t index);
/* 0 = `reply` holds what the template said, 1 = nothing (more) to read. */
int mpq_generation_hear(mpq_generation *generation, mpq_template_reply *reply);
/* Closes the line, which sends a living template home. */
void mpq_generation_hang_up(mpq_generation *generation);

#endif
