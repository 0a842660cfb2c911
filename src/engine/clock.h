/* Time in whole milliseconds or microseconds, rounded down. Due times and leases are the broker's (see broker.h); these
 * two are for this host: deadlines of running jobs and time stamps in records. */
#ifndef MPQ_CLOCK_H
#define MPQ_CLOCK_H

#include "base.h"

uint64_t mpq_clock_monotonic_ms(void);
uint64_t mpq_clock_monotonic_us(void);
uint64_t mpq_clock_wall_ms(void);
uint64_t mpq_clock_wall_us(void);

#endif
