#include "failed.h"

#include "../../php_mpqueue.h"

/* The records' bytes, each with its length in front. PHP's allocator may jump out of the call when memory is short, so
 * arrays are made only after the store's call has returned. */
typedef struct collected {
    mpq_buf bytes;
    size_t count;
    size_t limit;
} collected;

static int collect(void *arg, mpq_slice envelope)
{
    collected *records = arg;
    mpq_buf_append_u64(&records->bytes, envelope.len);
    mpq_buf_append_slice(&records->bytes, envelope);
    records->count++;
    return records->bytes.failed || records->count == records->limit;
}

static void add_slice(zval *array, const char *key, mpq_slice text)
{
    add_assoc_stringl(array, key, text.len ? text.data : "", text.len);
}

static void add_ms(zval *array, const char *key, uint64_t ms)
{
    add_assoc_double(array, key, (double)ms / 1000.0);
}

static void add_if(zval *array, const char *key, bool present, zend_long value)
{
    if (present) {
        add_assoc_long(array, key, value);
    } else {
        add_assoc_null(array, key);
    }
}

void mpqueue_cause_to_array(const mpq_cause *cause, zval *array)
{
    array_init_size(array, 16);
    add_assoc_string(array, "end", mpq_end_name(cause->end));
    add_slice(array, "class", cause->class_name);
    add_slice(array, "message", cause->message);
    add_slice(array, "file", cause->file);
    add_assoc_long(array, "line", cause->line);
    add_slice(array, "trace", cause->trace);
    add_if(array, "code", cause->end == MPQ_END_EXCEPTION, cause->code);
    add_if(array, "exit_status", cause->end == MPQ_END_EXIT || cause->end == MPQ_END_DIED, cause->code);
    add_if(array, "signal", cause->end == MPQ_END_SIGNAL, cause->code);
    add_assoc_bool(array, "in_handler", cause->in_handler);
    add_assoc_long(array, "run", cause->run);
    if (cause->started_at_ms) {
        add_ms(array, "started_at", cause->started_at_ms);
    } else {
        add_assoc_null(array, "started_at");
    }
    add_ms(array, "ended_at", cause->at_ms);
    add_slice(array, "worker", cause->worker);
    add_slice(array, "node", cause->node);
}

static void causes_to_array(mpq_slice history, zval *array)
{
    mpq_reader reader = mpq_reader_of(history);
    mpq_cause cause;
    mpq_error err;
    array_init(array);
    while (mpq_codec_next_cause(&reader, &cause, &err) == 0) {
        zval shown;
        mpqueue_cause_to_array(&cause, &shown);
        add_next_index_zval(array, &shown);
    }
}

static void job_to_array(const mpq_job *job, zval *array)
{
    char id[MPQ_ID_TEXT_LEN + 1];
    zval causes;
    mpq_id_format(&job->id, id);
    array_init_size(array, 16);
    add_assoc_string(array, "id", id);
    add_assoc_str(array, "job", mpqueue_payload_describe(job->payload));
    add_slice(array, "payload", job->payload);
    add_ms(array, "created_at", job->created_at_ms);
    add_ms(array, "timeout", job->timeout_ms);
    add_assoc_long(array, "fail_number", job->fail_number);
    add_ms(array, "fail_expire", job->fail_expire_ms);
    add_assoc_long(array, "failures", job->failures);
    causes_to_array(job->history, &causes);
    add_assoc_zval(array, "causes", &causes);
}

static void garbage_to_array(mpq_slice bytes, const char *problem, zval *array)
{
    array_init(array);
    add_assoc_null(array, "id");
    add_assoc_string(array, "job", "unknown");
    add_slice(array, "payload", bytes);
    add_assoc_string(array, "problem", problem);
    zval causes;
    array_init(&causes);
    add_assoc_zval(array, "causes", &causes);
}

static void add_record(mpq_slice envelope, HashTable *records)
{
    mpq_job job;
    mpq_error err = {0};
    zval record;
    if (mpq_codec_decode(envelope, &job, &err) < 0) {
        garbage_to_array(envelope, err.text, &record);
        zend_hash_next_index_insert(records, &record);
        return;
    }
    char id[MPQ_ID_TEXT_LEN + 1];
    mpq_id_format(&job.id, id);
    job_to_array(&job, &record);
    zend_hash_str_update(records, id, MPQ_ID_TEXT_LEN, &record);
}

int mpqueue_failed_records(mpq_broker *broker, const char *queue, size_t limit, zval *records)
{
    collected found = {.limit = limit};
    mpq_error err = {0};
    mpq_buf_init(&found.bytes);
    int result = broker->ops->failed(broker, queue, collect, &found, &err);
    if (result == 0 && found.bytes.failed) {
        result = mpq_error_set_memory(&err);
    }
    if (result < 0) {
        mpq_buf_fini(&found.bytes);
        mpqueue_throw(&err);
        return -1;
    }
    /* Into PHP's memory, which is freed whatever happens from here on. */
    zend_string *bytes = zend_string_init(found.bytes.data ? found.bytes.data : "", found.bytes.len, false);
    mpq_buf_fini(&found.bytes);
    mpq_reader reader = mpq_reader_of(mpq_slice_of(ZSTR_VAL(bytes), ZSTR_LEN(bytes)));
    array_init_size(records, (uint32_t)found.count);
    for (size_t i = 0; i < found.count; i++) {
        add_record(mpq_reader_bytes(&reader, (size_t)mpq_reader_u64(&reader)), Z_ARRVAL_P(records));
    }
    zend_string_release(bytes);
    return 0;
}
