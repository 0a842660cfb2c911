#include "retry.h"

/* What an end says about the run. */
enum {
    INNOCENT = 1, /* the process died under the job; nothing says that waiting helps */
    DEADLY = 2,   /* the process of a failure handler is gone, so the handler deserves another one */
    FINAL = 4     /* trying again can't help */
};

/* `end` may come from memory that user code could have written to: what isn't known counts as a death. */
static enum mpq_end known(enum mpq_end end)
{
    return (unsigned)end <= MPQ_END_INTERRUPTED ? end : MPQ_END_DIED;
}

static const unsigned char traits[MPQ_END_INTERRUPTED + 1] = {
    [MPQ_END_EXCEPTION] = 0,
    [MPQ_END_EXIT] = 0,
    [MPQ_END_FATAL] = DEADLY,
    [MPQ_END_OUT_OF_MEMORY] = DEADLY,
    [MPQ_END_SIGNAL] = INNOCENT | DEADLY,
    [MPQ_END_DIED] = INNOCENT | DEADLY,
    [MPQ_END_TIMEOUT] = 0,
    [MPQ_END_SERVICE_LOST] = INNOCENT | DEADLY,
    [MPQ_END_NODE_LOST] = INNOCENT | DEADLY,
    [MPQ_END_UNDECODABLE] = FINAL,
};

static uint32_t one_more(uint32_t count)
{
    return count < UINT32_MAX ? count + 1 : count;
}

static uint32_t allowed_runs(const mpq_job *job)
{
    return job->fail_number > 0 ? job->fail_number : 1;
}

static bool is_final(const mpq_job *job, enum mpq_end end)
{
    if (traits[end] & FINAL)
        return true;
    if (end == MPQ_END_TIMEOUT && !(job->flags & MPQ_JOB_TIMEOUT_RETRY))
        return true;
    return job->failures >= allowed_runs(job);
}

/* Counts a failed run of the job in `next`. */
static void after_job(mpq_job *next, enum mpq_end end, mpq_settle *out)
{
    next->failures = one_more(next->failures);
    out->kind = MPQ_SETTLE_RETRY;
    if (is_final(next, end))
        next->phase = MPQ_PHASE_HANDLER;
    else if (!(traits[end] & INNOCENT))
        out->delay_ms = next->fail_expire_ms;
}

/* Counts a failed run of the failure handler in `next`. */
static void after_handler(mpq_job *next, enum mpq_end end, mpq_settle *out)
{
    bool deadly = traits[end] & DEADLY;
    if (deadly || end == MPQ_END_TIMEOUT)
        next->handler_runs = one_more(next->handler_runs);
    out->kind = deadly && next->handler_runs < allowed_runs(next) ? MPQ_SETTLE_RETRY : MPQ_SETTLE_FAILED;
}

static void decide_failed(const mpq_job *job, const mpq_cause *cause, mpq_buf *envelope, mpq_settle *out)
{
    mpq_job next = *job;
    mpq_cause kept = *cause;
    kept.end = known(cause->end);
    kept.in_handler = job->phase == MPQ_PHASE_HANDLER;
    if (kept.in_handler)
        after_handler(&next, kept.end, out);
    else
        after_job(&next, kept.end, out);
    mpq_codec_encode_with_cause(&next, &kept, envelope);
}

int mpq_retry_decide(const mpq_job *job, const mpq_cause *cause, mpq_buf *envelope, mpq_settle *out, mpq_error *err)
{
    *out = (mpq_settle){.kind = MPQ_SETTLE_DONE, .id = job->id};
    mpq_buf_clear(envelope);
    if (cause->end == MPQ_END_INTERRUPTED) {
        out->kind = MPQ_SETTLE_RETURN;
        return 0;
    }
    if (cause->end == MPQ_END_DONE && job->phase == MPQ_PHASE_RUN)
        return 0;
    if (cause->end == MPQ_END_DONE) {
        out->kind = MPQ_SETTLE_FAILED;
        mpq_codec_encode(job, envelope);
    } else {
        decide_failed(job, cause, envelope, out);
    }
    if (envelope->failed)
        return mpq_error_set_memory(err);
    out->envelope = mpq_buf_slice(envelope);
    return 0;
}
