/*
 * Pushing, made safe to repeat. One producer for each process and broker; it keeps its connection, connects again
 * after a lost one, and starts over (new producer id, new connection) in a forked child.
 *
 * If a push fails and it is not known whether it took place, the next push of exactly the same jobs to the same queue
 * repeats it under the same sequence number: calling again after an exception does not enqueue twice.
 */
#ifndef MPQ_PRODUCER_H
#define MPQ_PRODUCER_H

#include "broker.h"

typedef struct mpq_producer mpq_producer;

/* One job to push: everything but the id, which the producer gives. */
typedef struct mpq_new_job {
    mpq_slice payload;
    uint64_t delay_ms;
    uint32_t flags;
    uint32_t timeout_ms;
    uint32_t fail_number;
    uint32_t fail_expire_ms;
} mpq_new_job;

int mpq_producer_open(const mpq_broker_config *config, uint64_t payload_max_bytes, mpq_producer **out, mpq_error *err);
void mpq_producer_close(mpq_producer *producer);

/* Pushes `count` jobs in order, in chunks of at most 1000 jobs and about 8 MiB; `ids` gets one id for each.
 * Ends within connect_timeout_ms + read_timeout_ms for each chunk. On failure `*accepted` says how many of the
 * first jobs are known to be stored; repeating the whole call enqueues nothing twice.
 * MPQ_ERROR_PAYLOAD if one is too large: then none was pushed. */
int mpq_producer_push(mpq_producer *producer, const char *queue, const mpq_new_job *jobs, size_t count, mpq_id *ids,
                      size_t *accepted, mpq_error *err);

/* The broker handle behind it, connected by itself, for counts, failed and clear. Valid until the next call with this
 * producer; NULL when out of memory. */
mpq_broker *mpq_producer_broker(mpq_producer *producer);

#endif
