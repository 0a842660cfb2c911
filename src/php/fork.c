#include "fork.h"
#include "../../php_mpqueue.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "ext/random/php_random.h"
#include "ext/standard/basic_functions.h"
#include "ext/standard/php_filestat.h"
#include "main/php_main.h"
#include "main/php_output.h"
#include "zend_exceptions.h"

/* An output callback is user code and may end the request; whoever forks must not. */
void mpqueue_fork_before(void)
{
    zend_execute_data *frame = EG(current_execute_data);

    if (php_output_get_level() > 0) {
        zend_try
        {
            php_output_flush_all();
        }
        zend_catch
        {
            EG(current_execute_data) = frame;
        }
        zend_end_try();
        zend_clear_exception();
    }
    fflush(NULL);
}

static void refresh_interpreter(void)
{
#if PHP_VERSION_ID >= 80500
    php_child_init();
#else
    zend_max_execution_timer_init();
#endif
}

/* A disabled handler is not called while its buffer is dropped: its callback belongs to the parent. */
static void drop_output(void)
{
    php_output_handler **handlers = zend_stack_base(&OG(handlers));

    for (int i = 0; i < zend_stack_count(&OG(handlers)); i++) {
        handlers[i]->flags |= PHP_OUTPUT_HANDLER_DISABLED;
    }
    php_output_discard_all();
}

/* Objects first: freeing the functions may let go of the last reference to one. */
static void disown_objects_and_functions(void)
{
    zend_objects_store_mark_destructed(&EG(objects_store));
    php_free_shutdown_functions();
}

static void reseed(void)
{
    RANDOM_G(combined_lcg_seeded) = false;
    RANDOM_G(mt19937_seeded) = false;
#if PHP_VERSION_ID >= 80400
    RANDOM_G(fallback_seed_state).initialized = false;
#endif
}

/* Children share the terminal with the manager, but only one process can read from it. */
static void close_stdin(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd > 0) {
        dup2(fd, STDIN_FILENO);
        close(fd);
    }
}

void mpqueue_fork_no_time_limit(void)
{
    zend_string *name = zend_string_init(ZEND_STRL("max_execution_time"), 0);

    zend_alter_ini_entry_chars(name, ZEND_STRL("0"), ZEND_INI_SYSTEM, ZEND_INI_STAGE_RUNTIME);
    zend_string_release(name);
    zend_unset_timeout();
}

void mpqueue_fork_after(enum mpq_role role)
{
    refresh_interpreter();
    drop_output();
    disown_objects_and_functions();
    reseed();
    /* It holds paths resolved through /proc/self, which is somebody else now. */
    php_clear_stat_cache(true, NULL, 0);
    EG(exit_status) = 0;
    if (role != MPQ_ROLE_MANAGER) {
        close_stdin();
    }
}

/* ---- forks of user code ---- */

static bool is_copy;

static void note_fork(void)
{
    is_copy = true;
}

void mpqueue_fork_watch(void)
{
    static bool watching;

    if (!watching) {
        watching = pthread_atfork(NULL, NULL, note_fork) == 0;
    }
}

void mpqueue_fork_begin_code(void)
{
    is_copy = false;
}

bool mpqueue_fork_is_copy(void)
{
    return is_copy;
}

static int status_of_copy(void)
{
    if (!EG(exception) || zend_is_unwind_exit(EG(exception))) {
        return EG(exit_status);
    }
    zend_exception_error(EG(exception), E_WARNING);
    return 255;
}

static void flush_copy(void)
{
    zend_try
    {
        php_output_end_all();
    }
    zend_end_try();
    fflush(NULL);
}

/* What is registered to run at the end is the worker's; what is buffered was either printed by the copy itself or would
 * be printed by it under any other parent, too. */
void mpqueue_fork_end_copy(void)
{
    int status = status_of_copy();

    flush_copy();
    _exit(status);
}
