#include "../../php_mpqueue.h"
#include "console.h"
#include "text.h"

#include <inttypes.h>

/* Calls `each` for the queues that were asked for, until one fails. */
static int for_queues(mpqueue_console *console, int (*each)(mpq_broker *broker, const char *queue, void *arg),
                      void *arg)
{
    mpq_broker *broker = NULL;
    mpq_error err = {0};
    int status = MPQUEUE_EXIT_OK;

    if (mpq_broker_open(&console->engine->broker, &broker, &err) < 0) {
        return mpqueue_console_fail("%s", err.text);
    }
    for (size_t i = 0; i < console->engine->queue_count && status == MPQUEUE_EXIT_OK; i++) {
        const char *name = console->engine->queues[i].name;
        if (!console->queue || strcmp(console->queue, name) == 0) {
            status = each(broker, name, arg);
        }
    }
    mpq_broker_close(broker);
    return status;
}

/* ---- queue:status ---- */

static int add_counts(mpq_broker *broker, const char *queue, void *arg)
{
    mpqueue_table *table = arg;
    mpq_counts counts;
    mpq_error err = {0};

    if (broker->ops->counts(broker, queue, &counts, &err) < 0) {
        return mpqueue_console_fail("queue \"%s\": %s", queue, err.text);
    }
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%s", queue);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%" PRIu64, counts.pushed);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%" PRIu64, counts.ready);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%" PRIu64, counts.delayed);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%" PRIu64, counts.running);
    mpqueue_table_add(table, counts.failed ? MPQUEUE_RED : MPQUEUE_PLAIN, "%" PRIu64, counts.failed);
    mpqueue_table_add(table, MPQUEUE_PLAIN, "%" PRIu64, counts.done);
    return MPQUEUE_EXIT_OK;
}

static int status(mpqueue_console *console)
{
    static const char *const titles[] = {"queue",    ">pushed", ">waiting", ">delayed",
                                         ">running", ">failed", ">done",    NULL};
    mpqueue_table table;
    int rc;

    mpqueue_table_init(&table, titles);
    rc = for_queues(console, add_counts, &table);
    mpqueue_table_print(&table);
    return rc;
}

/* ---- queue:clean ---- */

static int clear(mpq_broker *broker, const char *queue, void *arg)
{
    mpq_error err = {0};

    (void)arg;
    if (broker->ops->clear(broker, queue, &err) < 0) {
        return mpqueue_console_fail("queue \"%s\": %s", queue, err.text);
    }
    mpqueue_text_print(MPQUEUE_GREEN, "queue \"%s\" is empty now\n", queue);
    return MPQUEUE_EXIT_OK;
}

static int clean(mpqueue_console *console)
{
    return for_queues(console, clear, NULL);
}

/* ---- queue:failed ---- */

static int slice_len(mpq_slice text)
{
    return text.data ? (int)text.len : 0;
}

static const char *slice_text(mpq_slice text)
{
    return text.data ? text.data : "";
}

static void print_line(const char *prefix, const char *text)
{
    mpqueue_text_print_foreign(prefix, mpq_slice_of(text, strlen(text)));
}

static void print_cause_head(const mpq_cause *cause)
{
    zend_string *line =
        zend_strpprintf(0, "%s%s %u: %s%s%.*s%s%.*s", cause->in_handler ? "failure handler, " : "", "run", cause->run,
                        mpq_end_name(cause->end), cause->class_name.len ? ", " : "", slice_len(cause->class_name),
                        slice_text(cause->class_name), cause->message.len ? ": " : "", slice_len(cause->message),
                        slice_text(cause->message));
    mpqueue_text_print_foreign("  ", mpq_slice_of(ZSTR_VAL(line), ZSTR_LEN(line)));
    zend_string_release(line);
}

/* "code 5", "signal 11": only what the end makes of the number. */
static void print_cause_code(const mpq_cause *cause)
{
    const char *what = cause->end == MPQ_END_SIGNAL                               ? "signal"
                       : cause->end == MPQ_END_EXIT || cause->end == MPQ_END_DIED ? "exit status"
                       : cause->end == MPQ_END_EXCEPTION && cause->code != 0      ? "code"
                                                                                  : NULL;
    if (what) {
        mpqueue_text_print(MPQUEUE_PLAIN, "    %s %d\n", what, (int)cause->code);
    }
}

static void print_cause_place(const mpq_cause *cause)
{
    char at[64], took[64];

    mpqueue_text_time(cause->at_ms, at, sizeof at);
    mpqueue_text_print(MPQUEUE_PLAIN, "    %s.%03u", at, (unsigned)(cause->at_ms % 1000));
    if (cause->started_at_ms && cause->started_at_ms <= cause->at_ms) {
        mpqueue_text_ago(cause->at_ms - cause->started_at_ms, took, sizeof took);
        mpqueue_text_print(MPQUEUE_PLAIN, ", after %s", took);
    }
    mpqueue_text_print(MPQUEUE_PLAIN, ", worker %.*s on %.*s\n", slice_len(cause->worker), slice_text(cause->worker),
                       slice_len(cause->node), slice_text(cause->node));
}

static void print_cause(const mpq_cause *cause)
{
    print_cause_head(cause);
    if (cause->file.len) {
        zend_string *line =
            zend_strpprintf(0, "in %.*s:%u", slice_len(cause->file), slice_text(cause->file), cause->line);
        print_line("    ", ZSTR_VAL(line));
        zend_string_release(line);
    }
    print_cause_code(cause);
    print_cause_place(cause);
    mpqueue_text_print_foreign("      ", cause->trace);
}

static void print_job_head(const mpq_job *job)
{
    char id[MPQ_ID_TEXT_LEN + 1], at[64];
    zend_string *what = mpqueue_payload_describe(job->payload);

    mpq_id_format(&job->id, id);
    mpqueue_text_time(job->created_at_ms, at, sizeof at);
    mpqueue_text_print(MPQUEUE_BOLD, "%s", id);
    mpqueue_text_print_foreign("  ", mpq_slice_of(ZSTR_VAL(what), ZSTR_LEN(what)));
    mpqueue_text_print(MPQUEUE_PLAIN, "  pushed %s, failures: %u of %u, payload of %zu bytes\n", at, job->failures,
                       job->fail_number ? job->fail_number : 1, job->payload.len);
    zend_string_release(what);
}

typedef struct listing {
    uint32_t limit, shown;
    bool is_cut;
} listing;

static void print_record(mpq_slice envelope)
{
    mpq_job job;
    mpq_cause cause;
    mpq_error err = {0};
    mpq_reader history;

    if (mpq_codec_decode(envelope, &job, &err) < 0) {
        mpqueue_text_print(MPQUEUE_BOLD, "(no job)");
        mpqueue_text_print(MPQUEUE_PLAIN, "  %zu bytes: %s\n", envelope.len, err.text);
        mpqueue_text_print_foreign("      ", mpq_slice_of(envelope.data, envelope.len < 200 ? envelope.len : 200));
        return;
    }
    print_job_head(&job);
    history = mpq_reader_of(job.history);
    while (mpq_codec_next_cause(&history, &cause, NULL) == 0) {
        print_cause(&cause);
    }
}

static int print_next(void *arg, mpq_slice envelope)
{
    listing *list = arg;

    if (list->shown == list->limit) {
        list->is_cut = true;
        return 1;
    }
    if (list->shown++) {
        mpqueue_text_print(MPQUEUE_PLAIN, "\n");
    }
    print_record(envelope);
    return 0;
}

static int list_failed(mpq_broker *broker, const char *queue, void *arg)
{
    listing list = {.limit = *(uint32_t *)arg};
    mpq_error err = {0};

    if (broker->ops->failed(broker, queue, print_next, &list, &err) < 0) {
        return mpqueue_console_fail("queue \"%s\": %s", queue, err.text);
    }
    if (list.shown == 0) {
        mpqueue_text_print(MPQUEUE_GREEN, "queue \"%s\" has no failed jobs\n", queue);
    }
    if (list.is_cut) {
        mpqueue_text_print(MPQUEUE_YELLOW, "\nthere are more; --limit N shows N of them\n");
    }
    return MPQUEUE_EXIT_OK;
}

static int failed(mpqueue_console *console)
{
    if (!console->queue) {
        mpqueue_console_fail("queue:failed needs to know which queue: --queue Q");
        return MPQUEUE_EXIT_USAGE;
    }
    return for_queues(console, list_failed, &console->limit);
}

static const char *const queue_options[] = {"--queue", NULL};
static const char *const failed_options[] = {"--queue", "--limit", NULL};

const mpqueue_command mpqueue_queue_commands[] = {
    {"queue:status", "show how many jobs there are", queue_options, status},
    {"queue:failed", "show the jobs that have failed for the last time, and why", failed_options, failed},
    {"queue:clean", "delete everything in the queues", queue_options, clean},
    {NULL, NULL, NULL, NULL},
};
