#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lane.h"

void mpq_extra_list_init(mpq_extra_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void mpq_extra_list_append(mpq_extra_list *list, mpq_extra *extra)
{
    extra->next = NULL;
    *list->tail = extra;
    list->tail = &extra->next;
}

mpq_extra *mpq_extra_list_pop(mpq_extra_list *list)
{
    mpq_extra *extra = list->head;
    if (!extra)
        return NULL;
    list->head = extra->next;
    if (!list->head)
        list->tail = &list->head;
    return extra;
}

void mpq_extra_free(mpq_extra *extra)
{
    mpq_buf_fini(&extra->bytes);
    free(extra);
}

static const char *pause_text(const mpq_settle *settle, char *out, size_t size)
{
    if (settle->delay_ms == 0)
        return "at once";
    snprintf(out, size, "in %.3g s", (double)settle->delay_ms / 1000);
    return out;
}

/* One line for whoever reads the log: what failed, why, and what happens next. */
static void log_failure(mpq_lane *lane, const mpq_job *job, const mpq_cause *cause, const mpq_settle *settle)
{
    char id[MPQ_ID_TEXT_LEN + 1], pause[32];
    const char *what = job->phase == MPQ_PHASE_HANDLER ? "failure handler of job" : "job";
    bool last = settle->kind == MPQ_SETTLE_FAILED || job->phase == MPQ_PHASE_HANDLER ||
                job->failures + 1 >= (job->fail_number ? job->fail_number : 1) || cause->end == MPQ_END_UNDECODABLE ||
                (cause->end == MPQ_END_TIMEOUT && !(job->flags & MPQ_JOB_TIMEOUT_RETRY));
    mpq_id_format(&job->id, id);
    mpq_log_write(lane->process->log, last ? MPQ_LEVEL_ERROR : MPQ_LEVEL_WARNING,
                  "%s %s of queue \"%s\" failed, run %u: %s%s%.*s: %.*s; %s %s", what, id, lane->config->name,
                  cause->run, mpq_end_name(cause->end), cause->class_name.len ? " " : "", (int)cause->class_name.len,
                  cause->class_name.data, (int)cause->message.len, cause->message.data,
                  settle->kind == MPQ_SETTLE_FAILED ? "kept in the failed records"
                  : last                            ? "its failure handler runs"
                                                    : "runs again",
                  settle->kind == MPQ_SETTLE_FAILED ? "" : pause_text(settle, pause, sizeof pause));
}

/* The report of a run that failed; a missing or damaged one still yields the right end. */
static mpq_cause read_report(mpq_slot *slot)
{
    mpq_cause cause;
    uint32_t len = slot->report_len <= sizeof slot->report ? slot->report_len : 0;
    if (len == 0 || mpq_codec_decode_cause(mpq_slice_of(slot->report, len), &cause, NULL) < 0)
        memset(&cause, 0, sizeof cause);
    cause.end = (enum mpq_end)slot->end;
    if (cause.at_ms == 0)
        cause.at_ms = mpq_clock_wall_ms();
    return cause;
}

/* As the run ended. */
static int settle_run(mpq_lane *lane, uint32_t index, mpq_buf *bytes, mpq_settle *out, mpq_error *err)
{
    mpq_slot *slot = mpq_ring_slot(lane->ring, index);
    mpq_cause cause = {.end = MPQ_END_DONE};
    mpq_job job;
    if (mpq_codec_decode(mpq_ring_envelope(lane->ring, index), &job, err) < 0)
        return -1;
    if (slot->end != MPQ_END_DONE)
        cause = read_report(slot);
    if (mpq_retry_decide(&job, &cause, bytes, out, err) < 0)
        return -1;
    if (slot->end != MPQ_END_DONE && !lane->known[index])
        log_failure(lane, &job, &cause, out);
    return 0;
}

/* What can't be settled (no memory, a damaged slot) is handed back: it must not hold back what is behind it. */
static void hand_back(mpq_lane *lane, const mpq_slot *slot, const char *why, mpq_settle *out)
{
    char id[MPQ_ID_TEXT_LEN + 1];
    mpq_id_format(&slot->id, id);
    mpq_log_write(lane->process->log, MPQ_LEVEL_ERROR,
                  "the result of job %s of queue \"%s\" could not be used (%s): it runs again", id, lane->config->name,
                  why);
    *out = (mpq_settle){.kind = MPQ_SETTLE_RETURN, .id = slot->id};
}

int mpq_lane_settle_slot(mpq_lane *lane, uint32_t index, mpq_buf *bytes, mpq_settle *out)
{
    mpq_slot *slot = mpq_ring_slot(lane->ring, index);
    mpq_error err;
    if (slot->epoch != atomic_load(&lane->board->epoch))
        return 1;
    *out = (mpq_settle){.kind = MPQ_SETTLE_RETURN, .id = slot->id};
    if (slot->end == MPQ_END_INTERRUPTED)
        return 0;
    if (slot->run_us && !lane->known[index])
        mpq_prefetch_measure(&lane->prefetch, slot->run_us);
    if (settle_run(lane, index, bytes, out, &err) < 0)
        hand_back(lane, slot, err.text, out);
    lane->known[index] = true;
    return 0;
}

void mpq_lane_free_slot(mpq_lane *lane, uint32_t index)
{
    lane->known[index] = false;
    mpq_ring_free(lane->feeder, index);
}

static mpq_extra *add_extra(mpq_lane *lane, enum mpq_settle_kind kind, const mpq_id *id)
{
    mpq_extra *extra = calloc(1, sizeof *extra);
    if (!extra) {
        lane->forgetful = true; /* and the lane says why it connects again */
        return NULL;
    }
    mpq_buf_init(&extra->bytes);
    extra->settle.kind = kind;
    extra->settle.id = *id;
    mpq_extra_list_append(&lane->extras, extra);
    return extra;
}

void mpq_lane_return(mpq_lane *lane, const mpq_id *id)
{
    add_extra(lane, MPQ_SETTLE_RETURN, id);
}

static int fail_damaged(mpq_lane *lane, mpq_slice envelope, const char *reason, mpq_buf *bytes, mpq_settle *out,
                        mpq_error *err)
{
    mpq_id id = mpq_codec_id(envelope);
    char text[MPQ_ID_TEXT_LEN + 1];
    mpq_id_format(&id, text);
    mpq_log_write(lane->process->log, MPQ_LEVEL_ERROR,
                  "job %s of queue \"%s\" is damaged (%s): kept in the failed records with its raw bytes", text,
                  lane->config->name, reason);
    mpq_job record = {.id = id, .failures = 1, .created_at_ms = mpq_clock_wall_ms(), .payload = envelope};
    mpq_cause cause = {.end = MPQ_END_UNDECODABLE, .run = 1, .at_ms = mpq_clock_wall_ms()};
    cause.message = mpq_slice_of(reason, strlen(reason));
    cause.node = mpq_slice_of(lane->process->board.file->node, strlen(lane->process->board.file->node));
    mpq_codec_encode_with_cause(&record, &cause, bytes);
    *out = (mpq_settle){.kind = MPQ_SETTLE_FAILED, .id = id, .envelope = mpq_buf_slice(bytes)};
    return bytes->failed ? mpq_error_set_memory(err) : 0;
}

int mpq_lane_settle_job(mpq_lane *lane, mpq_slice envelope, const mpq_cause *cause, mpq_buf *bytes, mpq_settle *out,
                        mpq_error *err)
{
    mpq_job job;
    mpq_error damage;
    if (mpq_codec_decode(envelope, &job, &damage) < 0)
        return fail_damaged(lane, envelope, damage.text, bytes, out, err);
    *out = (mpq_settle){.kind = MPQ_SETTLE_RETURN, .id = job.id};
    if (!cause)
        return 0;
    mpq_cause counted = *cause;
    counted.run = job.failures + 1;
    counted.in_handler = job.phase == MPQ_PHASE_HANDLER;
    if (mpq_retry_decide(&job, &counted, bytes, out, err) < 0)
        return -1;
    log_failure(lane, &job, &counted, out);
    return 0;
}

void mpq_lane_fail_damaged(mpq_lane *lane, mpq_slice envelope, const char *reason)
{
    mpq_id id = mpq_codec_id(envelope);
    mpq_error err;
    mpq_extra *extra = add_extra(lane, MPQ_SETTLE_RETURN, &id);
    if (extra && fail_damaged(lane, envelope, reason, &extra->bytes, &extra->settle, &err) < 0)
        extra->settle.kind = MPQ_SETTLE_RETURN;
}
