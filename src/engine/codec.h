/*
 * Envelopes to jobs and back. Pure: bytes in, bytes out.
 *
 * Envelope, little endian, version 1:
 *    0  "MQ"            magic
 *    2  u8  version     1
 *    3  u8  phase
 *    4  u32 flags
 *    8  16 bytes id     brokers read it here
 *   24  u64 created_at_ms
 *   32  u32 failures
 *   36  u32 handler_runs
 *   40  u32 timeout_ms
 *   44  u32 fail_number
 *   48  u32 fail_expire_ms
 *   52  u32 history_count
 *   56  u32 payload length
 *   60  u32 history length
 *   64  8 bytes        zero, reserved
 *   72  payload, history
 *
 * The header is longer than 64 bytes on purpose: Redis never packs a hash whose values are that long into a
 * listpack, whose removals would cost O(n).
 */
#ifndef MPQ_CODEC_H
#define MPQ_CODEC_H

#include "buf.h"
#include "error.h"
#include "job.h"

#define MPQ_ENVELOPE_HEADER_BYTES 72
#define MPQ_ENVELOPE_ID_OFFSET 8
#define MPQ_HISTORY_MAX 100      /* causes kept: the first 50 and the newest 50 */
#define MPQ_CAUSE_MAX_BYTES 8192 /* one encoded cause; trace, then message, are cut to fit */

/* Appends the whole envelope to `out`. */
void mpq_codec_encode(const mpq_job *job, mpq_buf *out);

/* 0, or -1 (MPQ_ERROR_PAYLOAD) when the bytes are not an envelope; nothing in `out` is valid then. The lengths must
 * add up exactly and the phase, version and magic be known. */
int mpq_codec_decode(mpq_slice envelope, mpq_job *out, mpq_error *err);

/* Long enough and with the right magic: the id at its offset can be trusted to be an id. */
bool mpq_codec_looks_like_envelope(mpq_slice envelope);
mpq_id mpq_codec_id(mpq_slice envelope);

/* One cause, encoded alone (what a worker reports through shared memory). At most MPQ_CAUSE_MAX_BYTES. */
void mpq_codec_encode_cause(const mpq_cause *cause, mpq_buf *out);
int mpq_codec_decode_cause(mpq_slice bytes, mpq_cause *out, mpq_error *err);

/* Appends to `out` the job's envelope with `cause` added to its history and the other fields as in `job`. */
void mpq_codec_encode_with_cause(const mpq_job *job, const mpq_cause *cause, mpq_buf *out);

/* Walks the history oldest first: 0 and the next cause, 1 at the end, -1 on damage. Start with
 * mpq_reader_of(job->history). */
int mpq_codec_next_cause(mpq_reader *history, mpq_cause *out, mpq_error *err);

#endif
