#include "backoff.h"

static uint32_t pause_for(uint32_t row)
{
    if (row <= 1)
        return 0;
    uint32_t doublings = row - 2;
    uint32_t pause = doublings < 16 ? MPQ_BACKOFF_FIRST_MS << doublings : MPQ_BACKOFF_MAX_MS;
    return pause < MPQ_BACKOFF_MAX_MS ? pause : MPQ_BACKOFF_MAX_MS;
}

uint32_t mpq_backoff_failed(mpq_backoff *backoff, uint64_t now_ms)
{
    if (now_ms >= backoff->row_ends_ms)
        backoff->row = 0;
    backoff->row++;
    uint32_t pause = pause_for(backoff->row);
    backoff->next_at_ms = now_ms + pause;
    backoff->row_ends_ms = backoff->next_at_ms + MPQ_BACKOFF_WELL_MS;
    return pause;
}

void mpq_backoff_reset(mpq_backoff *backoff)
{
    *backoff = (mpq_backoff){0};
}
