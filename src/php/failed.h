/* Records of jobs that have failed for the last time, as arrays. */
#ifndef MPQUEUE_FAILED_H
#define MPQUEUE_FAILED_H

#include "../engine/mpq.h"
#include "php.h"

/* Up to `limit` records of a queue under their ids, as MPQueue\Queue::failed() returns them. Bytes that are no envelope
 * become a record with the bytes as `payload` and the reason as `problem`. -1: thrown. */
int mpqueue_failed_records(mpq_broker *broker, const char *queue, size_t limit, zval *records);

/* One failed run, as the `causes` of such a record hold it. */
void mpqueue_cause_to_array(const mpq_cause *cause, zval *array);

#endif
