/* What the tests of a producer push. */
#ifndef MPQ_PRODUCER_FIXTURE_H
#define MPQ_PRODUCER_FIXTURE_H

#include "producer.h"

#include <string.h>

static inline mpq_new_job text_job(const char *text)
{
    mpq_new_job job = {.payload = mpq_slice_of(text, strlen(text)), .timeout_ms = 60000, .fail_number = 3};
    return job;
}

static inline int push_text(mpq_producer *producer, const char *queue, const char *text, mpq_id *id, mpq_error *err)
{
    mpq_new_job job = text_job(text);
    size_t accepted;
    return mpq_producer_push(producer, queue, &job, 1, id, &accepted, err);
}

#endif
