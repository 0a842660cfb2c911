/* What the interpreter needs before and after a fork, so that a child is a process of its own: nothing of the parent's
 * is printed, run or destructed twice, and nothing random repeats. */
#ifndef MPQUEUE_FORK_H
#define MPQUEUE_FORK_H

#include "../engine/mpq.h"
#include "php.h"

/* Writes out what is buffered. */
void mpqueue_fork_before(void);

/* In the child. Objects that exist now are never destructed in it: their destructors are the parent's. */
void mpqueue_fork_after(enum mpq_role role);

/* max_execution_time off, also when user code has just set it: it would count the process's whole life. The time limit
 * of a job is the supervisor's. */
void mpqueue_fork_no_time_limit(void);

/* User code may fork, too (pcntl_fork). The child comes out of the job like the worker itself does, and must not go on
 * as one. */
void mpqueue_fork_watch(void);                  /* once for each process that will fork */
void mpqueue_fork_begin_code(void);             /* user code is going to run */
bool mpqueue_fork_is_copy(void);                /* it has forked, and this is the child */
ZEND_NORETURN void mpqueue_fork_end_copy(void); /* ends like the script of a forked child would */

#endif
