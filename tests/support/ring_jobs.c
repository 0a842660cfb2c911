#include "ring_jobs.h"

#include <string.h>
#include <unistd.h>

enum { ENVELOPE_MAX = 16384 };

static size_t length_of(uint64_t number)
{
    return number % 4 == 3 ? 1025 + number % 7919 : 32 + number % 200;
}

static void fill(char *to, uint64_t number)
{
    size_t len = length_of(number);
    memset(to, (int)(number % 251), len);
    memset(to + MPQ_ENVELOPE_ID_OFFSET, 0, MPQ_ID_BYTES);
    memcpy(to + MPQ_ENVELOPE_ID_OFFSET, &number, sizeof number);
}

int ring_job_post(mpq_ring_feeder *feeder, uint64_t number)
{
    char bytes[ENVELOPE_MAX];
    fill(bytes, number);
    return mpq_ring_post(feeder, mpq_slice_of(bytes, length_of(number)), 1, 1);
}

bool ring_job_is_intact(mpq_ring *ring, uint32_t slot)
{
    char expected[ENVELOPE_MAX];
    uint64_t number = ring_job_number(ring, slot);
    mpq_slice envelope = mpq_ring_envelope(ring, slot);
    fill(expected, number);
    return envelope.len == length_of(number) && memcmp(expected, envelope.data, envelope.len) == 0;
}

uint64_t ring_job_number(mpq_ring *ring, uint32_t slot)
{
    uint64_t number;
    memcpy(&number, mpq_ring_slot(ring, slot)->id.bytes, sizeof number);
    return number;
}

void ring_job_finish(mpq_ring *ring, uint32_t slot, enum mpq_end end, int wake_fd)
{
    mpq_ring_slot(ring, slot)->end = end;
    mpq_ring_finish(ring, slot, wake_fd);
}

uint64_t ring_wake_ups(int wake_fd)
{
    uint64_t count = 0;
    return read(wake_fd, &count, sizeof count) == sizeof count ? count : 0;
}
