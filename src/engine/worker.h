/* What the two kinds of workers share: one run of user code, and the reasons to leave. */
#ifndef MPQ_WORKER_H
#define MPQ_WORKER_H

#include "fork_mark.h"
#include "roles.h"

#define MPQ_WORKER_STATUS_FATAL 70 /* EX_SOFTWARE: user code left the process unfit for another job */

typedef struct mpq_worker {
    mpq_process *process;
    mpq_board_worker *entry;
    const mpq_queue_config *queue;
    uint32_t queue_index;
    mpq_fork_mark mark;
    char name[MPQ_SERVICE_NAME_MAX + 16]; /* "<service>:<pid>" */
    bool recycle;                         /* max_jobs or memory_limit reached */
    uint64_t now_us; /* monotonic, as it was read last: the clock is a tenth of what a small job costs */
} mpq_worker;

/* Takes SIGTERM and the private interrupt signal; runs the user's worker_start; publishes that the worker has started.
 */
int mpq_worker_start(mpq_worker *worker, mpq_process *process, uint32_t index, mpq_error *err);

/* Asked to leave, or due to be replaced. */
bool mpq_worker_must_leave(const mpq_worker *worker);

/* Reads worker->now_us anew; whatever is called next takes that for the time at which it began. */
void mpq_worker_look_at_clock(mpq_worker *worker);

/* Publishes the run on the board, has the host run it, and returns how it ended. `report` gets the encoded cause unless
 * DONE. `leave`: the process must end after reporting. Afterwards worker->now_us is the time of its end. */
enum mpq_end mpq_worker_run_job(mpq_worker *worker, const mpq_job *job, uint64_t reserved_at_ms, mpq_buf *report,
                                uint32_t *run_us, bool *leave);
/* The run is over: tells it on the board, and counts it for max_jobs. */
void mpq_worker_end_run(mpq_worker *worker);
/* After the result was published: clears what the job left behind and decides on recycling. May take as long as a job.
 */
void mpq_worker_after_job(mpq_worker *worker);
/* Before it sleeps. */
void mpq_worker_idle(mpq_worker *worker);

/* The loop of grab mode: this worker is an owner of its own at the broker. */
int mpq_worker_grab(mpq_worker *worker, mpq_error *err);

#endif
