/* The $delay argument: seconds, a point in time, or an interval. */
#ifndef MPQUEUE_DELAY_H
#define MPQUEUE_DELAY_H

#include "php.h"

/* Milliseconds from now. -1: a \ValueError or \TypeError for the argument with this number was thrown. */
int mpqueue_delay_to_ms(zval *delay, uint32_t arg_num, uint64_t *out_ms);

#endif
