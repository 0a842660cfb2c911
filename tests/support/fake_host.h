/*
 * An embedder for tests: a job's payload is a command.
 *
 *   done             ends well                     sleep MS     sleeps; an interrupt ends it as TIMEOUT
 *   throw            EXCEPTION "thrown"            spin         runs until it is interrupted
 *   exit N           EXIT with code N              deaf         runs for ever, ignoring interrupts
 *   fatal            FATAL, and leaves             die N        _exit(N) in the middle
 *   raise N          kills itself by signal N      orphan       leaves a child behind that sleeps for a minute
 *   kill-manager     SIGKILL for its parent
 *
 * Every call is noted as a line in <directory>/journal: "<pid> run <payload>", "<pid> handler <payload>",
 * "<pid> preload", "<pid> start". Files in the directory change what happens, also while a service runs:
 *   preload-fails preload-dies preload-hangs start-fails start-dies start-hangs between-hangs
 */
#ifndef MPQ_FAKE_HOST_H
#define MPQ_FAKE_HOST_H

#include "host.h"

typedef struct fake_host {
    mpq_host host; /* give this to mpq_service_run */
    const char *directory;
    char message[64];
} fake_host;

void fake_host_init(fake_host *fake, const char *directory);
/* Lines of the journal that contain `text`. */
unsigned fake_host_count(const char *directory, const char *text);
/* Creates or removes one of the files above. */
void fake_host_set(const char *directory, const char *file, int present);

#endif
