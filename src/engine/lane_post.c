/* Jobs that the broker has given, on their way into the ring. */
#include "clock.h"
#include "crashpoint.h"
#include "lane.h"

bool mpq_lane_is_stopping(const mpq_lane *lane)
{
    return atomic_load(&lane->process->board.shared->stopping) != 0;
}

/* false: no room in the ring now. */
static bool post(mpq_lane *lane, mpq_slice envelope)
{
    mpq_job job;
    mpq_error err;
    if (mpq_codec_decode(envelope, &job, &err) < 0) {
        mpq_lane_fail_damaged(lane, envelope, err.text);
        return true;
    }
    if (envelope.len > mpq_ring_largest(lane->ring)) {
        mpq_error_set(&err, MPQ_ERROR_PAYLOAD, "%zu bytes are more than this service takes, raise max_payload",
                      envelope.len);
        mpq_lane_fail_damaged(lane, envelope, err.text);
        return true;
    }
    return mpq_ring_post(lane->feeder, envelope, atomic_load(&lane->board->epoch), mpq_clock_wall_ms()) == 0;
}

void mpq_lane_post_overflow(mpq_lane *lane)
{
    while (lane->overflow_at < lane->overflow.count) {
        mpq_slice envelope = mpq_batch_envelope(&lane->overflow, lane->overflow_at);
        if (mpq_lane_is_stopping(lane)) {
            mpq_id id = mpq_codec_id(envelope);
            mpq_lane_return(lane, &id);
        } else if (!post(lane, envelope)) {
            return;
        }
        lane->overflow_at++;
    }
    mpq_batch_clear(&lane->overflow);
    lane->overflow_at = 0;
}

/* Jobs that find no room wait in private memory; should it run out too, they stay held under our name. */
void mpq_lane_post_batch(mpq_lane *lane)
{
    for (size_t i = 0; i < lane->batch.count; i++) {
        mpq_slice envelope = mpq_batch_envelope(&lane->batch, i);
        if (lane->overflow.count > 0 || !post(lane, envelope))
            mpq_batch_append(&lane->overflow, envelope);
        MPQ_CRASH_POINT("dispatcher.post.between");
    }
    MPQ_CRASH_POINT("dispatcher.post.done");
    lane->forgetful |= lane->overflow.bytes.failed;
    mpq_lane_post_overflow(lane);
}
