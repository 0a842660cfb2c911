/*
 * Asking a running service, from another process, through its control socket (<pid_path>/mpQueue-<name>.sock, mode
 * 0600) and the lock on its pid file (<pid_path>/mpQueue-<name>.pid).
 */
#ifndef MPQ_CONTROL_H
#define MPQ_CONTROL_H

#include <sys/types.h>

#include "buf.h"
#include "config.h"

/* The pid that holds the lock, 0 when nobody does, -1 on error. */
pid_t mpq_control_running(const mpq_config *config, mpq_error *err);

/* 0 stopped, 1 was not running, -1. Waits until the process is gone, at most timeout_ms (0 = the service's own
 * stop_timeout plus 10 s). */
int mpq_control_stop(const mpq_config *config, uint32_t timeout_ms, mpq_error *err);

/* Waits until the new generation has taken over or was dropped. 0 done, 1 not running, -1 dropped (err says why) or no
 * answer. */
int mpq_control_reload(const mpq_config *config, mpq_error *err);

typedef struct mpq_status_row {
    char queue[129]; /* empty for manager, dispatcher, template */
    char type[16];   /* "manager", "dispatcher", "template", "worker" */
    int32_t pid;
    char state[16]; /* "starting", "idle", "busy", "stopping" */
    uint32_t generation;
    uint64_t started_at_ms; /* wall clock */
    uint64_t jobs;
    uint64_t memory_bytes;
    char job[33]; /* id of the running job */
    uint64_t job_for_ms;
} mpq_status_row;

/* 0 with *rows malloc'ed (free it), 1 not running, -1. */
int mpq_control_status(const mpq_config *config, mpq_status_row **rows, size_t *count, mpq_error *err);

#endif
