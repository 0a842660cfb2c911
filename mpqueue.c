/* The module: what PHP calls when it starts, serves a request, and ends. */
#include "php_mpqueue.h"

#include "ext/standard/info.h"
#include "zend_attributes.h"

ZEND_DECLARE_MODULE_GLOBALS(mpqueue)

#ifdef MPQ_HAVE_SUPERVISOR
#include "stubs/run_arginfo.h"
#define MPQUEUE_FUNCTIONS ext_functions
#else
#define MPQUEUE_FUNCTIONS NULL
#endif

/* Not PHP_GINIT_FUNCTION: its parameter has the name of the globals. */
static void init_globals(void *globals)
{
#if defined(ZTS) && defined(COMPILE_DL_MPQUEUE)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    memset(globals, 0, sizeof(zend_mpqueue_globals));
}

static void fini_globals(void *globals)
{
    mpqueue_handles_close(((zend_mpqueue_globals *)globals)->handles);
}

static PHP_MINIT_FUNCTION(mpqueue)
{
    mpqueue_exception_minit();
    mpqueue_driver_minit();
    mpqueue_config_minit();
    mpqueue_job_minit();
    mpqueue_queue_minit();
#ifdef MPQUEUE_DEV
    mpqueue_dev_minit(type);
#endif
#ifdef MPQ_HAVE_SUPERVISOR
    register_run_symbols(module_number);
    mpqueue_run_minit(INIT_FUNC_ARGS_PASSTHRU);
#endif
    return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(mpqueue)
{
#ifdef MPQ_HAVE_SUPERVISOR
    mpqueue_run_mshutdown(SHUTDOWN_FUNC_ARGS_PASSTHRU);
#endif
    return SUCCESS;
}

static PHP_RINIT_FUNCTION(mpqueue)
{
#if defined(ZTS) && defined(COMPILE_DL_MPQUEUE)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
#ifdef MPQ_HAVE_SUPERVISOR
    mpqueue_run_rinit(INIT_FUNC_ARGS_PASSTHRU);
#endif
    return SUCCESS;
}

static PHP_RSHUTDOWN_FUNCTION(mpqueue)
{
#ifdef MPQ_HAVE_SUPERVISOR
    mpqueue_run_rshutdown(SHUTDOWN_FUNC_ARGS_PASSTHRU);
#endif
    mpqueue_config *config = MPQUEUE_G(config);
    MPQUEUE_G(config) = NULL;
    if (config) {
        mpqueue_config_free(config);
    }
    return SUCCESS;
}

static PHP_MINFO_FUNCTION(mpqueue)
{
    php_info_print_table_start();
    php_info_print_table_row(2, "mpqueue", "enabled");
    php_info_print_table_row(2, "Version", PHP_MPQUEUE_VERSION);
#ifdef MPQ_HAVE_SUPERVISOR
    php_info_print_table_row(2, "Running services", "supported (CLI)");
#else
    php_info_print_table_row(2, "Running services", "not on this system; jobs can be pushed");
#endif
#ifdef MPQUEUE_HIREDIS_VERSION
    php_info_print_table_row(2, "Redis", "hiredis " MPQUEUE_HIREDIS_VERSION);
    php_info_print_table_row(2, "SQLite", MPQUEUE_SQLITE_VERSION);
#endif
#ifdef MPQUEUE_LIBEVENT_VERSION
    php_info_print_table_row(2, "libevent", MPQUEUE_LIBEVENT_VERSION);
#endif
    php_info_print_table_end();
}

static const zend_module_dep dependencies[] = {ZEND_MOD_REQUIRED("date") ZEND_MOD_REQUIRED("hash") ZEND_MOD_REQUIRED(
    "spl") ZEND_MOD_REQUIRED("standard") ZEND_MOD_OPTIONAL("pcntl") ZEND_MOD_END};

zend_module_entry mpqueue_module_entry = {STANDARD_MODULE_HEADER_EX,
                                          NULL,
                                          dependencies,
                                          "mpqueue",
                                          MPQUEUE_FUNCTIONS,
                                          PHP_MINIT(mpqueue),
                                          PHP_MSHUTDOWN(mpqueue),
                                          PHP_RINIT(mpqueue),
                                          PHP_RSHUTDOWN(mpqueue),
                                          PHP_MINFO(mpqueue),
                                          PHP_MPQUEUE_VERSION,
                                          PHP_MODULE_GLOBALS(mpqueue),
                                          init_globals,
                                          fini_globals,
                                          NULL,
                                          STANDARD_MODULE_PROPERTIES_EX};

#ifdef COMPILE_DL_MPQUEUE
#ifdef ZTS
ZEND_TSRMLS_CACHE_DEFINE()
#endif
ZEND_GET_MODULE(mpqueue)
#endif
