/* Arbitrary bytes as an envelope, as a cause and as the parts of a job. */
#include <stdio.h>

#include "codec.h"
#include "fuzz.h"
#include "retry.h"

enum {
    RESERVED_FROM = 64, /* of the header: not read, written as zeros */
    CUT_BYTES = 3 * MPQ_CAUSE_MAX_BYTES,
    CUT_PATTERN_MAX = 16,
    ROUNDS_MAX = 250,
    SMALL_BYTES = 2048
};

static bool same(mpq_slice a, mpq_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool begins(mpq_slice whole, mpq_slice part)
{
    return part.len <= whole.len && same(mpq_slice_of(whole.data, part.len), part);
}

/* -- causes --------------------------------------------------------------------------------------------------- */

static void must_be_same_cause(const mpq_cause *a, const mpq_cause *b)
{
    MUST(a->end == b->end && a->in_handler == b->in_handler && a->code == b->code && a->run == b->run);
    MUST(a->line == b->line && a->at_ms == b->at_ms && a->started_at_ms == b->started_at_ms);
    MUST(same(a->class_name, b->class_name) && same(a->message, b->message) && same(a->file, b->file));
    MUST(same(a->trace, b->trace) && same(a->worker, b->worker) && same(a->node, b->node));
}

/* What could be read can be written, and is the same when read again, unless it has to be cut. */
static void check_cause(const mpq_cause *cause)
{
    mpq_buf bytes = {0};
    mpq_cause back;
    mpq_error err = {0};
    mpq_codec_encode_cause(cause, &bytes);
    MUST(!bytes.failed && bytes.len > 0 && bytes.len <= MPQ_CAUSE_MAX_BYTES);
    MUST(mpq_codec_decode_cause(mpq_buf_slice(&bytes), &back, &err) == 0);
    MUST(begins(cause->message, back.message) && begins(cause->trace, back.trace) && begins(cause->node, back.node));
    MUST(begins(cause->file, back.file) && begins(cause->worker, back.worker));
    size_t texts = cause->message.len + cause->trace.len + cause->node.len + cause->file.len + cause->worker.len +
                   cause->class_name.len;
    if (texts <= MPQ_CAUSE_MAX_BYTES / 2)
        must_be_same_cause(cause, &back);
    mpq_buf_fini(&bytes);
}

static void check_cause_bytes(mpq_slice bytes)
{
    mpq_cause cause;
    mpq_error err = {0};
    if (mpq_codec_decode_cause(bytes, &cause, &err) < 0)
        fuzz_must_explain(&err);
    else
        check_cause(&cause);
}

/* Texts made by repeating the input are long enough to be cut, in the middle of whatever characters it has. */
static void check_cut(mpq_slice bytes)
{
    if (bytes.len == 0 || bytes.len > CUT_PATTERN_MAX)
        return;
    char *text = malloc(CUT_BYTES);
    MUST(text);
    for (size_t i = 0; i < CUT_BYTES; i++)
        text[i] = bytes.data[i % bytes.len];
    mpq_slice whole = mpq_slice_of(text, CUT_BYTES), half = mpq_slice_of(text, MPQ_CAUSE_MAX_BYTES / 2 + bytes.len);
    mpq_cause cause = {.end = MPQ_END_EXCEPTION, .message = half, .trace = whole, .class_name = bytes, .file = half};
    check_cause(&cause);
    cause.node = cause.worker = cause.class_name = whole;
    check_cause(&cause);
    free(text);
}

/* -- decisions ------------------------------------------------------------------------------------------------ */

static uint32_t count_records(mpq_slice history)
{
    mpq_reader reader = mpq_reader_of(history);
    uint32_t count = 0;
    while (reader.left > 0) {
        mpq_reader_bytes(&reader, mpq_reader_u32(&reader));
        MUST(!reader.failed);
        count++;
    }
    return count;
}

static bool one_step(uint32_t before, uint32_t after)
{
    return after == before || after == before + 1;
}

static void check_next(const mpq_job *job, const mpq_job *next, const mpq_settle *settle)
{
    MUST(mpq_id_equal(&job->id, &next->id) && mpq_id_equal(&job->id, &settle->id));
    MUST(same(job->payload, next->payload) && job->created_at_ms == next->created_at_ms);
    MUST(job->flags == next->flags && job->timeout_ms == next->timeout_ms);
    MUST(job->fail_number == next->fail_number && job->fail_expire_ms == next->fail_expire_ms);
    MUST(one_step(job->failures, next->failures) && one_step(job->handler_runs, next->handler_runs));
    MUST(job->phase == MPQ_PHASE_RUN || next->phase == MPQ_PHASE_HANDLER);
    MUST(settle->delay_ms == 0 || settle->delay_ms == job->fail_expire_ms);
}

/* The cause that was just added ends the history. */
static void check_history(const mpq_job *next, enum mpq_end end, bool in_handler)
{
    mpq_reader reader = mpq_reader_of(next->history);
    mpq_cause last = {0};
    mpq_error err;
    int rc = 0;
    MUST(next->history_count >= 1 && next->history_count <= MPQ_HISTORY_MAX);
    MUST(count_records(next->history) == next->history_count);
    for (uint32_t i = 0; i < next->history_count; i++)
        rc = mpq_codec_next_cause(&reader, &last, &err); /* an older record may be damaged inside */
    MUST(rc == 0 && last.in_handler == in_handler);
    MUST(last.end == ((unsigned)end <= MPQ_END_INTERRUPTED ? end : MPQ_END_DIED));
    MUST(mpq_codec_next_cause(&reader, &last, &err) == 1);
}

/* Returns what was decided; `envelope` has the bytes. */
static enum mpq_settle_kind decide(const mpq_job *job, const mpq_cause *cause, mpq_buf *envelope)
{
    mpq_settle settle;
    mpq_error err = {0};
    mpq_job next;
    MUST(mpq_retry_decide(job, cause, envelope, &settle, &err) == 0);
    MUST(mpq_id_equal(&settle.id, &job->id));
    if (settle.kind == MPQ_SETTLE_DONE || settle.kind == MPQ_SETTLE_RETURN) {
        MUST(settle.kind == MPQ_SETTLE_DONE ? cause->end == MPQ_END_DONE : cause->end == MPQ_END_INTERRUPTED);
        return settle.kind;
    }
    MUST(settle.envelope.data == envelope->data && settle.envelope.len == envelope->len);
    MUST(mpq_codec_decode(settle.envelope, &next, &err) == 0);
    check_next(job, &next, &settle);
    if (cause->end != MPQ_END_DONE)
        check_history(&next, cause->end, job->phase == MPQ_PHASE_HANDLER);
    else
        MUST(settle.kind == MPQ_SETTLE_FAILED && job->phase == MPQ_PHASE_HANDLER && same(next.history, job->history));
    return settle.kind;
}

/* However a job ends each time, it comes to an end. */
static void check_it_ends(const mpq_job *job, const mpq_cause *cause)
{
    mpq_buf now = {0}, next = {0};
    mpq_job current;
    mpq_error err;
    mpq_codec_encode(job, &now);
    enum mpq_settle_kind kind = MPQ_SETTLE_RETRY;
    for (int i = 0; kind == MPQ_SETTLE_RETRY; i++) {
        MUST(i < ROUNDS_MAX);
        MUST(mpq_codec_decode(mpq_buf_slice(&now), &current, &err) == 0);
        kind = decide(&current, cause, &next);
        mpq_buf swap = now;
        now = next;
        next = swap;
    }
    mpq_buf_fini(&now);
    mpq_buf_fini(&next);
}

static void check_decisions(const mpq_job *job, const mpq_cause *cause, size_t size)
{
    mpq_buf envelope = {0};
    mpq_cause ended = *cause;
    for (unsigned end = 0; end <= MPQ_END_INTERRUPTED + 2; end++) {
        ended.end = (enum mpq_end)end;
        decide(job, &ended, &envelope);
    }
    mpq_buf_fini(&envelope);
    ended.end = (enum mpq_end)(job->created_at_ms % (MPQ_END_INTERRUPTED + 2)); /* one of them, for speed */
    if (size <= SMALL_BYTES && job->fail_number < ROUNDS_MAX / 3)
        check_it_ends(job, &ended);
}

/* -- envelopes ------------------------------------------------------------------------------------------------ */

static void check_same_job(const mpq_job *a, const mpq_job *b)
{
    MUST(mpq_id_equal(&a->id, &b->id) && a->phase == b->phase && a->flags == b->flags && a->failures == b->failures);
    MUST(a->handler_runs == b->handler_runs && a->timeout_ms == b->timeout_ms && a->fail_number == b->fail_number);
    MUST(a->fail_expire_ms == b->fail_expire_ms && a->created_at_ms == b->created_at_ms);
    MUST(a->history_count == b->history_count && same(a->payload, b->payload) && same(a->history, b->history));
}

static void check_job(const mpq_job *job)
{
    mpq_buf bytes = {0};
    mpq_job back;
    mpq_error err = {0};
    mpq_codec_encode(job, &bytes);
    MUST(!bytes.failed && mpq_codec_looks_like_envelope(mpq_buf_slice(&bytes)));
    MUST(mpq_codec_decode(mpq_buf_slice(&bytes), &back, &err) == 0);
    check_same_job(job, &back);
    mpq_buf_fini(&bytes);
}

static void walk(mpq_slice history, mpq_cause *last)
{
    mpq_reader reader = mpq_reader_of(history);
    mpq_error err = {0};
    size_t left = reader.left;
    for (;;) {
        int rc = mpq_codec_next_cause(&reader, last, &err);
        if (rc != 0) {
            if (rc < 0)
                fuzz_must_explain(&err);
            return;
        }
        MUST(reader.left < left); /* so that it ends */
        left = reader.left;
        check_cause(last);
    }
}

static void check_envelope(mpq_slice bytes)
{
    mpq_job job;
    mpq_error err = {0};
    mpq_buf again = {0};
    mpq_cause cause = {.end = MPQ_END_EXCEPTION};
    if (mpq_codec_decode(bytes, &job, &err) < 0) {
        fuzz_must_explain(&err);
        return;
    }
    MUST(mpq_codec_looks_like_envelope(bytes));
    mpq_id id = mpq_codec_id(bytes);
    MUST(mpq_id_equal(&id, &job.id));
    check_job(&job);
    mpq_codec_encode(&job, &again);
    MUST(again.len == bytes.len && memcmp(again.data, bytes.data, RESERVED_FROM) == 0);
    MUST(memcmp(again.data + MPQ_ENVELOPE_HEADER_BYTES, bytes.data + MPQ_ENVELOPE_HEADER_BYTES,
                bytes.len - MPQ_ENVELOPE_HEADER_BYTES) == 0);
    mpq_buf_fini(&again);
    walk(job.history, &cause);
    check_decisions(&job, &cause, bytes.len);
}

/* A job whose parts are the input, whatever they are. */
static void check_parts(mpq_slice bytes)
{
    fuzz_input input = {bytes.data, bytes.len};
    mpq_job job = {.phase = fuzz_u8(&input) & 1,
                   .flags = fuzz_u32(&input),
                   .failures = fuzz_u32(&input),
                   .fail_number = fuzz_u8(&input) % 4u};
    job.payload = fuzz_until(&input, '\0');
    job.history = fuzz_bytes(&input, input.left);
    check_job(&job);
    mpq_cause cause = {.code = -1, .message = job.payload, .trace = job.history};
    check_decisions(&job, &cause, bytes.len);
}

static void check_id(mpq_slice text)
{
    mpq_id id, back;
    char out[MPQ_ID_TEXT_LEN + 1];
    if (mpq_id_parse(text, &id) != 0)
        return;
    mpq_id_format(&id, out);
    MUST(strlen(out) == MPQ_ID_TEXT_LEN && strncasecmp(out, text.data, MPQ_ID_TEXT_LEN) == 0);
    MUST(mpq_id_parse(mpq_slice_of(out, MPQ_ID_TEXT_LEN), &back) == 0 && mpq_id_equal(&id, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mpq_slice bytes = mpq_slice_of((const char *)data, size);
    check_envelope(bytes);
    check_cause_bytes(bytes);
    check_parts(bytes);
    check_cut(bytes);
    check_id(bytes);
    return 0;
}
