#include "codec.h"

#include <string.h>

enum {
    VERSION = 1,
    RESERVED_BYTES = 8,
    HISTORY_FIRST = MPQ_HISTORY_MAX / 2,
    CAUSE_FIXED_BYTES = 56, /* everything of a cause but its texts */
    CAUSE_TEXTS = 6,
    RECORD_PREFIX_BYTES = 4 /* in a history each cause follows its length */
};

/* What an envelope's next history keeps of the one before: two runs of whole records; a new cause follows them. */
typedef struct new_history {
    mpq_slice first;
    mpq_slice newest;
    uint32_t count; /* the new cause included */
} new_history;

static void append_header(const mpq_job *job, uint32_t history_count, size_t history_len, mpq_buf *out)
{
    mpq_buf_append(out, "MQ", 2);
    mpq_buf_append_u8(out, VERSION);
    mpq_buf_append_u8(out, (uint8_t)job->phase);
    mpq_buf_append_u32(out, job->flags);
    mpq_buf_append(out, job->id.bytes, MPQ_ID_BYTES);
    mpq_buf_append_u64(out, job->created_at_ms);
    mpq_buf_append_u32(out, job->failures);
    mpq_buf_append_u32(out, job->handler_runs);
    mpq_buf_append_u32(out, job->timeout_ms);
    mpq_buf_append_u32(out, job->fail_number);
    mpq_buf_append_u32(out, job->fail_expire_ms);
    mpq_buf_append_u32(out, history_count);
    mpq_buf_append_u32(out, (uint32_t)job->payload.len);
    mpq_buf_append_u32(out, (uint32_t)history_len);
    mpq_buf_append_u64(out, 0);
}

/* Reserves the whole envelope first: one allocation, and none of it is written if it can't be had. */
static bool begin_envelope(const mpq_job *job, uint32_t history_count, size_t history_len, mpq_buf *out)
{
    if (job->payload.len > UINT32_MAX || history_len > UINT32_MAX) {
        out->failed = true;
        return false;
    }
    if (!mpq_buf_reserve(out, MPQ_ENVELOPE_HEADER_BYTES + job->payload.len + history_len))
        return false;
    append_header(job, history_count, history_len, out);
    mpq_buf_append_slice(out, job->payload);
    return true;
}

void mpq_codec_encode(const mpq_job *job, mpq_buf *out)
{
    if (begin_envelope(job, job->history_count, job->history.len, out))
        mpq_buf_append_slice(out, job->history);
}

bool mpq_codec_looks_like_envelope(mpq_slice envelope)
{
    return envelope.len >= MPQ_ENVELOPE_HEADER_BYTES && memcmp(envelope.data, "MQ", 2) == 0;
}

mpq_id mpq_codec_id(mpq_slice envelope)
{
    mpq_id id;
    memcpy(id.bytes, envelope.data + MPQ_ENVELOPE_ID_OFFSET, MPQ_ID_BYTES);
    return id;
}

/* The header has a fixed layout, and this runs three times for each job: no reader that checks every field. */
static uint64_t little_endian_at(const char *header, size_t offset, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)header[offset + i] << (8 * i);
    return value;
}

static uint32_t u32_at(const char *header, size_t offset)
{
    return (uint32_t)little_endian_at(header, offset, 4);
}

/* The order is append_header's. */
static void read_header(const char *header, mpq_job *job, uint32_t *payload_len, uint32_t *history_len)
{
    job->phase = (enum mpq_phase)(unsigned char)header[3];
    job->flags = u32_at(header, 4);
    memcpy(job->id.bytes, header + MPQ_ENVELOPE_ID_OFFSET, MPQ_ID_BYTES);
    job->created_at_ms = little_endian_at(header, 24, 8);
    job->failures = u32_at(header, 32);
    job->handler_runs = u32_at(header, 36);
    job->timeout_ms = u32_at(header, 40);
    job->fail_number = u32_at(header, 44);
    job->fail_expire_ms = u32_at(header, 48);
    job->history_count = u32_at(header, 52);
    *payload_len = u32_at(header, 56);
    *history_len = u32_at(header, 60);
}

int mpq_codec_decode(mpq_slice envelope, mpq_job *out, mpq_error *err)
{
    if (!mpq_codec_looks_like_envelope(envelope))
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "these %zu bytes are not a job", envelope.len);

    unsigned version = (unsigned char)envelope.data[2];
    if (version != VERSION)
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "the job has format %u, this version only knows %d", version,
                             VERSION);

    uint32_t payload_len, history_len;
    size_t rest = envelope.len - MPQ_ENVELOPE_HEADER_BYTES;
    read_header(envelope.data, out, &payload_len, &history_len);
    if (out->phase != MPQ_PHASE_RUN && out->phase != MPQ_PHASE_HANDLER)
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "the job is damaged: it is in the unknown phase %u",
                             (unsigned)out->phase);
    if ((uint64_t)payload_len + history_len != rest)
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "the job is damaged: %llu bytes should follow its header, %zu do",
                             (unsigned long long)payload_len + history_len, rest);
    out->payload = mpq_slice_of(envelope.data + MPQ_ENVELOPE_HEADER_BYTES, payload_len);
    out->history = mpq_slice_of(out->payload.data + payload_len, history_len);
    return 0;
}

/* The longest start of at most `len` bytes that does not end inside a UTF-8 character. */
static mpq_slice cut_text(mpq_slice text, size_t len)
{
    if (text.len <= len)
        return text;
    size_t end = len;
    while (end > 0 && len - end < 3 && ((unsigned char)text.data[end] & 0xC0) == 0x80)
        end--;
    if (((unsigned char)text.data[end] & 0xC0) == 0x80)
        end = len;
    return mpq_slice_of(text.data, end);
}

/* What a cause gives up, in this order, to fit into MPQ_CAUSE_MAX_BYTES. Returns its encoded size. */
static size_t cut_cause(const mpq_cause *cause, mpq_cause *cut)
{
    *cut = *cause;
    mpq_slice *texts[CAUSE_TEXTS] = {&cut->trace,      &cut->message, &cut->file,
                                     &cut->class_name, &cut->worker,  &cut->node};
    size_t room = MPQ_CAUSE_MAX_BYTES - CAUSE_FIXED_BYTES;
    size_t used = 0;
    for (size_t i = CAUSE_TEXTS; i-- > 0;) {
        *texts[i] = cut_text(*texts[i], room - used);
        used += texts[i]->len;
    }
    return CAUSE_FIXED_BYTES + used;
}

static void append_text(mpq_buf *out, mpq_slice text)
{
    mpq_buf_append_u32(out, (uint32_t)text.len);
    mpq_buf_append_slice(out, text);
}

/* `cause` has been cut. */
static void append_cause(const mpq_cause *cause, mpq_buf *out)
{
    mpq_buf_append_u8(out, (uint8_t)cause->end);
    mpq_buf_append_u8(out, cause->in_handler);
    mpq_buf_append(out, "\0\0", 2);
    mpq_buf_append_u32(out, (uint32_t)cause->code);
    mpq_buf_append_u32(out, cause->run);
    mpq_buf_append_u32(out, cause->line);
    mpq_buf_append_u64(out, cause->at_ms);
    mpq_buf_append_u64(out, cause->started_at_ms);
    append_text(out, cause->class_name);
    append_text(out, cause->message);
    append_text(out, cause->file);
    append_text(out, cause->trace);
    append_text(out, cause->worker);
    append_text(out, cause->node);
}

void mpq_codec_encode_cause(const mpq_cause *cause, mpq_buf *out)
{
    mpq_cause cut;
    if (mpq_buf_reserve(out, cut_cause(cause, &cut)))
        append_cause(&cut, out);
}

static mpq_slice read_text(mpq_reader *reader)
{
    return mpq_reader_bytes(reader, mpq_reader_u32(reader));
}

int mpq_codec_decode_cause(mpq_slice bytes, mpq_cause *out, mpq_error *err)
{
    mpq_reader reader = mpq_reader_of(bytes);
    uint8_t end = mpq_reader_u8(&reader), in_handler = mpq_reader_u8(&reader);
    mpq_reader_bytes(&reader, 2);
    out->end = (enum mpq_end)end;
    out->in_handler = in_handler != 0;
    out->code = (int32_t)mpq_reader_u32(&reader);
    out->run = mpq_reader_u32(&reader);
    out->line = mpq_reader_u32(&reader);
    out->at_ms = mpq_reader_u64(&reader);
    out->started_at_ms = mpq_reader_u64(&reader);
    out->class_name = read_text(&reader);
    out->message = read_text(&reader);
    out->file = read_text(&reader);
    out->trace = read_text(&reader);
    out->worker = read_text(&reader);
    out->node = read_text(&reader);
    if (reader.failed || reader.left > 0 || end > MPQ_END_INTERRUPTED || in_handler > 1)
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "the record of a failed run is damaged (%zu bytes)", bytes.len);
    return 0;
}

/* 0 and the bytes of the next record's cause, 1 at the end, -1 on damage. */
static int next_record(mpq_reader *history, mpq_slice *out)
{
    if (history->left == 0 && !history->failed)
        return 1;
    *out = mpq_reader_bytes(history, mpq_reader_u32(history));
    return history->failed ? -1 : 0;
}

int mpq_codec_next_cause(mpq_reader *history, mpq_cause *out, mpq_error *err)
{
    mpq_slice record;
    int rc = next_record(history, &record);
    if (rc < 0)
        return mpq_error_set(err, MPQ_ERROR_PAYLOAD, "the job's history is damaged");
    return rc > 0 ? 1 : mpq_codec_decode_cause(record, out, err);
}

/* Up to where the history can be walked, and how many records that is: what follows damage is given up. */
static mpq_slice walk_records(mpq_slice history, uint32_t limit, uint32_t *count)
{
    mpq_reader reader = mpq_reader_of(history);
    mpq_slice record;
    size_t end = 0;
    for (*count = 0; *count < limit && next_record(&reader, &record) == 0; ++*count)
        end = history.len - reader.left;
    return mpq_slice_of(history.data, end);
}

/* Leaves room for one more: the first HISTORY_FIRST and the newest HISTORY_FIRST - 1 records stay. */
static new_history plan_history(mpq_slice history)
{
    uint32_t total, skipped;
    new_history plan = {0};
    mpq_slice whole = walk_records(history, UINT32_MAX, &total);
    if (total < MPQ_HISTORY_MAX) {
        plan.first = whole;
        plan.count = total + 1;
        return plan;
    }
    plan.first = walk_records(whole, HISTORY_FIRST, &skipped);
    size_t dropped = walk_records(whole, total - (HISTORY_FIRST - 1), &skipped).len;
    plan.newest = mpq_slice_of(whole.data + dropped, whole.len - dropped);
    plan.count = MPQ_HISTORY_MAX;
    return plan;
}

void mpq_codec_encode_with_cause(const mpq_job *job, const mpq_cause *cause, mpq_buf *out)
{
    mpq_cause cut;
    size_t cause_len = cut_cause(cause, &cut);
    new_history plan = plan_history(job->history);
    size_t len = plan.first.len + plan.newest.len + RECORD_PREFIX_BYTES + cause_len;
    if (!begin_envelope(job, plan.count, len, out))
        return;
    mpq_buf_append_slice(out, plan.first);
    mpq_buf_append_slice(out, plan.newest);
    mpq_buf_append_u32(out, (uint32_t)cause_len);
    append_cause(&cut, out);
}
