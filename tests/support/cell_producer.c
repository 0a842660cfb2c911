/* The process that pushes the jobs of a cell, and comes back when the fault has killed it. */
#include "cell_parts.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

mpq_producer *cell_open_producer(const mpq_broker_config *store)
{
    mpq_producer *producer = NULL;
    mpq_error err;
    if (mpq_producer_open(store, 0, &producer, &err) < 0) {
        cell_blame("no producer: %s", err.text);
        _exit(1);
    }
    return producer;
}

uint32_t cell_push(mpq_producer *producer, uint32_t first, uint32_t count)
{
    static char payloads[3][8192];
    mpq_new_job jobs[3];
    mpq_id ids[3];
    mpq_error err;
    size_t accepted;
    for (uint32_t i = 0; i < count; i++) {
        ledger_job *job = &cell_life.ledger->jobs[first + i];
        jobs[i] = (mpq_new_job){.payload = ledger_payload(cell_life.ledger, first + i, payloads[i], sizeof payloads[i]),
                                .delay_ms = job->delay_ms,
                                .fail_number = ledger_fail_number(job),
                                .fail_expire_ms = 40};
        atomic_store(&job->pushed_at_ms, mpq_clock_wall_ms());
        atomic_store(&job->pushing, 1);
    }
    const char *queue = cell_queue_names[cell_life.ledger->jobs[first].queue];
    while (mpq_producer_push(producer, queue, jobs, count, ids, &accepted, &err) < 0)
        fake_service_pause(20);
    for (uint32_t i = 0; i < count; i++) {
        cell_life.ledger->jobs[first + i].id = ids[i];
        atomic_store(&cell_life.ledger->jobs[first + i].pushed, 1);
    }
    return count;
}

/* Every third push is one of up to three jobs at once. */
static uint32_t how_many(uint32_t first)
{
    uint32_t count = 1, most = first % 4 == 0 ? 3 : 1;
    while (count < most && first + count < CELL_JOBS &&
           cell_life.ledger->jobs[first + count].queue == cell_life.ledger->jobs[first].queue)
        count++;
    return count;
}

/* What a producer that was killed had begun to push may or may not be there: nobody pushes it again. */
static void produce(void)
{
    mpq_producer *producer = cell_open_producer(&cell_life.service.config.broker);
    for (uint32_t i = CELL_SEEDED; i < CELL_JOBS;) {
        if (atomic_load(&cell_life.ledger->jobs[i].pushing)) {
            i++;
            continue;
        }
        i += cell_push(producer, i, how_many(i));
        fake_service_pause(4);
    }
    mpq_producer_close(producer);
}

void cell_launch_producer(void)
{
    fflush(NULL);
    cell_life.producer = fork();
    if (cell_life.producer != 0)
        return;
    cell_follow_plan(CELL_PRODUCER);
    produce();
    _exit(0);
}

void cell_producer_ended(int status)
{
    bool struck = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && cell_life.producer == cell_victim();
    cell_life.producer = 0;
    if (struck)
        cell_launch_producer();
    else if (status != 0)
        cell_blame("the producer ended with status 0x%x", (unsigned)status);
    else
        cell_life.produced = true;
}
