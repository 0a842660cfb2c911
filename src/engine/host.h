/* What the engine asks of its embedder. Every function may be called only in the process its comment names. */
#ifndef MPQ_HOST_H
#define MPQ_HOST_H

#include "error.h"
#include "job.h"

enum mpq_role { MPQ_ROLE_MANAGER, MPQ_ROLE_DISPATCHER, MPQ_ROLE_TEMPLATE, MPQ_ROLE_WORKER };

typedef struct mpq_run {
    const char *queue;
    uint32_t queue_index;
    const mpq_job *job;      /* phase tells whether the job or its failure handler is wanted; borrowed for the call */
    const char *worker_name; /* "<service>:<pid>" */
    const char *node;
    uint64_t reserved_at_ms; /* wall clock */
} mpq_run;

/* How user code ended. Slices in `cause` belong to the host and stay valid until its next run_job. The engine fills in
 * run, at_ms, started_at_ms, worker, node and in_handler. */
typedef struct mpq_outcome {
    enum mpq_end end; /* DONE, EXCEPTION, EXIT, FATAL, OUT_OF_MEMORY, TIMEOUT, UNDECODABLE */
    mpq_cause cause;
    bool leave;   /* the process must not run another job: it ends at once with _exit(70) after reporting */
    bool recycle; /* the same, but it leaves in the ordinary way */
} mpq_outcome;

typedef struct mpq_host {
    void *self;
    /* Any process that is about to fork: flush what would otherwise be written twice. */
    void (*before_fork)(void *self);
    /* In the child, first thing, signals blocked. */
    void (*after_fork)(void *self, enum mpq_role role);
    /* Template: the user's preload. -1: the generation can't start; err says why. */
    int (*preload)(void *self, mpq_error *err);
    /* Worker: the user's worker_start handles. -1: this worker ends and is replaced with back-off. */
    int (*worker_start)(void *self, uint32_t queue_index, mpq_error *err);
    void (*run_job)(void *self, const mpq_run *run, mpq_outcome *out);
    /* Worker, after each job: undo what the job leaked into the process. Returns memory in use, in bytes. */
    uint64_t (*between_jobs)(void *self);
    /* Worker, before it sleeps for lack of jobs. */
    void (*idle)(void *self);
    /* Worker, in a signal handler: make the running job throw soon. */
    void (*interrupt)(void *self);
    /* Any process: its title. */
    void (*title)(void *self, const char *title);
} mpq_host;

#endif
