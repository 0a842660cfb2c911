#include "codec.h"
#include "test.h"

#include <stdlib.h>

static mpq_slice text(const char *s)
{
    return mpq_slice_of(s, strlen(s));
}

static int is_text(mpq_slice slice, const char *expected)
{
    return slice.len == strlen(expected) && memcmp(slice.data, expected, slice.len) == 0;
}

static mpq_job sample_job(void)
{
    mpq_job job = {.phase = MPQ_PHASE_HANDLER,
                   .flags = MPQ_JOB_TIMEOUT_RETRY,
                   .failures = 3,
                   .handler_runs = 2,
                   .timeout_ms = 120000,
                   .fail_number = 5,
                   .fail_expire_ms = 3000,
                   .created_at_ms = 1800000000123u,
                   .payload = mpq_slice_of("pay\0load", 8)};
    for (unsigned char i = 0; i < MPQ_ID_BYTES; i++)
        job.id.bytes[i] = (unsigned char)(0xA0 + i);
    return job;
}

static mpq_cause sample_cause(uint32_t run)
{
    mpq_cause cause = {.end = MPQ_END_EXCEPTION,
                       .code = -7,
                       .run = run,
                       .line = 42,
                       .at_ms = 1800000000456u,
                       .started_at_ms = 1800000000400u,
                       .class_name = text("RuntimeException"),
                       .message = text("it broke"),
                       .file = text("/app/job.php"),
                       .trace = text("#0 main"),
                       .worker = text("svc:4711"),
                       .node = text("host")};
    return cause;
}

/* Bytes in a block of exactly their size, so that the sanitizer sees every read beyond them. */
static mpq_slice exact_copy(mpq_slice bytes, char **owned)
{
    *owned = malloc(bytes.len ? bytes.len : 1);
    memcpy(*owned, bytes.data, bytes.len);
    return mpq_slice_of(*owned, bytes.len);
}

TEST(codec_writes_the_documented_layout)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job();
    mpq_codec_encode(&job, &buf);
    const unsigned char *bytes = (const unsigned char *)buf.data;
    CHECK_INT(buf.len, MPQ_ENVELOPE_HEADER_BYTES + 8);
    CHECK(memcmp(bytes, "MQ\x01\x01", 4) == 0);
    CHECK(memcmp(bytes + 4, "\x01\0\0\0", 4) == 0);
    CHECK(memcmp(bytes + 8, job.id.bytes, 16) == 0);
    uint64_t created = 0;
    for (int i = 7; i >= 0; i--)
        created = created << 8 | bytes[24 + i];
    CHECK(created == 1800000000123u);
    CHECK_INT(bytes[32], 3);
    CHECK_INT(bytes[36], 2);
    CHECK(memcmp(bytes + 40, "\xc0\xd4\x01\0", 4) == 0);
    CHECK_INT(bytes[44], 5);
    CHECK(memcmp(bytes + 48, "\xb8\x0b\0\0", 4) == 0);
    CHECK(memcmp(bytes + 52, "\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20) == 0);
    CHECK(memcmp(bytes + 72, "pay\0load", 8) == 0);
    mpq_buf_fini(&buf);
}

TEST(codec_reads_back_what_it_wrote)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    mpq_cause cause = sample_cause(1);
    mpq_codec_encode_with_cause(&job, &cause, &buf);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, NULL), 0);
    CHECK(mpq_id_equal(&back.id, &job.id));
    CHECK_INT(back.phase, job.phase);
    CHECK_INT(back.flags, job.flags);
    CHECK_INT(back.failures, job.failures);
    CHECK_INT(back.handler_runs, job.handler_runs);
    CHECK_INT(back.timeout_ms, job.timeout_ms);
    CHECK_INT(back.fail_number, job.fail_number);
    CHECK_INT(back.fail_expire_ms, job.fail_expire_ms);
    CHECK(back.created_at_ms == job.created_at_ms);
    CHECK(back.payload.len == 8 && memcmp(back.payload.data, "pay\0load", 8) == 0);
    CHECK_INT(back.history_count, 1);
    mpq_id id = mpq_codec_id(mpq_buf_slice(&buf));
    CHECK(mpq_id_equal(&id, &job.id));

    mpq_reader history = mpq_reader_of(back.history);
    mpq_cause read;
    CHECK_INT(mpq_codec_next_cause(&history, &read, NULL), 0);
    CHECK_INT(read.end, MPQ_END_EXCEPTION);
    CHECK(!read.in_handler);
    CHECK_INT(read.code, -7);
    CHECK_INT(read.run, 1);
    CHECK_INT(read.line, 42);
    CHECK(read.at_ms == cause.at_ms && read.started_at_ms == cause.started_at_ms);
    CHECK(is_text(read.class_name, "RuntimeException") && is_text(read.message, "it broke"));
    CHECK(is_text(read.file, "/app/job.php") && is_text(read.trace, "#0 main"));
    CHECK(is_text(read.worker, "svc:4711") && is_text(read.node, "host"));
    CHECK_INT(mpq_codec_next_cause(&history, &read, NULL), 1);
    mpq_buf_fini(&buf);
}

TEST(codec_keeps_an_empty_payload_and_every_byte_value)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    job.payload = mpq_slice_of(all, sizeof all);
    mpq_codec_encode(&job, &buf);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, NULL), 0);
    CHECK(back.payload.len == 256 && memcmp(back.payload.data, all, 256) == 0);
    mpq_buf_clear(&buf);
    job.payload = mpq_slice_of(NULL, 0);
    mpq_codec_encode(&job, &buf);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, NULL), 0);
    CHECK_INT(back.payload.len, 0);
    mpq_buf_fini(&buf);
}

TEST(codec_appends_behind_what_the_buffer_has)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    mpq_buf_append_str(&buf, "before");
    mpq_codec_encode(&job, &buf);
    CHECK_INT(mpq_codec_decode(mpq_slice_of(buf.data + 6, buf.len - 6), &back, NULL), 0);
    mpq_buf_fini(&buf);
}

/* Changes one byte of a good envelope and expects a refusal whose text has `hint`. */
static void expect_refused(size_t at, unsigned char value, const char *hint)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    mpq_error err = {0};
    mpq_codec_encode(&job, &buf);
    buf.data[at] = (char)value;
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_PAYLOAD);
    if (!strstr(err.text, hint))
        test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", err.text, hint);
    mpq_buf_fini(&buf);
}

TEST(codec_refuses_what_it_does_not_know)
{
    expect_refused(0, 'X', "not a job");
    expect_refused(1, 0, "not a job");
    expect_refused(2, 0, "format 0");
    expect_refused(2, 2, "format 2");
    expect_refused(3, 2, "phase 2");
    expect_refused(3, 255, "phase 255");
    expect_refused(56, 7, "should follow");
    expect_refused(56, 9, "should follow");
    expect_refused(59, 255, "should follow");
    expect_refused(60, 1, "should follow");
    expect_refused(63, 255, "should follow");
}

TEST(codec_refuses_lengths_whose_sum_would_wrap)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    mpq_codec_encode(&job, &buf);
    /* 0xffffffff + 9 is 8 in 32 bits, which is what follows the header. */
    memcpy(buf.data + 56, "\xff\xff\xff\xff\x09\0\0\0", 8);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, NULL), -1);
    mpq_buf_fini(&buf);
}

TEST(codec_refuses_every_truncation)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job(), back;
    mpq_cause cause = sample_cause(1);
    mpq_codec_encode_with_cause(&job, &cause, &buf);
    for (size_t len = 0; len < buf.len; len++) {
        char *owned;
        mpq_slice cut = exact_copy(mpq_slice_of(buf.data, len), &owned);
        CHECK_INT(mpq_codec_decode(cut, &back, NULL), -1);
        CHECK_INT(mpq_codec_looks_like_envelope(cut), len >= MPQ_ENVELOPE_HEADER_BYTES);
        free(owned);
    }
    mpq_buf_append_u8(&buf, 0);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &back, NULL), -1);
    mpq_buf_fini(&buf);
}

TEST(cause_refuses_every_truncation_and_unknown_values)
{
    mpq_buf buf = {0};
    mpq_cause cause = sample_cause(1), back;
    mpq_error err;
    mpq_codec_encode_cause(&cause, &buf);
    for (size_t len = 0; len < buf.len; len++) {
        char *owned;
        mpq_slice cut = exact_copy(mpq_slice_of(buf.data, len), &owned);
        CHECK_INT(mpq_codec_decode_cause(cut, &back, &err), -1);
        CHECK_INT(err.kind, MPQ_ERROR_PAYLOAD);
        free(owned);
    }
    buf.data[0] = MPQ_END_INTERRUPTED + 1;
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), -1);
    buf.data[0] = MPQ_END_INTERRUPTED;
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), 0);
    buf.data[1] = 2;
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), -1);
    buf.data[1] = 1;
    mpq_buf_append_u8(&buf, 'x');
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), -1);
    mpq_buf_fini(&buf);
}

/* Encodes and decodes a cause with a message and a trace of these lengths. */
static void cut_lengths(size_t message_len, size_t trace_len, size_t *message_kept, size_t *trace_kept)
{
    mpq_buf buf = {0};
    mpq_cause cause = sample_cause(1), back;
    char *message = malloc(message_len + 1), *trace = malloc(trace_len + 1);
    memset(message, 'm', message_len);
    memset(trace, 't', trace_len);
    cause.message = mpq_slice_of(message, message_len);
    cause.trace = mpq_slice_of(trace, trace_len);
    mpq_codec_encode_cause(&cause, &buf);
    CHECK(buf.len <= MPQ_CAUSE_MAX_BYTES);
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), 0);
    CHECK(is_text(back.class_name, "RuntimeException") && is_text(back.node, "host"));
    *message_kept = back.message.len;
    *trace_kept = back.trace.len;
    if (message_len + trace_len > MPQ_CAUSE_MAX_BYTES)
        CHECK_INT(buf.len, MPQ_CAUSE_MAX_BYTES);
    free(message);
    free(trace);
    mpq_buf_fini(&buf);
}

TEST(cause_is_cut_to_size_trace_first)
{
    size_t message, trace;
    cut_lengths(1000, 1000, &message, &trace);
    CHECK(message == 1000 && trace == 1000);
    cut_lengths(1000, 100000, &message, &trace);
    CHECK(message == 1000 && trace > 7000 && trace < MPQ_CAUSE_MAX_BYTES - 1000);
    cut_lengths(100000, 100000, &message, &trace);
    CHECK(message > 8000 && trace == 0);
    cut_lengths(8000, 0, &message, &trace);
    CHECK(message == 8000);
}

TEST(cause_is_cut_to_size_whatever_is_long)
{
    mpq_buf buf = {0};
    mpq_cause cause = sample_cause(1), back;
    char *huge = malloc(1 << 20);
    memset(huge, 'h', 1 << 20);
    mpq_slice *fields[] = {&cause.class_name, &cause.message, &cause.file, &cause.trace, &cause.worker, &cause.node};
    for (size_t i = 0; i < 6; i++) {
        *fields[i] = mpq_slice_of(huge, 1 << 20);
        mpq_buf_clear(&buf);
        mpq_codec_encode_cause(&cause, &buf);
        CHECK_INT(buf.len, MPQ_CAUSE_MAX_BYTES);
        CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), 0);
    }
    free(huge);
    mpq_buf_fini(&buf);
}

TEST(cause_is_never_cut_inside_a_character)
{
    for (size_t shift = 0; shift < 4; shift++) {
        mpq_buf buf = {0};
        mpq_cause cause = {.end = MPQ_END_EXCEPTION}, back;
        char message[9000];
        memset(message, '.', sizeof message);
        for (size_t i = shift; i + 4 <= sizeof message; i += 4)
            memcpy(message + i, "\xf0\x9f\x98\x80", 4);
        cause.message = mpq_slice_of(message, sizeof message);
        mpq_codec_encode_cause(&cause, &buf);
        CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), 0);
        CHECK(back.message.len > 8000);
        CHECK_INT((back.message.len - shift) % 4, 0);
        mpq_buf_fini(&buf);
    }
}

TEST(cause_of_binary_garbage_is_cut_all_the_same)
{
    mpq_buf buf = {0};
    mpq_cause cause = {.end = MPQ_END_FATAL}, back;
    char message[9000];
    memset(message, 0x80, sizeof message);
    cause.message = mpq_slice_of(message, sizeof message);
    mpq_codec_encode_cause(&cause, &buf);
    CHECK_INT(buf.len, MPQ_CAUSE_MAX_BYTES);
    CHECK_INT(mpq_codec_decode_cause(mpq_buf_slice(&buf), &back, NULL), 0);
    mpq_buf_fini(&buf);
}

/* Adds the causes of runs 1 to `runs`, one envelope after the other, as a job's life does. */
static void fail_often(uint32_t runs, mpq_buf *out)
{
    mpq_buf next = {0};
    mpq_job job = sample_job();
    mpq_buf_clear(out);
    mpq_codec_encode(&job, out);
    for (uint32_t run = 1; run <= runs; run++) {
        mpq_cause cause = sample_cause(run);
        CHECK_INT(mpq_codec_decode(mpq_buf_slice(out), &job, NULL), 0);
        mpq_buf_clear(&next);
        mpq_codec_encode_with_cause(&job, &cause, &next);
        mpq_buf swapped = *out;
        *out = next;
        next = swapped;
    }
    mpq_buf_fini(&next);
}

TEST(history_keeps_the_first_and_the_newest_fifty)
{
    mpq_buf buf = {0};
    mpq_job job;
    const uint32_t lives[] = {1, 50, 99, 100, 101, 150, 237};
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        uint32_t runs = lives[i], kept = runs < MPQ_HISTORY_MAX ? runs : MPQ_HISTORY_MAX, seen = 0;
        fail_often(runs, &buf);
        if (test_failed())
            return;
        CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &job, NULL), 0);
        CHECK_INT(job.history_count, kept);
        mpq_reader history = mpq_reader_of(job.history);
        mpq_cause cause;
        while (mpq_codec_next_cause(&history, &cause, NULL) == 0) {
            seen++;
            CHECK_INT(cause.run, seen <= 50 ? seen : runs - kept + seen);
        }
        CHECK_INT(seen, kept);
        CHECK_INT(history.left, 0);
        CHECK(job.payload.len == 8);
    }
    mpq_buf_fini(&buf);
}

TEST(history_survives_damage_up_to_it)
{
    mpq_buf buf = {0}, next = {0};
    mpq_job job, back;
    mpq_cause cause = sample_cause(9), read;
    mpq_error err;
    fail_often(3, &buf);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&buf), &job, NULL), 0);
    size_t record = job.history.len / 3;
    memset((char *)job.history.data + record, 0xff, 4); /* the length of the second one */
    mpq_reader history = mpq_reader_of(job.history);
    CHECK_INT(mpq_codec_next_cause(&history, &read, &err), 0);
    CHECK_INT(mpq_codec_next_cause(&history, &read, &err), -1);
    CHECK_INT(mpq_codec_next_cause(&history, &read, &err), -1);

    mpq_codec_encode_with_cause(&job, &cause, &next);
    CHECK_INT(mpq_codec_decode(mpq_buf_slice(&next), &back, NULL), 0);
    CHECK_INT(back.history_count, 2);
    history = mpq_reader_of(back.history);
    CHECK_INT(mpq_codec_next_cause(&history, &read, NULL), 0);
    CHECK_INT(read.run, 1);
    CHECK_INT(mpq_codec_next_cause(&history, &read, NULL), 0);
    CHECK_INT(read.run, 9);
    CHECK_INT(mpq_codec_next_cause(&history, &read, NULL), 1);
    mpq_buf_fini(&buf);
    mpq_buf_fini(&next);
}

TEST(codec_fails_on_a_payload_beyond_its_length_field)
{
    mpq_buf buf = {0};
    mpq_job job = sample_job();
    job.payload.len = (size_t)UINT32_MAX + 1;
    mpq_codec_encode(&job, &buf);
    CHECK(buf.failed && buf.len == 0);
    mpq_buf_fini(&buf);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Uses everything that decoding handed out; the sanitizer judges. */
static uint32_t walk(const mpq_job *job)
{
    uint32_t sum = 0, causes = 0;
    for (size_t i = 0; i < job->payload.len; i++)
        sum += (unsigned char)job->payload.data[i];
    mpq_reader history = mpq_reader_of(job->history);
    mpq_cause cause;
    while (mpq_codec_next_cause(&history, &cause, NULL) == 0 && ++causes < 1000)
        for (size_t i = 0; i < cause.message.len; i++)
            sum += (unsigned char)cause.message.data[i];
    mpq_buf again = {0};
    cause = sample_cause(1);
    mpq_codec_encode_with_cause(job, &cause, &again);
    mpq_job back;
    if (mpq_codec_decode(mpq_buf_slice(&again), &back, NULL) != 0)
        test_fail(__FILE__, __LINE__, "an envelope made of a damaged one can't be decoded");
    mpq_buf_fini(&again);
    return sum;
}

TEST(codec_survives_random_damage)
{
    mpq_buf buf = {0};
    uint32_t state = 20260101, decoded = 0, refused = 0;
    fail_often(4, &buf);
    for (int round = 0; round < 20000 && !test_failed(); round++) {
        size_t len = next_random(&state) % 4 ? buf.len : next_random(&state) % (buf.len + 1);
        char *owned;
        mpq_slice bytes = exact_copy(mpq_slice_of(buf.data, len), &owned);
        for (uint32_t flips = next_random(&state) % 4; flips > 0 && len > 0; flips--) {
            /* Half of the damage goes to the header and the first record, where the lengths are. */
            size_t reach = next_random(&state) % 2 && len > 160 ? 160 : len;
            owned[next_random(&state) % reach] ^= (char)(1u << next_random(&state) % 8);
        }
        mpq_job job;
        if (mpq_codec_decode(bytes, &job, NULL) == 0) {
            decoded++;
            walk(&job);
        } else {
            refused++;
        }
        mpq_cause cause;
        mpq_codec_decode_cause(bytes, &cause, NULL);
        free(owned);
    }
    CHECK(decoded > 1000 && refused > 1000);
    mpq_buf_fini(&buf);
}

TEST(id_text_round_trip)
{
    mpq_id id, back;
    char hex[MPQ_ID_TEXT_LEN + 1];
    for (unsigned char i = 0; i < MPQ_ID_BYTES; i++)
        id.bytes[i] = (unsigned char)(i * 17);
    mpq_id_format(&id, hex);
    CHECK_STR(hex, "00112233445566778899aabbccddeeff");
    CHECK_INT(mpq_id_parse(text(hex), &back), 0);
    CHECK(mpq_id_equal(&id, &back));
    CHECK_INT(mpq_id_parse(text("00112233445566778899AABBCCDDEEFF"), &back), 0);
    CHECK(mpq_id_equal(&id, &back));
    CHECK_INT(mpq_id_parse(text("00112233445566778899aabbccddeef"), &back), 1);
    CHECK_INT(mpq_id_parse(text("00112233445566778899aabbccddeeff0"), &back), 1);
    CHECK_INT(mpq_id_parse(text("00112233445566778899aabbccddeefg"), &back), 1);
    CHECK_INT(mpq_id_parse(text("0x112233445566778899aabbccddeeff"), &back), 1);
    CHECK_INT(mpq_id_parse(text(""), &back), 1);
    back.bytes[15] ^= 1;
    CHECK(!mpq_id_equal(&id, &back));
}

TEST(end_names_are_stable)
{
    static const char *const names[] = {"done",          "exception", "exit",        "fatal",
                                        "out_of_memory", "signal",    "died",        "timeout",
                                        "service_lost",  "node_lost", "undecodable", "interrupted"};
    for (int end = MPQ_END_DONE; end <= MPQ_END_INTERRUPTED; end++)
        CHECK_STR(mpq_end_name((enum mpq_end)end), names[end]);
    CHECK_STR(mpq_end_name((enum mpq_end)99), "unknown");
}
