/*
 * Jobs share a process: what one of them changes must not reach the next. Between jobs the worker goes back to the
 * state it had after its worker_start handles.
 *
 * Undone: output buffers (what they hold is printed), set_error_handler, set_exception_handler, ini_set (so also
 * error_reporting, set_time_limit, gc_disable, ignore_user_abort), chdir, umask, setlocale, date_default_timezone_set,
 * signal handlers, masks and alarms of pcntl, mt_srand, the process title, the last error, the stat cache, exit status,
 * a timer of set_time_limit. A worker whose job has closed a standard stream is replaced. Not undone, because
 * applications that boot in their first job need it in the next: globals ($_SERVER, $_ENV), static variables,
 * constants, classes, environment variables, autoloaders, stream wrappers, shutdown functions (they run when the worker
 * leaves), settings of extensions that have functions of their own for them. Not undone, because it can't be: user and
 * group ids, priority, resource limits.
 *
 * A job that changed nothing costs some comparisons (0.04 us) and no system call: what PHP does not keep itself
 * (directory, signals, time zone) is watched through the functions that change it. The directory is put back on every
 * 64th job in any case.
 */
#ifndef MPQUEUE_HYGIENE_H
#define MPQUEUE_HYGIENE_H

#include "../engine/mpq.h"
#include "php.h"

/* Once for each request, before user code of workers runs: begins to watch the functions named above. */
void mpqueue_hygiene_watch(void);
void mpqueue_hygiene_unwatch(void);

/* In a worker, before its first job: this is what every job finds. Does nothing when called again. */
void mpqueue_hygiene_remember(void);
/* The worker ends: gives back what remember took. Harmless without it. */
void mpqueue_hygiene_forget(void);

/* Part of a job's run and its time limit, since output callbacks are user code: true when buffers are left open. */
bool mpqueue_hygiene_has_output(void);
void mpqueue_hygiene_close_output(void);

/* After a job: whether the process has to be replaced. The job has closed standard input, output or error: whatever is
 * opened next, a connection or a file, would get its number and what PHP prints (so nothing is printed any more). Or it
 * has raised memory_limit and holds more than the limit that was. */
bool mpqueue_hygiene_is_beyond_repair(void);

/* Between jobs. Returns memory_get_usage(). */
uint64_t mpqueue_hygiene_restore(void);

/* Collects cycles if jobs were run since the last time. Destructors are user code: a fatal error in one ends the
 * process. */
void mpqueue_hygiene_collect(void);

#endif
