/* A service of the real engine with a fake host and an SQLite store in a directory of its own, run by a child of the
 * test. The test's process adopts whatever the service leaves behind, so that nothing left behind goes unnoticed. */
#ifndef MPQ_FAKE_SERVICE_H
#define MPQ_FAKE_SERVICE_H

#include <sys/types.h>

#include "broker.h"
#include "control.h"
#include "fake_host.h"
#include "service.h"

typedef struct fake_service {
    mpq_config config; /* one queue "q", 2 workers; change it before the start */
    char directory[256];
    const mpq_host *host; /* instead of fake_host, NULL = fake_host */
    pid_t pid;            /* of the process that called mpq_service_run; 0 = none */
    mpq_error error;
} fake_service;

/* Ends the test's process when it can't. */
void fake_service_init(fake_service *service, const char *name);
void fake_service_fini(fake_service *service);

/* Starts it in the foreground of a child; does not wait for anything. */
void fake_service_launch(fake_service *service);
/* launch, and waits until it is up: 0, or -1. */
int fake_service_start(fake_service *service);
/* Waits at most timeout_ms for the child's end: its exit status, 128 + signal, -1 = still runs. */
int fake_service_join(fake_service *service, unsigned timeout_ms);
/* Stops it by the control socket and joins. */
int fake_service_stop(fake_service *service);

/* Pushes one job to "q"; timeout 0 = none. */
void fake_service_push(fake_service *service, const char *payload, unsigned timeout_ms, unsigned fail_number);
/* Waits (10 s at most) until the journal has `count` lines with the text: 1 when it has. */
int fake_service_await(fake_service *service, const char *text, unsigned count);
/* The last cause of the only failed record: its end and its message; -1 when there is none (yet, after 10 s). */
int fake_service_failed(fake_service *service, enum mpq_end *end, int *code, char *message, size_t size);
mpq_counts fake_service_counts(fake_service *service);
/* Waits until nothing is ready, delayed or running: 1 when so. */
int fake_service_drained(fake_service *service);

/* First row of that type and state (NULL = any): 1 and *row, or 0. */
int fake_service_row(fake_service *service, const char *type, const char *state, mpq_status_row *row);
/* pid of that row, or 0. */
pid_t fake_service_pid(fake_service *service, const char *type, const char *state);
/* Waits (10 s at most) for one with another pid than `old`. */
pid_t fake_service_await_other(fake_service *service, const char *type, const char *state, pid_t old);
/* Processes below the test's, after waiting up to timeout_ms for none; reaps what it can. */
size_t fake_service_left(unsigned timeout_ms);
/* 1 when the service's log or standard error contains the text. */
int fake_service_logged(const fake_service *service, const char *text);
/* 1 when the file that ends in it ("pid", "sock", "board") is there. */
int fake_service_has_file(const fake_service *service, const char *suffix);
void fake_service_pause(unsigned ms);

/* The test fails when anything is left: a process, a file that only a running service has, a report of a sanitizer. */
void fake_service_check_clean(const fake_service *service);
/* Stops it, which has to succeed and to leave nothing. */
void fake_service_check_stops(fake_service *service);

#endif
