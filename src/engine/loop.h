/* An event loop: descriptors, timers, signals. The only file that sees libevent. */
#ifndef MPQ_LOOP_H
#define MPQ_LOOP_H

#include "error.h"

typedef struct mpq_loop mpq_loop;
typedef struct mpq_watch mpq_watch;
typedef void (*mpq_loop_fn)(void *arg);

int mpq_loop_open(mpq_loop **out, mpq_error *err);
/* Frees every watch too. */
void mpq_loop_close(mpq_loop *loop);
/* In a forked child, with signals blocked and before it sets handlers of its own: releases what was inherited without
 * disturbing the parent's loop. Signals that were watched get the handlers back that they had before. */
void mpq_loop_forget(mpq_loop *loop);

/* Calls `fn` whenever the descriptor is readable. */
int mpq_loop_readable(mpq_loop *loop, int fd, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err);
/* A one-shot timer, not started. */
int mpq_loop_timer(mpq_loop *loop, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err);
/* (Re)starts a timer. */
void mpq_watch_start(mpq_watch *timer, uint64_t after_us);
void mpq_watch_stop(mpq_watch *timer);
int mpq_loop_signal(mpq_loop *loop, int number, mpq_loop_fn fn, void *arg, mpq_watch **out, mpq_error *err);
/* From within its own function, too. */
void mpq_watch_close(mpq_watch *watch);

/* Waits for and dispatches events until mpq_loop_break; -1 on an error of the back end. */
int mpq_loop_run(mpq_loop *loop);
/* One pass: waits at most until the first event. */
int mpq_loop_once(mpq_loop *loop, bool block);
void mpq_loop_break(mpq_loop *loop);

#endif
