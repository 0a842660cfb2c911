#include "guard.h"
#include "../../php_mpqueue.h"
#include "fork.h"

#include <unistd.h>

#include "main/php_output.h"
#include "zend_exceptions.h"
#include "zend_smart_str.h"

#define TEXT_MAX 16384 /* of one field; the engine cuts further when it stores the cause */
#define CHAIN_MAX 10   /* exceptions shown of a chain of previous ones */

/* What a call left to be told. In memory of its own, so that it survives the interpreter's heap. */
typedef struct report {
    mpq_buf class_name, message, file, trace;
} report;

static report of_call, of_call_aside;

typedef struct attempt {
    mpqueue_guard_fn body;
    void *arg;
    mpq_outcome *out;
    report *report;
} attempt;

static void keep(mpq_buf *buf, mpq_slice *out, const char *data, size_t len)
{
    mpq_buf_clear(buf);
    mpq_buf_append(buf, data, len < TEXT_MAX ? len : TEXT_MAX);
    *out = buf->failed ? mpq_slice_of("", 0) : mpq_buf_slice(buf);
}

static void keep_string(mpq_buf *buf, mpq_slice *out, const zend_string *text)
{
    if (text) {
        keep(buf, out, ZSTR_VAL(text), ZSTR_LEN(text));
    } else {
        keep(buf, out, "", 0);
    }
}

/* Slices of static text need no copy. */
static void say(mpq_slice *out, const char *text)
{
    *out = mpq_slice_of(text, strlen(text));
}

static void forget_last_error(void)
{
    if (!PG(last_error_message)) {
        return;
    }
    PG(last_error_type) = 0;
    PG(last_error_lineno) = 0;
    zend_string_release(PG(last_error_message));
    PG(last_error_message) = NULL;
    if (PG(last_error_file)) {
        zend_string_release(PG(last_error_file));
        PG(last_error_file) = NULL;
    }
}

/* Some builds of PHP do not leave through a bailout when memory_limit is reached, but unwind like exit() does and
 * then refuse to run anything: tell them by the state they leave. */
static bool has_delayed_oom(void)
{
#ifdef ZEND_HAS_OOM
    return ZEND_HAS_OOM();
#else
    return false;
#endif
}

static bool last_error_is_oom(void)
{
    const zend_string *text = PG(last_error_message);
    return text && (zend_string_starts_with_cstr(text, ZEND_STRL("Allowed memory size of ")) ||
                    zend_string_starts_with_cstr(text, ZEND_STRL("Out of memory")));
}

/* ---- exceptions ---- */

static zval *property(zend_object *exception, zend_string *name, zval *buffer)
{
    zend_class_entry *base = instanceof_function(exception->ce, zend_ce_error) ? zend_ce_error : zend_ce_exception;
    zval *value = zend_read_property_ex(base, exception, name, true, buffer);
    ZVAL_DEREF(value);
    return value;
}

/* A subclass may put anything into $message: nothing of it may run code here. */
static zend_string *text_property(zend_object *exception, zend_string *name)
{
    zval buffer, *value = property(exception, name, &buffer);
    return Z_TYPE_P(value) == IS_STRING || Z_TYPE_P(value) == IS_LONG || Z_TYPE_P(value) == IS_DOUBLE
               ? zval_get_string(value)
               : ZSTR_EMPTY_ALLOC();
}

static zend_long number_property(zend_object *exception, zend_string *name)
{
    zval buffer, *value = property(exception, name, &buffer);
    return Z_TYPE_P(value) == IS_LONG ? Z_LVAL_P(value) : 0;
}

static zend_string *trace_of(zend_object *exception)
{
    zval buffer, *trace = property(exception, ZSTR_KNOWN(ZEND_STR_TRACE), &buffer);
    return Z_TYPE_P(trace) == IS_ARRAY ? zend_trace_to_string(Z_ARRVAL_P(trace), true) : ZSTR_EMPTY_ALLOC();
}

static zend_object *previous_of(zend_object *exception)
{
    zval buffer, *previous = property(exception, ZSTR_KNOWN(ZEND_STR_PREVIOUS), &buffer);
    return Z_TYPE_P(previous) == IS_OBJECT ? Z_OBJ_P(previous) : NULL;
}

static void append_trace(smart_str *out, zend_object *exception)
{
    zend_string *trace = trace_of(exception);
    smart_str_append(out, trace);
    zend_string_release(trace);
}

static void append_previous(smart_str *out, zend_object *exception)
{
    zend_string *message = text_property(exception, ZSTR_KNOWN(ZEND_STR_MESSAGE));
    zend_string *file = text_property(exception, ZSTR_KNOWN(ZEND_STR_FILE));

    smart_str_append_printf(out, "\ncaused by %s: %s in %s:" ZEND_LONG_FMT "\n", ZSTR_VAL(exception->ce->name),
                            ZSTR_VAL(message), ZSTR_VAL(file), number_property(exception, ZSTR_KNOWN(ZEND_STR_LINE)));
    append_trace(out, exception);
    zend_string_release(message);
    zend_string_release(file);
}

static zend_string *whole_trace(zend_object *exception)
{
    smart_str out = {0};

    append_trace(&out, exception);
    for (int depth = 1; depth < CHAIN_MAX && (exception = previous_of(exception)); depth++) {
        append_previous(&out, exception);
    }
    return smart_str_extract(&out);
}

static void report_exception(report *to, zend_object *exception, mpq_cause *cause)
{
    zend_string *message = text_property(exception, ZSTR_KNOWN(ZEND_STR_MESSAGE));
    zend_string *file = text_property(exception, ZSTR_KNOWN(ZEND_STR_FILE));
    zend_string *trace = whole_trace(exception);
    zend_long code = number_property(exception, ZSTR_KNOWN(ZEND_STR_CODE));
    zend_long line = number_property(exception, ZSTR_KNOWN(ZEND_STR_LINE));

    keep_string(&to->class_name, &cause->class_name, exception->ce->name);
    keep_string(&to->message, &cause->message, message);
    keep_string(&to->file, &cause->file, file);
    keep_string(&to->trace, &cause->trace, trace);
    cause->code = code >= INT32_MIN && code <= INT32_MAX ? (int32_t)code : 0;
    cause->line = line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
    zend_string_release(message);
    zend_string_release(file);
    zend_string_release(trace);
}

static void report_exit(report *to, mpq_outcome *out, int status)
{
    char text[64];

    out->end = MPQ_END_EXIT;
    out->cause.code = status;
    snprintf(text, sizeof text, "exit(%d) was called", status);
    keep(&to->message, &out->cause.message, text, strlen(text));
}

/* Releasing an exception may run destructors of what its trace holds; those may throw, too. */
static void drop_exceptions(void)
{
    for (int i = 0; EG(exception) && i < CHAIN_MAX; i++) {
        zend_clear_exception();
    }
}

static void take_exception(const attempt *call)
{
    zend_object *exception = EG(exception);
    int status = EG(exit_status);

    GC_ADDREF(exception);
    zend_clear_exception();
    if (zend_is_unwind_exit(exception) || zend_is_graceful_exit(exception)) {
        report_exit(call->report, call->out, status);
    } else {
        call->out->end = MPQ_END_EXCEPTION;
        report_exception(call->report, exception, &call->out->cause);
    }
    OBJ_RELEASE(exception);
    drop_exceptions();
}

/* ---- what ends the process ---- */

static void report_fatal(report *to, mpq_outcome *out, bool out_of_memory)
{
    memset(out, 0, sizeof *out);
    out->end = out_of_memory ? MPQ_END_OUT_OF_MEMORY : MPQ_END_FATAL;
    out->leave = true;
    if (PG(last_error_message)) {
        keep_string(&to->message, &out->cause.message, PG(last_error_message));
        keep_string(&to->file, &out->cause.file, PG(last_error_file));
        out->cause.line = PG(last_error_lineno) > 0 ? (uint32_t)PG(last_error_lineno) : 0;
    } else {
        say(&out->cause.message,
            out_of_memory ? "the memory limit of PHP was reached" : "PHP gave up without a message");
    }
}

/* The text of the fatal error itself may still be in a buffer, and the process is about to end without PHP's shutdown.
 * Callbacks are not asked any more: the bytes go out as they are. */
static void show_buffered_output(void)
{
    zend_execute_data *frame = EG(current_execute_data);
    php_output_handler **handlers = zend_stack_base(&OG(handlers));

    zend_try
    {
        for (int i = 0; i < zend_stack_count(&OG(handlers)); i++) {
            php_output_write_unbuffered(handlers[i]->buffer.data, handlers[i]->buffer.used);
        }
    }
    zend_catch
    {
        EG(current_execute_data) = frame;
    }
    zend_end_try();
}

static void report_refusal(mpq_outcome *out)
{
    out->end = MPQ_END_FATAL;
    out->leave = true;
    say(&out->cause.message, "PHP did not run the code and gave no reason");
}

/* The state is set at the allocation that failed and dealt with at the next return to the interpreter. Our own frame
 * may come first: then it is up to us to have the error shown. */
static void settle_delayed_oom(void)
{
#ifdef ZEND_HAS_OOM
    if (EG(delayed_oom).state == ZEND_OOM_STATE_PENDING) {
        zend_handle_delayed_oom();
    }
#endif
}

static void try_body(const attempt *call)
{
    bool returned = call->body(call->arg);

    if (mpqueue_fork_is_copy()) {
        mpqueue_fork_end_copy();
    }
    settle_delayed_oom();
    if (has_delayed_oom()) {
        return;
    }
    if (EG(exception)) {
        take_exception(call);
    } else if (!returned) {
        report_refusal(call->out);
    }
}

static void call_guarded(const attempt *call)
{
    zend_execute_data *frame = EG(current_execute_data);
    volatile bool bailed_out = false;

    memset(call->out, 0, sizeof *call->out);
    forget_last_error();
    EG(exit_status) = 0;
    mpqueue_fork_begin_code();
    zend_try
    {
        try_body(call);
    }
    zend_catch
    {
        bailed_out = true;
        EG(current_execute_data) = frame;
    }
    zend_end_try();
    if (bailed_out && mpqueue_fork_is_copy()) {
        _exit(255);
    }

    if (has_delayed_oom() || (bailed_out && last_error_is_oom())) {
        report_fatal(call->report, call->out, true);
    } else if (bailed_out) {
        report_fatal(call->report, call->out, false);
    }
    if (call->out->leave) {
        show_buffered_output();
    }
    EG(exit_status) = 0;
}

void mpqueue_guard_call(mpqueue_guard_fn body, void *arg, mpq_outcome *out)
{
    const attempt call = {body, arg, out, &of_call};
    call_guarded(&call);
}

void mpqueue_guard_call_aside(mpqueue_guard_fn body, void *arg, mpq_outcome *out)
{
    const attempt call = {body, arg, out, &of_call_aside};
    call_guarded(&call);
}

void mpqueue_guard_describe(const mpq_outcome *outcome, char *out, size_t size)
{
    const mpq_cause *cause = &outcome->cause;
    int message_len = (int)cause->message.len;

    switch (outcome->end) {
    case MPQ_END_DONE:
        snprintf(out, size, "returned");
        break;
    case MPQ_END_EXIT:
        snprintf(out, size, "called exit(%d)", (int)cause->code);
        break;
    case MPQ_END_EXCEPTION:
        snprintf(out, size, "threw %.*s: %.*s in %.*s:%u", (int)cause->class_name.len, cause->class_name.data,
                 message_len, cause->message.data, (int)cause->file.len, cause->file.data, cause->line);
        break;
    default:
        snprintf(out, size, "ended with a fatal error: %.*s%s%.*s", message_len, cause->message.data,
                 cause->file.len ? " in " : "", (int)cause->file.len, cause->file.data ? cause->file.data : "");
    }
}
