#include "retry.h"
#include "test.h"

/* What the header promises for each end, written down once more and independently. */
enum job_rule { JOB_DONE, JOB_RETURN, JOB_WAITS, JOB_AT_ONCE, JOB_FINAL, JOB_TIMED_OUT };
enum handler_rule { HANDLER_DONE, HANDLER_RETURN, HANDLER_FAILED, HANDLER_FAILED_COUNTED, HANDLER_AGAIN };

static const struct {
    enum mpq_end end;
    enum job_rule job;
    enum handler_rule handler;
} rules[] = {
    {MPQ_END_DONE, JOB_DONE, HANDLER_DONE},
    {MPQ_END_EXCEPTION, JOB_WAITS, HANDLER_FAILED},
    {MPQ_END_EXIT, JOB_WAITS, HANDLER_FAILED},
    {MPQ_END_FATAL, JOB_WAITS, HANDLER_AGAIN},
    {MPQ_END_OUT_OF_MEMORY, JOB_WAITS, HANDLER_AGAIN},
    {MPQ_END_SIGNAL, JOB_AT_ONCE, HANDLER_AGAIN},
    {MPQ_END_DIED, JOB_AT_ONCE, HANDLER_AGAIN},
    {MPQ_END_TIMEOUT, JOB_TIMED_OUT, HANDLER_FAILED_COUNTED},
    {MPQ_END_SERVICE_LOST, JOB_AT_ONCE, HANDLER_AGAIN},
    {MPQ_END_NODE_LOST, JOB_AT_ONCE, HANDLER_AGAIN},
    {MPQ_END_UNDECODABLE, JOB_FINAL, HANDLER_FAILED},
    {MPQ_END_INTERRUPTED, JOB_RETURN, HANDLER_RETURN},
};

typedef struct outcome {
    mpq_settle settle;
    mpq_job job; /* decoded from the settle's envelope */
    mpq_cause last;
    mpq_buf bytes;
} outcome;

static mpq_job make_job(enum mpq_phase phase, uint32_t failures, uint32_t fail_number, uint32_t flags)
{
    mpq_job job = {.id = {{1, 2, 3}},
                   .phase = phase,
                   .flags = flags,
                   .failures = failures,
                   .handler_runs = 0,
                   .timeout_ms = 60000,
                   .fail_number = fail_number,
                   .fail_expire_ms = 7000,
                   .created_at_ms = 123456789,
                   .payload = mpq_slice_of("p\0q", 3)};
    return job;
}

static void decide(const mpq_job *job, enum mpq_end end, outcome *out)
{
    mpq_cause cause = {.end = end, .code = 9, .run = 77, .message = mpq_slice_of("why", 3)};
    memset(out, 0, sizeof *out);
    CHECK_INT(mpq_retry_decide(job, &cause, &out->bytes, &out->settle, NULL), 0);
    CHECK(mpq_id_equal(&out->settle.id, &job->id));
    if (out->settle.kind == MPQ_SETTLE_DONE || out->settle.kind == MPQ_SETTLE_RETURN) {
        CHECK_INT(out->settle.envelope.len, 0);
        CHECK_INT(out->settle.delay_ms, 0);
        return;
    }
    CHECK_INT(mpq_codec_decode(out->settle.envelope, &out->job, NULL), 0);
    CHECK(mpq_id_equal(&out->job.id, &job->id));
    CHECK(out->job.payload.len == 3 && memcmp(out->job.payload.data, "p\0q", 3) == 0);
    CHECK_INT(out->job.flags, job->flags);
    CHECK_INT(out->job.timeout_ms, 60000);
    CHECK_INT(out->job.fail_number, job->fail_number);
    CHECK_INT(out->job.fail_expire_ms, 7000);
    CHECK_INT(out->job.created_at_ms, 123456789);
    mpq_reader history = mpq_reader_of(out->job.history);
    while (mpq_codec_next_cause(&history, &out->last, NULL) == 0)
        ;
}

static void expect_cause(const outcome *out, const mpq_job *before, enum mpq_end end)
{
    CHECK_INT(out->job.history_count, before->history_count + 1);
    CHECK_INT(out->last.end, end);
    CHECK_INT(out->last.in_handler, before->phase == MPQ_PHASE_HANDLER);
    CHECK_INT(out->last.code, 9);
    CHECK_INT(out->last.run, 77);
}

static void check_job_run(enum mpq_end end, enum job_rule rule, uint32_t failures, uint32_t fail_number, uint32_t flags)
{
    outcome out;
    mpq_job job = make_job(MPQ_PHASE_RUN, failures, fail_number, flags);
    decide(&job, end, &out);
    if (test_failed())
        return;
    if (rule == JOB_DONE || rule == JOB_RETURN) {
        CHECK_INT(out.settle.kind, rule == JOB_DONE ? MPQ_SETTLE_DONE : MPQ_SETTLE_RETURN);
        mpq_buf_fini(&out.bytes);
        return;
    }
    if (rule == JOB_TIMED_OUT)
        rule = flags & MPQ_JOB_TIMEOUT_RETRY ? JOB_WAITS : JOB_FINAL;
    bool final = rule == JOB_FINAL || failures + 1 >= (fail_number > 1 ? fail_number : 1);
    CHECK_INT(out.settle.kind, MPQ_SETTLE_RETRY);
    CHECK_INT(out.settle.delay_ms, !final && rule == JOB_WAITS ? 7000 : 0);
    CHECK_INT(out.job.phase, final ? MPQ_PHASE_HANDLER : MPQ_PHASE_RUN);
    CHECK_INT(out.job.failures, failures + 1);
    CHECK_INT(out.job.handler_runs, 0);
    expect_cause(&out, &job, end);
    mpq_buf_fini(&out.bytes);
}

static void check_handler_run(enum mpq_end end, enum handler_rule rule, uint32_t handler_runs, uint32_t fail_number)
{
    outcome out;
    mpq_job job = make_job(MPQ_PHASE_HANDLER, 4, fail_number, 0);
    job.handler_runs = handler_runs;
    decide(&job, end, &out);
    if (test_failed())
        return;
    if (rule == HANDLER_RETURN) {
        CHECK_INT(out.settle.kind, MPQ_SETTLE_RETURN);
        mpq_buf_fini(&out.bytes);
        return;
    }
    bool again = rule == HANDLER_AGAIN && handler_runs + 1 < (fail_number > 1 ? fail_number : 1);
    bool counted = rule == HANDLER_AGAIN || rule == HANDLER_FAILED_COUNTED;
    CHECK_INT(out.settle.kind, again ? MPQ_SETTLE_RETRY : MPQ_SETTLE_FAILED);
    CHECK_INT(out.settle.delay_ms, 0);
    CHECK_INT(out.job.phase, MPQ_PHASE_HANDLER);
    CHECK_INT(out.job.failures, 4);
    CHECK_INT(out.job.handler_runs, handler_runs + counted);
    if (rule == HANDLER_DONE)
        CHECK_INT(out.job.history_count, 0);
    else
        expect_cause(&out, &job, end);
    mpq_buf_fini(&out.bytes);
}

TEST(retry_has_a_rule_for_every_end)
{
    CHECK_INT(sizeof rules / sizeof *rules, MPQ_END_INTERRUPTED + 1);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        CHECK_INT(rules[i].end, i);
}

TEST(retry_of_the_job_in_every_state)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (uint32_t failures = 0; failures <= 5; failures++)
            for (uint32_t fail_number = 0; fail_number <= 5; fail_number++)
                for (uint32_t flags = 0; flags <= MPQ_JOB_TIMEOUT_RETRY; flags++) {
                    check_job_run(rules[i].end, rules[i].job, failures, fail_number, flags);
                    if (test_failed()) {
                        printf("  end %s, %u failures, fail_number %u, flags %u\n", mpq_end_name(rules[i].end),
                               failures, fail_number, flags);
                        return;
                    }
                }
}

TEST(retry_of_the_handler_in_every_state)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (uint32_t handler_runs = 0; handler_runs <= 5; handler_runs++)
            for (uint32_t fail_number = 0; fail_number <= 5; fail_number++) {
                check_handler_run(rules[i].end, rules[i].handler, handler_runs, fail_number);
                if (test_failed()) {
                    printf("  end %s, %u handler runs, fail_number %u\n", mpq_end_name(rules[i].end), handler_runs,
                           fail_number);
                    return;
                }
            }
}

/* Runs a job that always ends the same way until it is settled for good. */
static void live(enum mpq_end end, enum mpq_end handler_end, uint32_t fail_number, uint32_t *runs,
                 uint32_t *handler_runs, uint32_t *causes)
{
    mpq_buf current = {0};
    mpq_job job = make_job(MPQ_PHASE_RUN, 0, fail_number, 0);
    *runs = *handler_runs = 0;
    mpq_codec_encode(&job, &current);
    for (int step = 0; step < 1000; step++) {
        outcome out;
        CHECK_INT(mpq_codec_decode(mpq_buf_slice(&current), &job, NULL), 0);
        bool handler = job.phase == MPQ_PHASE_HANDLER;
        *(handler ? handler_runs : runs) += 1;
        decide(&job, handler ? handler_end : end, &out);
        if (test_failed())
            return;
        mpq_buf_fini(&current);
        current = out.bytes;
        *causes = out.job.history_count;
        if (out.settle.kind != MPQ_SETTLE_RETRY)
            break;
    }
    mpq_buf_fini(&current);
}

TEST(retry_ends_every_life)
{
    uint32_t runs, handler_runs, causes;
    live(MPQ_END_EXCEPTION, MPQ_END_DONE, 3, &runs, &handler_runs, &causes);
    CHECK(runs == 3 && handler_runs == 1 && causes == 3);
    live(MPQ_END_SIGNAL, MPQ_END_SIGNAL, 3, &runs, &handler_runs, &causes);
    CHECK(runs == 3 && handler_runs == 3 && causes == 6);
    live(MPQ_END_TIMEOUT, MPQ_END_TIMEOUT, 3, &runs, &handler_runs, &causes);
    CHECK(runs == 1 && handler_runs == 1 && causes == 2);
    live(MPQ_END_FATAL, MPQ_END_EXCEPTION, 0, &runs, &handler_runs, &causes);
    CHECK(runs == 1 && handler_runs == 1 && causes == 2);
    live(MPQ_END_UNDECODABLE, MPQ_END_DONE, 9, &runs, &handler_runs, &causes);
    CHECK(runs == 1 && handler_runs == 1 && causes == 1);
    live(MPQ_END_DONE, MPQ_END_DONE, 3, &runs, &handler_runs, &causes);
    CHECK(runs == 1 && handler_runs == 0);
}

TEST(retry_never_wraps_its_counters)
{
    outcome out;
    mpq_job job = make_job(MPQ_PHASE_RUN, UINT32_MAX, UINT32_MAX, 0);
    decide(&job, MPQ_END_EXCEPTION, &out);
    CHECK(out.job.failures == UINT32_MAX && out.job.phase == MPQ_PHASE_HANDLER);
    mpq_buf_fini(&out.bytes);
    job = make_job(MPQ_PHASE_HANDLER, 1, UINT32_MAX, 0);
    job.handler_runs = UINT32_MAX;
    decide(&job, MPQ_END_SIGNAL, &out);
    CHECK(out.job.handler_runs == UINT32_MAX && out.settle.kind == MPQ_SETTLE_FAILED);
    mpq_buf_fini(&out.bytes);
}

TEST(retry_takes_an_unknown_end_for_a_death)
{
    outcome out;
    mpq_job job = make_job(MPQ_PHASE_RUN, 0, 3, 0);
    decide(&job, (enum mpq_end)4242, &out);
    CHECK_INT(out.settle.kind, MPQ_SETTLE_RETRY);
    CHECK_INT(out.settle.delay_ms, 0);
    CHECK_INT(out.last.end, MPQ_END_DIED);
    mpq_buf_fini(&out.bytes);
}

TEST(retry_reports_only_out_of_memory)
{
    mpq_buf bytes = {0};
    mpq_settle settle;
    mpq_error err;
    mpq_job job = make_job(MPQ_PHASE_RUN, 0, 3, 0);
    mpq_cause cause = {.end = MPQ_END_EXCEPTION};
    job.payload.len = (size_t)UINT32_MAX + 1; /* refused before anything is read */
    CHECK_INT(mpq_retry_decide(&job, &cause, &bytes, &settle, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_MEMORY);
    mpq_buf_fini(&bytes);
}
