/* The manager's duty to a job whose worker has died: say what happened to it, so that the dispatcher can settle it. */
#ifndef MPQ_DEATH_H
#define MPQ_DEATH_H

#include "process.h"

enum mpq_kill {
    MPQ_KILL_NONE,
    MPQ_KILL_TIMEOUT,    /* the run did not end within the grace after its soft timeout */
    MPQ_KILL_INTERRUPTED /* it did not leave in time at a stop or a reload */
};

typedef struct mpq_death {
    uint32_t index; /* on the board */
    pid_t pid;
    bool status_known;
    int status;           /* as of waitpid */
    enum mpq_kill killed; /* what the manager has sent SIGKILL for */
    uint32_t killed_run;  /* the run_token it was meant for (MPQ_KILL_TIMEOUT) */
} mpq_death;

/* "killed by signal 11 (Segmentation fault)", "exited with status 3" */
void mpq_death_describe(const mpq_death *death, char *out, size_t size);

/* Settles or hands over what the worker held and gives its board entry back (grab mode: leaves that to the dispatcher
 * when the worker may have held jobs). The dispatcher is woken when there is something for it. Returns whether a job
 * was hit; `id` is then its id, as far as known, else zeros. */
bool mpq_death_settle(mpq_process *self, const mpq_death *death, mpq_id *id);

#endif
