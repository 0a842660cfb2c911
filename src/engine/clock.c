#include "clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t mpq_clock_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000u;
}

uint64_t mpq_clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t mpq_clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

uint64_t mpq_clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000u;
}
