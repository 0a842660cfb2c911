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

#endif
