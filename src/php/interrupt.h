/*
 * Time limits of running PHP code. A signal handler asks, the interpreter's interrupt hook throws: at the next loop
 * iteration, call or return of the running script. Code that does not return to the interpreter (a query, a hash of
 * many rounds) is interrupted when it does; the supervisor's SIGKILL is the guarantee behind it.
 */
#ifndef MPQUEUE_INTERRUPT_H
#define MPQUEUE_INTERRUPT_H

#include "../engine/mpq.h"
#include "php.h"

void mpqueue_interrupt_minit(void);
void mpqueue_interrupt_mshutdown(void);

/* From now until disarm a raise has an effect. `subject` begins the exception's message: "job", "failure handler". */
void mpqueue_interrupt_arm(const char *subject, uint32_t limit_ms);

/* Whether the exception was thrown since arm. A raise that came too late to be thrown is forgotten. */
bool mpqueue_interrupt_disarm(void);

/* Async-signal-safe. Makes the code that runs now throw TimeoutException. Without effect when not armed. */
void mpqueue_interrupt_raise(void);

/* Appends "job exceeded its time limit of 2.5 s". */
void mpqueue_interrupt_describe(const char *subject, uint32_t limit_ms, char *out, size_t size);

#endif
