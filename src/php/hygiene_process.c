/* What belongs to the process and not to PHP: its directory, masks, locale, time zone, title, signals, random numbers.
 */
#include "../../php_mpqueue.h"
#include "hygiene.h"
#include "hygiene_internal.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ext/standard/basic_functions.h"

enum { CHANGED_DIRECTORY = 1, CHANGED_SIGNALS = 2, CHANGED_TIMEZONE = 4, CHANGED_RANDOM = 8, CHANGED_TITLE = 16 };

static struct {
    int directory_fd;
    mode_t umask;
    char *locale; /* owned */
    zend_string *timezone;
    zend_string *title;
    struct sigaction actions[NSIG];
#ifdef ZEND_SIGNALS
    zend_signal_entry_t php_actions[NSIG];
#endif
    sigset_t mask;
    bool async_signals;
} base;

static unsigned changed;

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
    {"pcntl_async_signals", CHANGED_SIGNALS, NULL},
    {"date_default_timezone_set", CHANGED_TIMEZONE, NULL},
    {"mt_srand", CHANGED_RANDOM, NULL},
    {"srand", CHANGED_RANDOM, NULL},
    {"cli_set_process_title", CHANGED_TITLE, NULL},
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

/* NULL when there is no such function or it has no answer. */
static zend_string *text_by_name(const char *name)
{
    zval text;

    call_by_name(name, NULL, &text);
    if (Z_TYPE(text) == IS_STRING) {
        return Z_STR(text);
    }
    zval_ptr_dtor(&text);
    return NULL;
}

static void remember_texts(void)
{
    base.timezone = text_by_name("date_default_timezone_get");
    base.title = text_by_name("cli_get_process_title");
}

static void forget_texts(void)
{
    if (base.timezone) {
        zend_string_release(base.timezone);
    }
    if (base.title) {
        zend_string_release(base.title);
    }
}

static void restore_text(const char *name, zend_string *text)
{
    zval argument, result;

    if (text) {
        ZVAL_STR(&argument, text);
        call_by_name(name, &argument, &result);
        zval_ptr_dtor(&result);
    }
}

/* A seed that a job has chosen would make the numbers of the next one known. */
static void restore_random(void)
{
    zval result;

    call_by_name("mt_srand", NULL, &result);
    zval_ptr_dtor(&result);
}

/* ---- signals ---- */

static void remember_signals(void)
{
    zval async;

    for (int number = 1; number < NSIG; number++) {
        sigaction(number, NULL, &base.actions[number]);
    }
#ifdef ZEND_SIGNALS
    memcpy(base.php_actions, SIGG(handlers), sizeof base.php_actions);
#endif
    sigprocmask(SIG_SETMASK, NULL, &base.mask);
    call_by_name("pcntl_async_signals", NULL, &async);
    base.async_signals = Z_TYPE(async) == IS_TRUE;
}

static void restore_signals(void)
{
    zval async, result;

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
    ZVAL_BOOL(&async, base.async_signals);
    call_by_name("pcntl_async_signals", &async, &result);
}

/* ---- all of it ---- */

void mpqueue_hygiene_remember_process(void)
{
    remember_place();
    remember_locale();
    remember_texts();
    remember_signals();
    changed = 0;
}

void mpqueue_hygiene_forget_process(void)
{
    if (base.directory_fd >= 0) {
        close(base.directory_fd);
    }
    free(base.locale);
    forget_texts();
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
        restore_text("date_default_timezone_set", base.timezone);
    }
    if (changed & CHANGED_RANDOM) {
        restore_random();
    }
    if (changed & CHANGED_TITLE) {
        restore_text("cli_set_process_title", base.title);
    }
    changed = 0;
}

void mpqueue_hygiene_restore_process(bool recheck)
{
    restore_umask();
    restore_locale();
    if (recheck) {
        changed |= CHANGED_DIRECTORY;
    }
    if (changed) {
        restore_watched();
    }
}
