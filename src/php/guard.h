/*
 * Calling user code and finding out how it really ended.
 *
 * "The call returned SUCCESS" says nothing: after an out-of-memory the interpreter may refuse every further call and
 * still report success. So a body reports whether it has seen user code return, and only that, with no exception, no
 * bailout and no out-of-memory state left behind, counts as done.
 */
#ifndef MPQUEUE_GUARD_H
#define MPQUEUE_GUARD_H

#include "../engine/mpq.h"
#include "php.h"

/* Runs user code. True = it was reached and returned in the ordinary way. Memory that must survive a fatal error does
 * not belong to a body's locals. */
typedef bool (*mpqueue_guard_fn)(void *arg);

/* To be called with an internal function's frame on the stack. Slices of out->cause are valid until the next call.
 * Nothing is left of an exception; a fatal error or out-of-memory sets out->leave. */
void mpqueue_guard_call(mpqueue_guard_fn body, void *arg, mpq_outcome *out);

/* The same, for what is not a job: leaves the slices of the last mpqueue_guard_call valid. */
void mpqueue_guard_call_aside(mpqueue_guard_fn body, void *arg, mpq_outcome *out);

/* For messages: "threw RuntimeException: text in file:line", "called exit(3)", "ended with a fatal error: ...". */
void mpqueue_guard_describe(const mpq_outcome *outcome, char *out, size_t size);

#endif
