/*
 * The manager's private list of its workers, one entry for each entry of the board. The board tells what a worker does;
 * the roster tells which process it is and what the manager intends with it.
 *
 * Pids: a worker is cloned by a template, so the manager learns its pid from the template's answer, and it may be dead
 * by then. Until every request is answered the manager remembers the dead children it can't place. Only pids that are
 * known and not yet reaped are ever signalled.
 */
#ifndef MPQ_ROSTER_H
#define MPQ_ROSTER_H

#include "death.h"
#include "generation.h"

#define MPQ_ROSTER_STRAYS 256

typedef struct mpq_roster_entry {
    bool used;
    bool asked; /* of the template, which has not answered yet */
    bool leaving;
    bool started; /* got past worker_start */
    pid_t pid;    /* 0 = not known yet */
    uint32_t queue;
    uint32_t generation;
    uint64_t since_ms;    /* when its pid became known */
    uint64_t leave_by_ms; /* leaving: SIGKILL then */
    /* the run whose soft timeout was delivered, and when it is killed; 0 = none (a running token is odd) */
    uint32_t timed_out_run;
    uint64_t kill_at_ms;
    enum mpq_kill killed;
    uint32_t killed_run;
} mpq_roster_entry;

typedef struct mpq_roster {
    mpq_process *self;         /* borrowed */
    mpq_roster_entry *entries; /* owned, as many as the board has */
    uint32_t capacity;
    uint32_t asked; /* entries waiting for an answer */
    struct {
        pid_t pid;
        int status;
    } strays[MPQ_ROSTER_STRAYS]; /* dead children nobody has claimed yet, the oldest overwritten first */
    uint32_t stray_count;
    mpq_backoff backoff[MPQ_QUEUES_MAX];
    uint32_t proving; /* the generation that has to prove itself, 0 = none */
    uint64_t started; /* of `proving`: one bit for each queue that has had a worker past worker_start */
    bool failed;      /* one of `proving` died before that ... */
    char failure[sizeof((mpq_error *)0)->text]; /* ... and why */
} mpq_roster;

int mpq_roster_init(mpq_roster *roster, mpq_process *self, mpq_error *err);
void mpq_roster_fini(mpq_roster *roster);

/* Workers of the queue and generation that are not leaving. */
uint32_t mpq_roster_count(const mpq_roster *roster, uint32_t generation, uint32_t queue);
/* Entries in use, whatever their state; `generation` 0 counts all. */
uint32_t mpq_roster_left(const mpq_roster *roster, uint32_t generation);
/* Asks the template for one more worker. 0, or 1 = not now: no template, or no free entry. */
int mpq_roster_ask(mpq_roster *roster, mpq_generation *generation, uint32_t queue);
/* The template's answer to that. */
void mpq_roster_answered(mpq_roster *roster, mpq_generation *generation, const mpq_template_reply *reply);
/* The template was reaped: what it was asked for and has not done is taken back. */
void mpq_roster_template_gone(mpq_roster *roster, mpq_generation *generation);
/* A child was reaped: true when it was (or may turn out to be) a worker. */
bool mpq_roster_reaped(mpq_roster *roster, pid_t pid, int status);

/* Asks workers of the generation (0 = all) to leave after their job and kills them at `leave_by_ms`. */
void mpq_roster_retire(mpq_roster *roster, uint32_t generation, uint64_t leave_by_ms);
/* Kills those whose time to leave, or to start, is over; returns when the next one's is, UINT64_MAX = never. */
uint64_t mpq_roster_kill_late(mpq_roster *roster, uint64_t now_ms);
/* SIGKILL, remembering why. */
void mpq_roster_kill(mpq_roster *roster, uint32_t index, enum mpq_kill why, uint32_t run);
/* From now on it is this generation that has to prove itself; also ends every back-off. */
void mpq_roster_prove(mpq_roster *roster, uint32_t generation);
/* True when every queue has had a worker of that generation that got past worker_start. `missing` is one that has not.
 */
bool mpq_roster_proven(mpq_roster *roster, uint32_t *missing);
/* When the next worker that is held back may be started, UINT64_MAX = none is. */
uint64_t mpq_roster_next_try(const mpq_roster *roster, uint64_t now_ms);

#endif
