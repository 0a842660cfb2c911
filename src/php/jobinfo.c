#include "jobinfo.h"
#include "../../php_mpqueue.h"
#include "failed.h"

#include <inttypes.h>

#include "zend_exceptions.h"
#include "zend_smart_str.h"

/* ---- causes ---- */

static const char *text_for_none(enum mpq_end end)
{
    switch (end) {
    case MPQ_END_TIMEOUT:
        return "the job exceeded its time limit";
    case MPQ_END_SERVICE_LOST:
        return "the service on this host died under the job";
    case MPQ_END_NODE_LOST:
        return "the host that ran the job was lost";
    case MPQ_END_SIGNAL:
    case MPQ_END_DIED:
        return "the worker died under the job";
    default:
        return "the job failed in a way that is not known";
    }
}

int mpqueue_jobinfo_last_cause(const mpq_job *job, mpq_cause *out)
{
    mpq_reader history = mpq_reader_of(job->history);
    mpq_cause cause;
    int missing = 1;

    memset(out, 0, sizeof *out);
    out->end = MPQ_END_DIED;
    while (mpq_codec_next_cause(&history, &cause, NULL) == 0) {
        if (!cause.in_handler) {
            *out = cause;
            missing = 0;
        }
    }
    if (out->message.len == 0 && out->end != MPQ_END_EXCEPTION) {
        const char *text = text_for_none(out->end);
        out->message = mpq_slice_of(text, strlen(text));
    }
    return missing;
}

/* ---- $jobInfo ---- */

static void add_slice(zval *array, const char *key, mpq_slice text)
{
    add_assoc_stringl(array, key, text.data ? text.data : "", text.len);
}

/* The documented keys hold numbers as strings. Thousandths without trailing zeros: "1795174063.255", "2.5", "0". */
static void add_seconds(zval *array, const char *key, uint64_t ms)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));

    while (text[len - 1] == '0') {
        len--;
    }
    if (text[len - 1] == '.') {
        len--;
    }
    add_assoc_stringl(array, key, text, len);
}

static void add_number(zval *array, const char *key, uint64_t number)
{
    char text[32];
    add_assoc_stringl(array, key, text, snprintf(text, sizeof text, "%" PRIu64, number));
}

static void cause_to_array(const mpq_cause *cause, zval *array)
{
    mpqueue_cause_to_array(cause, array);
    add_assoc_double(array, "at", cause->at_ms / 1000.0);
}

/* One line for each failed run: "<service>:<pid>:<code>:<message>". */
static void append_error_line(smart_str *out, const mpq_cause *cause)
{
    smart_str_appendl(out, cause->worker.data ? cause->worker.data : "", cause->worker.len);
    smart_str_append_printf(out, ":%d:", (int)cause->code);
    smart_str_appendl(out, cause->message.data ? cause->message.data : "", cause->message.len);
    smart_str_appendc(out, '\n');
}

static void add_history(zval *info, const mpq_job *job)
{
    mpq_reader history = mpq_reader_of(job->history);
    smart_str lines = {0};
    mpq_cause cause;
    zval causes, entry;

    array_init(&causes);
    while (mpq_codec_next_cause(&history, &cause, NULL) == 0) {
        cause_to_array(&cause, &entry);
        add_next_index_zval(&causes, &entry);
        append_error_line(&lines, &cause);
    }
    add_assoc_str(info, "error_info", smart_str_extract(&lines));
    add_assoc_zval(info, "causes", &causes);
}

static void add_job(zval *info, const mpq_job *job, zval *decoded)
{
    if (decoded) {
        Z_TRY_ADDREF_P(decoded);
        add_assoc_zval(info, "job", decoded);
    } else {
        add_assoc_null(info, "job");
        add_slice(info, "payload", job->payload);
    }
}

void mpqueue_jobinfo_build(const mpq_run *run, zval *job, zval *info)
{
    const mpq_job *stored = run->job;
    char id[MPQ_ID_TEXT_LEN + 1];
    mpq_cause last;
    zval cause;

    mpqueue_jobinfo_last_cause(stored, &last);
    mpq_id_format(&stored->id, id);
    array_init_size(info, 16);
    add_assoc_string(info, "id", id);
    add_job(info, stored, job);
    add_seconds(info, "create_time", stored->created_at_ms);
    add_assoc_long(info, "exec_number", last.run ? last.run : stored->failures);
    add_slice(info, "worker_id", last.worker);
    add_seconds(info, "start_time", last.started_at_ms);
    add_seconds(info, "timeout", stored->timeout_ms);
    add_number(info, "fail_number", stored->fail_number);
    add_seconds(info, "fail_expire", stored->fail_expire_ms);
    add_assoc_string(info, "type", last.end == MPQ_END_TIMEOUT ? "2" : "1");
    add_seconds(info, "pop_time", run->reserved_at_ms);
    cause_to_array(&last, &cause);
    add_assoc_zval(info, "cause", &cause);
    add_history(info, stored);
}

/* ---- the exception ---- */

static zend_class_entry *class_for(enum mpq_end end)
{
    switch (end) {
    case MPQ_END_TIMEOUT:
        return mpqueue_ce_TimeoutException;
    case MPQ_END_EXIT:
        return mpqueue_ce_ExitException;
    case MPQ_END_FATAL:
        return mpqueue_ce_FatalErrorException;
    case MPQ_END_OUT_OF_MEMORY:
        return mpqueue_ce_OutOfMemoryException;
    case MPQ_END_SIGNAL:
    case MPQ_END_DIED:
        return mpqueue_ce_WorkerDiedException;
    case MPQ_END_SERVICE_LOST:
    case MPQ_END_NODE_LOST:
        return mpqueue_ce_LostException;
    case MPQ_END_UNDECODABLE:
        return mpqueue_ce_UndecodableJobException;
    default:
        return NULL;
    }
}

static bool can_be_made(const zend_class_entry *ce)
{
    const uint32_t refused = ZEND_ACC_INTERFACE | ZEND_ACC_TRAIT | ZEND_ACC_ENUM | ZEND_ACC_EXPLICIT_ABSTRACT_CLASS |
                             ZEND_ACC_IMPLICIT_ABSTRACT_CLASS;
    return ce && !(ce->ce_flags & refused) && instanceof_function(ce, zend_ce_throwable);
}

/* An autoloader that fails has nothing to say here: the class is then as good as missing. exit() stays exit(). */
static zend_class_entry *thrown_class(mpq_slice name, bool autoload)
{
    zend_string *text;
    zend_class_entry *ce;

    if (name.len == 0) {
        return NULL;
    }
    text = zend_string_init(name.data, name.len, 0);
    ce = zend_lookup_class_ex(text, NULL, autoload ? ZEND_FETCH_CLASS_DEFAULT : ZEND_FETCH_CLASS_NO_AUTOLOAD);
    zend_string_release(text);
    if (EG(exception) && !zend_is_unwind_exit(EG(exception))) {
        zend_clear_exception();
    }
    return can_be_made(ce) ? ce : NULL;
}

static void set_text(zend_class_entry *base, zend_object *object, const char *name, zend_string *text)
{
    zval value;

    ZVAL_STR(&value, text);
    zend_update_property(base, object, name, strlen(name), &value);
    zval_ptr_dtor(&value);
}

static void set_slice(zend_class_entry *base, zend_object *object, const char *name, mpq_slice text)
{
    set_text(base, object, name, zend_string_init(text.data ? text.data : "", text.len, 0));
}

static void set_message(zend_class_entry *base, zend_object *object, const mpq_cause *cause, bool name_class)
{
    if (!name_class) {
        set_slice(base, object, "message", cause->message);
        return;
    }
    set_text(base, object, "message",
             zend_strpprintf(0, "%.*s: %.*s", (int)cause->class_name.len, cause->class_name.data,
                             (int)cause->message.len, cause->message.data ? cause->message.data : ""));
}

void mpqueue_jobinfo_exception(const mpq_cause *cause, bool autoload, zval *exception)
{
    zend_class_entry *ce = class_for(cause->end), *base;
    bool is_missing = false;

    if (!ce) {
        ce = thrown_class(cause->class_name, autoload);
        is_missing = !ce && cause->class_name.len > 0;
    }
    if (object_init_ex(exception, ce ? ce : mpqueue_ce_QueueException) == FAILURE) {
        zend_clear_exception();
        is_missing = cause->class_name.len > 0;
        object_init_ex(exception, mpqueue_ce_QueueException);
    }
    base = instanceof_function(Z_OBJCE_P(exception), zend_ce_error) ? zend_ce_error : zend_ce_exception;
    set_message(base, Z_OBJ_P(exception), cause, is_missing);
    zend_update_property_long(base, Z_OBJ_P(exception), ZEND_STRL("code"), cause->code);
    if (cause->file.len) {
        set_slice(base, Z_OBJ_P(exception), "file", cause->file);
        zend_update_property_long(base, Z_OBJ_P(exception), ZEND_STRL("line"), cause->line);
    }
}
