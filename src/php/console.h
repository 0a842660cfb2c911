/*
 * The console: what `php mp-queue <command> [options]` does. Commands and options are tables; the commands are in
 * console_worker.c and console_queue.c.
 */
#ifndef MPQUEUE_CONSOLE_H
#define MPQUEUE_CONSOLE_H

#include "../engine/mpq.h"
#include "php.h"

#include "config_array.h"

enum mpqueue_exit { MPQUEUE_EXIT_OK = 0, MPQUEUE_EXIT_FAILED = 1, MPQUEUE_EXIT_USAGE = 2 };

typedef struct mpqueue_console {
    mpqueue_config *config;   /* borrowed */
    const mpq_config *engine; /* the same, as the engine sees it */
    const char *script;       /* for usage lines */
    /* options */
    bool daemon;
    const char *queue; /* NULL = all; one of the configuration */
    uint32_t limit;
    /* outcome */
    bool is_child; /* a process of the service came back from worker:start: it has to end with the status */
} mpqueue_console;

typedef struct mpqueue_command {
    const char *name;
    const char *about;
    const char *const *options; /* names of the options it takes, NULL-terminated */
    int (*run)(mpqueue_console *console);
} mpqueue_command;

extern const mpqueue_command mpqueue_worker_commands[]; /* both end with an entry without a name */
extern const mpqueue_command mpqueue_queue_commands[];

/* `argv` as PHP has it: the script's name first. Fills the options and returns the exit status. */
int mpqueue_console_main(mpqueue_console *console, const char *const *argv, size_t argc);

/* One line on standard error; returns MPQUEUE_EXIT_FAILED. */
int mpqueue_console_fail(const char *fmt, ...) MPQ_PRINTF(1, 2);

#endif
