#include "hygiene.h"
#include "../../php_mpqueue.h"
#include "guard.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ext/standard/basic_functions.h"
#include "ext/standard/php_filestat.h"
#include "main/php_output.h"
#include "zend_exceptions.h"
#include "zend_gc.h"

#define COLLECT_EVERY 500
#define RECHECK_EVERY 64

enum { CHANGED_DIRECTORY = 1, CHANGED_SIGNALS = 2, CHANGED_TIMEZONE = 4 };

typedef struct ini_value {
    zend_ini_entry *entry;
    zend_string *value; /* NULL = no value */
} ini_value;

/* One of PHP's two handler stacks with its current handler. */
typedef struct handler_state {
    zval current;
    int depth;
} handler_state;

/* The worker's state before its first job. */
static struct {
    bool known;
    int directory_fd;
    mode_t umask;
    char *locale; /* owned */
    zend_string *timezone;
    ini_value *ini; /* owned; settings that differ from php.ini and the command line */
    uint32_t ini_count;
    handler_state errors, exceptions;
    int error_handler_reporting;
    struct sigaction actions[NSIG];
#ifdef ZEND_SIGNALS
    zend_signal_entry_t php_actions[NSIG];
#endif
    sigset_t mask;
} base;

static unsigned changed;
static uint32_t jobs;
static uint32_t jobs_at_collection;

/* ---- watched functions ---- */

typedef struct watch {
    const char *name;
    unsigned sets;
    zif_handler original;
} watch;

static watch watches[] = {
    {"chdir", CHANGED_DIRECTORY, NULL},
    {"pcntl_signal", CHANGED_SIGNALS, NULL},
    {"pcntl_sigprocmask", CHANGED_SIGNALS, NULL},
    {"pcntl_alarm", CHANGED_SIGNALS, NULL},
    {"date_default_timezone_set", CHANGED_TIMEZONE, NULL},
};
#define WATCH_COUNT (sizeof watches / sizeof *watches)

static zend_function *internal_function(const char *name)
{
    zend_function *fn = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));
    return fn && fn->type == ZEND_INTERNAL_FUNCTION ? fn : NULL;
}

static ZEND_NAMED_FUNCTION(watched)
{
    for (size_t i = 0; i < WATCH_COUNT; i++) {
        if (zend_string_equals_cstr(EX(func)->common.function_name, watches[i].name, strlen(watches[i].name))) {
            changed |= watches[i].sets;
            watches[i].original(INTERNAL_FUNCTION_PARAM_PASSTHRU);
            return;
        }
    }
}

void mpqueue_hygiene_watch(void)
{
    for (size_t i = 0; i < WATCH_COUNT; i++) {
        zend_function *fn = internal_function(watches[i].name);
        if (fn && fn->internal_function.handler != watched) {
            watches[i].original = fn->internal_function.handler;
            fn->internal_function.handler = watched;
        }
    }
}

void mpqueue_hygiene_unwatch(void)
{
    for (size_t i = 0; i < WATCH_COUNT; i++) {
        zend_function *fn = internal_function(watches[i].name);
        if (fn && fn->internal_function.handler == watched) {
            fn->internal_function.handler = watches[i].original;
        }
    }
}

/* ---- directory, umask, locale, time zone ---- */

static void remember_place(void)
{
    base.directory_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    base.umask = umask(0);
    umask(base.umask);
    BG(umask) = -1;
}

static void restore_directory(void)
{
    /* If it can't be entered any more there is nothing better to go to; the job that needs it will say so. */
    if (base.directory_fd >= 0 && fchdir(base.directory_fd) == -1) {
        return;
    }
}

/* PHP notes the mask it found before the first change, for the end of the request. */
static void restore_umask(void)
{
    if (BG(umask) != -1) {
        umask(base.umask);
        BG(umask) = -1;
    }
}

static void remember_locale(void)
{
    const char *name = setlocale(LC_ALL, NULL);
    base.locale = name ? strdup(name) : NULL;
    BG(locale_changed) = 0;
}

static void restore_ctype_name(void)
{
    const char *name = setlocale(LC_CTYPE, NULL);

    if (BG(ctype_string)) {
        zend_string_release(BG(ctype_string));
        BG(ctype_string) = NULL;
    }
    if (name && strcmp(name, "C") != 0) {
        BG(ctype_string) = zend_string_init(name, strlen(name), 0);
    }
}

static void restore_locale(void)
{
    if (!BG(locale_changed)) {
        return;
    }
    if (base.locale) {
        setlocale(LC_ALL, base.locale);
        zend_update_current_locale();
        restore_ctype_name();
    }
    BG(locale_changed) = 0;
}

static void call_by_name(const char *name, zval *argument, zval *result)
{
    zend_function *fn = internal_function(name);

    ZVAL_UNDEF(result);
    if (fn) {
        zend_call_known_function(fn, NULL, NULL, result, argument ? 1 : 0, argument, NULL);
    }
}

static void remember_timezone(void)
{
    zval name;

    call_by_name("date_default_timezone_get", NULL, &name);
    base.timezone = Z_TYPE(name) == IS_STRING ? zend_string_copy(Z_STR(name)) : NULL;
    zval_ptr_dtor(&name);
}

static void restore_timezone(void)
{
    zval name, result;

    if (base.timezone) {
        ZVAL_STR(&name, base.timezone);
        call_by_name("date_default_timezone_set", &name, &result);
        zval_ptr_dtor(&result);
    }
}

/* ---- signals ---- */

static void remember_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, NULL, &base.actions[number]);
    }
#ifdef ZEND_SIGNALS
    memcpy(base.php_actions, SIGG(handlers), sizeof base.php_actions);
#endif
    sigprocmask(SIG_SETMASK, NULL, &base.mask);
}

static void restore_signals(void)
{
    alarm(0);
#ifdef ZEND_SIGNALS
    memcpy(SIGG(handlers), base.php_actions, sizeof base.php_actions);
#endif
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) {
            sigaction(number, &base.actions[number], NULL);
        }
    }
    sigprocmask(SIG_SETMASK, &base.mask, NULL);
}

/* ---- settings ---- */

static uint32_t modified_ini_count(void)
{
    return EG(modified_ini_directives) ? zend_hash_num_elements(EG(modified_ini_directives)) : 0;
}

static void remember_ini(void)
{
    uint32_t count = modified_ini_count();
    zend_ini_entry *entry;

    base.ini_count = 0;
    base.ini = count ? safe_pemalloc(count, sizeof *base.ini, 0, 1) : NULL;
    if (!count) {
        return;
    }
    ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry)
    {
        ini_value *kept = &base.ini[base.ini_count++];
        kept->entry = entry;
        kept->value = entry->value ? zend_string_copy(entry->value) : NULL;
    }
    ZEND_HASH_FOREACH_END();
}

static void forget_ini(void)
{
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (base.ini[i].value) {
            zend_string_release(base.ini[i].value);
        }
    }
    if (base.ini) {
        pefree(base.ini, 1);
    }
    base.ini = NULL;
    base.ini_count = 0;
}

static bool ini_is_as_remembered(void)
{
    if (modified_ini_count() != base.ini_count) {
        return false;
    }
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (!base.ini[i].entry->modified || base.ini[i].entry->value != base.ini[i].value) {
            return false;
        }
    }
    return true;
}

static bool is_base_ini(const zend_ini_entry *entry)
{
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (base.ini[i].entry == entry) {
            return true;
        }
    }
    return false;
}

/* Restoring takes an entry out of the table that is walked: collect first. */
static void restore_added_ini(void)
{
    HashTable added;
    zend_ini_entry *entry;

    zend_hash_init(&added, 8, NULL, NULL, 0);
    ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry)
    {
        if (!is_base_ini(entry)) {
            zend_hash_next_index_insert_ptr(&added, entry);
        }
    }
    ZEND_HASH_FOREACH_END();
    ZEND_HASH_FOREACH_PTR(&added, entry)
    {
        zend_restore_ini_entry(entry->name, ZEND_INI_STAGE_RUNTIME);
    }
    ZEND_HASH_FOREACH_END();
    zend_hash_destroy(&added);
}

static void restore_ini(void)
{
    if (ini_is_as_remembered()) {
        return;
    }
    if (EG(modified_ini_directives)) {
        restore_added_ini();
    }
    for (uint32_t i = 0; i < base.ini_count; i++) {
        ini_value *kept = &base.ini[i];
        if (!kept->entry->modified || kept->entry->value != kept->value) {
            zend_string *value = kept->value ? kept->value : ZSTR_EMPTY_ALLOC();
            zend_alter_ini_entry_ex(kept->entry->name, value, ZEND_INI_SYSTEM, ZEND_INI_STAGE_RUNTIME, true);
        }
    }
}

/* A timer that fired too late to be noticed by the job. */
static void restore_timeout(void)
{
    if (zend_atomic_bool_load_ex(&EG(timed_out))) {
        zend_unset_timeout();
    }
}

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

/* ---- the whole ---- */

void mpqueue_hygiene_remember(void)
{
    if (base.known) {
        return;
    }
    remember_place();
    remember_locale();
    remember_timezone();
    remember_signals();
    remember_ini();
    remember_handlers();
    changed = 0;
    jobs = jobs_at_collection = 0;
    base.known = true;
}

void mpqueue_hygiene_forget(void)
{
    if (!base.known) {
        return;
    }
    base.known = false;
    if (base.directory_fd >= 0) {
        close(base.directory_fd);
    }
    free(base.locale);
    if (base.timezone) {
        zend_string_release(base.timezone);
    }
    forget_ini();
    zval_ptr_dtor(&base.errors.current);
    zval_ptr_dtor(&base.exceptions.current);
}

static void restore_watched(void)
{
    if (changed & CHANGED_DIRECTORY) {
        restore_directory();
    }
    if (changed & CHANGED_SIGNALS) {
        restore_signals();
    }
    if (changed & CHANGED_TIMEZONE) {
        restore_timezone();
    }
    changed = 0;
}

static void restore_all(void)
{
    restore_timeout();
    restore_ini();
    restore_handlers();
    restore_umask();
    restore_locale();
    if (jobs % RECHECK_EVERY == 0) {
        changed |= CHANGED_DIRECTORY;
    }
    if (changed) {
        restore_watched();
    }
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
    restore_all();
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
