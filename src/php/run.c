/* mpqueue_run(): the start script's one call. */
#include "../../php_mpqueue.h"
#include "console.h"
#include "interrupt.h"

#include "SAPI.h"
#include "zend_exceptions.h"

/* Inherited by every process of the service: a job can't start another one in its own process. */
static bool is_running;

void mpqueue_run_minit(INIT_FUNC_ARGS)
{
    mpqueue_interrupt_minit();
}

void mpqueue_run_mshutdown(SHUTDOWN_FUNC_ARGS)
{
    mpqueue_interrupt_mshutdown();
}

void mpqueue_run_rinit(INIT_FUNC_ARGS)
{
    is_running = false;
}

void mpqueue_run_rshutdown(SHUTDOWN_FUNC_ARGS)
{
}

/* 0, or -1 with an exception. */
static int refuse(void)
{
    if (strcmp(sapi_module.name, "cli") != 0) {
        zend_throw_exception_ex(mpqueue_ce_ServiceException, 0,
                                "mpqueue_run() works on the command line only, this is %s", sapi_module.name);
        return -1;
    }
    if (is_running) {
        zend_throw_exception(mpqueue_ce_ServiceException,
                             "mpqueue_run() can't be called inside of itself: this is a process of a running service",
                             0);
        return -1;
    }
#ifdef ZTS
    if (!tsrm_is_main_thread()) {
        zend_throw_exception(mpqueue_ce_ServiceException, "mpqueue_run() works in the main thread only", 0);
        return -1;
    }
#endif
    return 0;
}

/* ---- the command line ---- */

typedef struct command_line {
    zend_string **strings; /* owned */
    const char **argv;     /* the same, as C strings */
    size_t count;
} command_line;

static HashTable *server_argv(void)
{
    zval *server, *argv;

    zend_is_auto_global(ZSTR_KNOWN(ZEND_STR_AUTOGLOBAL_SERVER));
    server = zend_hash_find(&EG(symbol_table), ZSTR_KNOWN(ZEND_STR_AUTOGLOBAL_SERVER));
    if (!server) {
        return NULL;
    }
    ZVAL_DEREF(server);
    if (Z_TYPE_P(server) != IS_ARRAY) {
        return NULL;
    }
    argv = zend_hash_find_deref(Z_ARRVAL_P(server), ZSTR_KNOWN(ZEND_STR_ARGV));
    return argv && Z_TYPE_P(argv) == IS_ARRAY ? Z_ARRVAL_P(argv) : NULL;
}

/* 0, or -1 with an exception. */
static int read_command_line(HashTable *array, command_line *line)
{
    uint32_t count = array ? zend_hash_num_elements(array) : 0;
    zval *value;

    line->count = 0;
    line->strings = safe_emalloc(count + 1, sizeof *line->strings, 0);
    line->argv = safe_emalloc(count + 1, sizeof *line->argv, 0);
    if (!array) {
        return 0;
    }
    ZEND_HASH_FOREACH_VAL(array, value)
    {
        ZVAL_DEREF(value);
        if (Z_TYPE_P(value) != IS_STRING) {
            zend_argument_type_error(2, "must be a list of strings, %s found", zend_zval_type_name(value));
            return -1;
        }
        line->strings[line->count] = zend_string_copy(Z_STR_P(value));
        line->argv[line->count] = Z_STRVAL_P(value);
        line->count++;
    }
    ZEND_HASH_FOREACH_END();
    return 0;
}

static void free_command_line(command_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        zend_string_release(line->strings[i]);
    }
    efree(line->strings);
    efree(line->argv);
}

/* ---- the call ---- */

/* Jobs push to the queues that their service was started with, unless the script says otherwise. */
static int run_console(mpqueue_console *console, const command_line *line)
{
    bool is_implied = MPQUEUE_G(config) == NULL;
    int status;

    if (is_implied) {
        MPQUEUE_G(config) = mpqueue_config_addref(console->config);
    }
    is_running = true;
    status = mpqueue_console_main(console, line->argv, line->count);
    if (console->is_child) {
        return status;
    }
    is_running = false;
    if (is_implied && MPQUEUE_G(config) == console->config) {
        MPQUEUE_G(config) = NULL;
        mpqueue_config_release(console->config);
    }
    return status;
}

/* Unwinds the whole script without running any more of it: what comes after the call is the manager's. The request
 * and the module then end in the ordinary way. */
static void leave_child(int status)
{
    EG(exit_status) = status;
    if (!EG(exception)) {
        zend_throw_unwind_exit();
    }
}

PHP_FUNCTION(mpqueue_run)
{
    HashTable *array, *argv = NULL;
    mpqueue_console console = {0};
    command_line line;
    int status = MPQUEUE_EXIT_FAILED;

    ZEND_PARSE_PARAMETERS_START(1, 2)
    Z_PARAM_ARRAY_HT(array)
    Z_PARAM_OPTIONAL
    Z_PARAM_ARRAY_HT_OR_NULL(argv)
    ZEND_PARSE_PARAMETERS_END();

    if (refuse() != 0) {
        RETURN_THROWS();
    }
    console.config = mpqueue_config_from_array(array, MPQUEUE_TO_RUN);
    if (!console.config) {
        RETURN_THROWS();
    }
    console.engine = mpqueue_config_engine(console.config);
    if (read_command_line(argv ? argv : server_argv(), &line) == 0) {
        status = run_console(&console, &line);
    }
    free_command_line(&line);
    mpqueue_config_release(console.config);
    if (console.is_child) {
        leave_child(status);
    }
    if (EG(exception)) {
        RETURN_THROWS();
    }
    RETURN_LONG(status);
}
