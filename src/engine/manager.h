/*
 * The manager: a loop of policy. Events only wake it or leave a note; each step looks at the whole state, reaps the
 * dead, moves the stage on and starts what is missing. The parts: manager.c the loop and the children, stages.c start,
 * reload and stop, manager_open.c setting up and tearing down, manager_status.c what it tells about itself.
 */
#ifndef MPQ_MANAGER_H
#define MPQ_MANAGER_H

#include "control_server.h"
#include "generation.h"
#include "leftover.h"
#include "pidfile.h"
#include "roster.h"

enum mpq_stage {
    MPQ_STAGE_STARTING, /* until the dispatcher is attached and the first generation has proved itself */
    MPQ_STAGE_RUNNING,
    MPQ_STAGE_STOPPING, /* workers end their jobs and leave */
    MPQ_STAGE_SETTLING, /* the dispatcher settles, detaches and leaves */
    MPQ_STAGE_OVER
};

typedef struct mpq_manager {
    mpq_process *self; /* borrowed */
    mpq_loop *loop;
    mpq_watch *timer;
    mpq_pidfile pidfile;
    mpq_control_server *control;
    mpq_roster roster;
    mpq_generation *generations; /* newest first; at most the newest is neither proven nor retired */
    uint32_t last_generation;
    mpq_leftover_spared spared;
    int report_fd; /* daemon: where the outcome of the start is awaited, else -1 */
    enum mpq_stage stage;
    uint64_t since_ms; /* wall clock */
    uint64_t settle_by_ms;
    struct {
        pid_t pid; /* 0 = none at the moment */
        uint64_t since_ms;
        uint64_t started_at_ms; /* wall clock */
        bool ever_ready;
        bool detached; /* it has ended as it should at a stop */
        mpq_backoff backoff;
    } dispatcher;
    bool short_of_workers; /* some could not be asked for just now */
    /* notes left by events */
    unsigned stop_signals;
    unsigned stop_signals_heeded;
    bool stop_asked;
    bool reload_signalled;
    bool failed;                                /* the service could not start ... */
    char failure[sizeof((mpq_error *)0)->text]; /* ... and why */
} mpq_manager;

/* Runs a service. Returns the exit status in the manager (1: err says why it could not start), and 0 in every child it
 * has led to: self->role is changed then, nothing of the manager is left, and signals are blocked. Takes report_fd over
 * (see mpq_daemon_report; -1 = none). */
int mpq_manager_run(mpq_process *self, int report_fd, mpq_error *err);

/* -- between the manager's files ------------------------------------------------------------------------------- */

int mpq_manager_open(mpq_manager *manager, mpq_process *self, int report_fd, mpq_error *err);
void mpq_manager_close(mpq_manager *manager);
/* In a child: lets go of everything that is the manager's. */
void mpq_manager_forget(mpq_manager *manager);

/* The newest generation while it has to prove itself, else NULL. */
mpq_generation *mpq_manager_proving(const mpq_manager *manager);
int mpq_manager_add_generation(mpq_manager *manager, mpq_error *err);
/* 0, or -1 when it is not the time for it. */
int mpq_manager_begin_reload(mpq_manager *manager, mpq_error *err);
void mpq_manager_fail_start(mpq_manager *manager, const char *why);
/* Moves start, reload and stop on as far as they can go now. */
void mpq_manager_advance(mpq_manager *manager, uint64_t now_ms);
/* When it has to be called again at the latest. */
uint64_t mpq_manager_next_advance(const mpq_manager *manager);

int mpq_manager_status(const mpq_manager *manager, mpq_status_row **rows, size_t *count, mpq_error *err);

#endif
