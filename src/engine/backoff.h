/* How long to wait before something that keeps dying is started again: not at all after the first time, then 100 ms,
 * doubling up to 10 s. Zero-initialised memory is the beginning. */
#ifndef MPQ_BACKOFF_H
#define MPQ_BACKOFF_H

#include "base.h"

#define MPQ_BACKOFF_FIRST_MS 100u
#define MPQ_BACKOFF_MAX_MS 10000u
/* Whoever lived this long lived well; a failure this long after the one before is the first of a new row. */
#define MPQ_BACKOFF_WELL_MS 10000u

typedef struct mpq_backoff {
    uint32_t row;         /* failures in a row */
    uint64_t next_at_ms;  /* monotonic: not before then */
    uint64_t row_ends_ms; /* monotonic */
} mpq_backoff;

/* Returns the pause in milliseconds. */
uint32_t mpq_backoff_failed(mpq_backoff *backoff, uint64_t now_ms);
void mpq_backoff_reset(mpq_backoff *backoff);

#endif
