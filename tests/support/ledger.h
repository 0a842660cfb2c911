/*
 * Books kept by the jobs themselves, in shared memory, of everything that happens to each of them, and an embedder
 * whose jobs do that. What the store says in the end is compared with them.
 */
#ifndef MPQ_TEST_LEDGER_H
#define MPQ_TEST_LEDGER_H

#include <stdatomic.h>

#include "broker.h"
#include "host.h"

enum { LEDGER_JOBS_MAX = 256, LEDGER_NODES = 2, LEDGER_QUEUES = 2 };

enum ledger_kind {
    LEDGER_DONE,      /* ends well */
    LEDGER_SLOW,      /* so, after a while */
    LEDGER_FAIL_ONCE, /* throws when it has never failed before */
    LEDGER_DIE_ONCE,  /* kills its worker when it has never failed before */
    LEDGER_FAIL,      /* throws always; has a failure handler */
};

typedef struct ledger_job {
    uint32_t kind;
    uint32_t queue;
    uint32_t delay_ms;
    uint32_t bytes;           /* of payload */
    mpq_id id;                /* as the producer was told */
    mpq_id ran_as;            /* as its first run saw it */
    _Atomic uint32_t pushing; /* a push of it has begun */
    _Atomic uint32_t pushed;  /* and was answered */
    /* runs of the job */
    _Atomic uint32_t started;
    _Atomic uint32_t completed;
    _Atomic uint32_t thrown;
    _Atomic uint32_t killed;                      /* killed its worker as it should */
    _Atomic uint32_t handled;                     /* runs of the failure handler */
    _Atomic uint32_t most_failures[LEDGER_NODES]; /* seen by a run there */
    _Atomic uint32_t backwards;                   /* runs that saw fewer failures than one before them */
    _Atomic uint32_t too_early;                   /* delayed, but run before its time */
    _Atomic uint32_t other_id;                    /* runs with another id than the first */
    _Atomic uint64_t pushed_at_ms;
    /* what the store says in the end */
    uint32_t records; /* failed records of it */
    uint32_t causes_thrown;
} ledger_job;

typedef struct ledger {
    uint32_t count;
    _Atomic uint32_t ended; /* runs that completed, and of failure handlers: progress, roughly */
    ledger_job jobs[LEDGER_JOBS_MAX];
} ledger;

typedef struct ledger_host {
    mpq_host host; /* give this to mpq_service_run */
    ledger *books;
    uint32_t node;
    void (*after_fork)(enum mpq_role role); /* may be NULL */
} ledger_host;

void ledger_host_init(ledger_host *host, ledger *books, uint32_t node);

/* Adds a job to the books; not yet to a queue. */
void ledger_add(ledger *books, enum ledger_kind kind, uint32_t queue, uint32_t delay_ms, uint32_t bytes);
/* Its payload, in `out` of at least job->bytes + 32 bytes. */
mpq_slice ledger_payload(const ledger *books, uint32_t index, char *out, size_t size);
uint32_t ledger_fail_number(const ledger_job *job);

/* Enters the failed records of a queue: counts records that belong to no job, -1 when the store can't be read. */
int ledger_read_failed(ledger *books, mpq_broker *broker, const char *queue, mpq_error *err);

/* Runs that would not have happened in a world without faults. */
uint32_t ledger_extra_runs(const ledger_job *job);

#endif
