#include "hygiene.h"
#include "../../php_mpqueue.h"
#include "guard.h"
#include "hygiene_internal.h"

#include <unistd.h>

#include "ext/standard/basic_functions.h"
#include "ext/standard/php_filestat.h"
#include "main/php_output.h"
#include "zend_gc.h"

#define COLLECT_EVERY 500
#define RECHECK_EVERY 64

/* One of PHP's two handler stacks with its current handler. */
typedef struct handler_state {
    zval current;
    int depth;
} handler_state;

enum { STANDARD_STREAMS = 3 };

/* The worker's state before its first job. */
static struct {
    bool known;
    handler_state errors, exceptions;
    int error_handler_reporting;
    const zend_resource *streams[STANDARD_STREAMS]; /* the values of STDIN, STDOUT, STDERR; NULL where there is none */
    int implicit_flush;                             /* that flag of PHP's output */
    zend_long memory_limit;
} base;

static bool beyond_repair;

static uint32_t jobs;
static uint32_t jobs_at_collection;

/* ---- error and exception handlers ---- */

static void remember_handlers(void)
{
    ZVAL_COPY(&base.errors.current, &EG(user_error_handler));
    base.errors.depth = zend_stack_count(&EG(user_error_handlers));
    base.error_handler_reporting = EG(user_error_handler_error_reporting);
    ZVAL_COPY(&base.exceptions.current, &EG(user_exception_handler));
    base.exceptions.depth = zend_stack_count(&EG(user_exception_handlers));
}

static bool is_same_handler(const zval *a, const zval *b)
{
    return Z_TYPE_P(a) == Z_TYPE_P(b) && (!Z_REFCOUNTED_P(a) || Z_COUNTED_P(a) == Z_COUNTED_P(b)) &&
           (Z_TYPE_P(a) != IS_STRING || Z_STR_P(a) == Z_STR_P(b)) &&
           (Z_TYPE_P(a) != IS_ARRAY || Z_ARR_P(a) == Z_ARR_P(b));
}

/* The slot is changed before the old handler is let go of: its destructor may look at it. */
static void restore_handler(const handler_state *kept, zval *current, zend_stack *stack, zend_stack *reporting)
{
    while (zend_stack_count(stack) > kept->depth) {
        zval *top = zend_stack_top(stack);
        zval dropped;
        ZVAL_COPY_VALUE(&dropped, top);
        zend_stack_del_top(stack);
        if (reporting) {
            zend_stack_del_top(reporting);
        }
        zval_ptr_dtor(&dropped);
    }
    if (!is_same_handler(current, &kept->current)) {
        zval dropped;
        ZVAL_COPY_VALUE(&dropped, current);
        ZVAL_COPY(current, &kept->current);
        zval_ptr_dtor(&dropped);
    }
}

static void restore_handlers(void)
{
    restore_handler(&base.errors, &EG(user_error_handler), &EG(user_error_handlers),
                    &EG(user_error_handlers_error_reporting));
    EG(user_error_handler_error_reporting) = base.error_handler_reporting;
    restore_handler(&base.exceptions, &EG(user_exception_handler), &EG(user_exception_handlers), NULL);
}

/* ---- output ---- */

bool mpqueue_hygiene_has_output(void)
{
    return php_output_get_level() > 0;
}

void mpqueue_hygiene_close_output(void)
{
    php_output_end_all();
}

/* The constants hold them as long as the request lasts, open or closed. */
static void remember_streams(void)
{
    static const char *const names[STANDARD_STREAMS] = {"STDIN", "STDOUT", "STDERR"};

    for (int i = 0; i < STANDARD_STREAMS; i++) {
        const zval *value = zend_get_constant_str(names[i], strlen(names[i]));
        base.streams[i] = value && Z_TYPE_P(value) == IS_RESOURCE && Z_RES_P(value)->type >= 0 ? Z_RES_P(value) : NULL;
    }
    base.implicit_flush = OG(flags) & PHP_OUTPUT_IMPLICITFLUSH;
}

static bool has_lost_stream(void)
{
    for (int i = 0; i < STANDARD_STREAMS; i++) {
        if (base.streams[i] && base.streams[i]->type < 0) {
            return true;
        }
    }
    return false;
}

/* A limit can't be set below what is in use. */
static bool has_outgrown_limit(void)
{
    return PG(memory_limit) != base.memory_limit && base.memory_limit > 0 &&
           zend_memory_usage(false) > (size_t)base.memory_limit;
}

bool mpqueue_hygiene_is_beyond_repair(void)
{
    bool lost = has_lost_stream();

    if (lost) {
        php_output_set_status(PHP_OUTPUT_DISABLED);
    }
    beyond_repair = lost || has_outgrown_limit();
    return beyond_repair;
}

/* PHP writes nothing more once a write has failed, for instance because the disk was full. */
static void restore_output(void)
{
    if (PG(connection_status) != PHP_CONNECTION_NORMAL) {
        PG(connection_status) = PHP_CONNECTION_NORMAL;
        OG(flags) = (OG(flags) & ~PHP_OUTPUT_DISABLED) | base.implicit_flush;
    }
}

/* ---- the whole ---- */

void mpqueue_hygiene_remember(void)
{
    if (base.known) {
        return;
    }
    mpqueue_hygiene_remember_process();
    mpqueue_hygiene_remember_settings();
    remember_handlers();
    remember_streams();
    base.memory_limit = PG(memory_limit);
    jobs = jobs_at_collection = 0;
    base.known = true;
}

void mpqueue_hygiene_forget(void)
{
    if (!base.known) {
        return;
    }
    base.known = false;
    mpqueue_hygiene_forget_process();
    mpqueue_hygiene_forget_settings();
    zval_ptr_dtor(&base.errors.current);
    zval_ptr_dtor(&base.exceptions.current);
}

static void restore_all(void)
{
    mpqueue_hygiene_restore_settings();
    restore_handlers();
    restore_output();
    mpqueue_hygiene_restore_process(jobs % RECHECK_EVERY == 0);
    if (BG(CurrentStatFile) || BG(CurrentLStatFile)) {
        php_clear_stat_cache(false, NULL, 0);
    }
}

static bool collect(void *arg)
{
    (void)arg;
    jobs_at_collection = jobs;
    gc_collect_cycles();
    return true;
}

static bool restore(void *arg)
{
    (void)arg;
    if (!beyond_repair) {
        restore_all();
    }
    return true;
}

/* Old handlers and settings may be objects whose destructors are user code, hence the guard. There is no job that a
 * failure of them could be put down to; only one that leaves the interpreter unusable has a consequence. */
static void guarded(mpqueue_guard_fn body)
{
    mpq_outcome outcome;

    mpqueue_guard_call_aside(body, NULL, &outcome);
    if (outcome.leave) {
        _exit(70);
    }
}

uint64_t mpqueue_hygiene_restore(void)
{
    jobs++;
    guarded(restore);
    if (jobs - jobs_at_collection >= COLLECT_EVERY) {
        guarded(collect);
    }
    return zend_memory_usage(false);
}

void mpqueue_hygiene_collect(void)
{
    if (jobs != jobs_at_collection) {
        guarded(collect);
    }
}
