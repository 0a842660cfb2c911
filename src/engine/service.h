/*
 * Running a service: the manager and everything below it.
 *
 * mpq_service_run is called once, in the process that becomes the manager (or its daemon's starter). It returns in
 * *every* process it has led to: look at `role` and end the process with the returned status. In children the stack
 * has been unwound to the call, so the embedder can leave by its own way.
 */
#ifndef MPQ_SERVICE_H
#define MPQ_SERVICE_H

#include "config.h"
#include "host.h"

typedef struct mpq_service_options {
    bool daemon; /* go to the background once the service has started; the caller's process returns the outcome of the
                    start */
    const char *output_path; /* daemon: standard output and error go here (appended); NULL = <log dir>/output.log */
} mpq_service_options;

/* Exit status: 0 stopped as asked; 1 could not start (err says why, only in the process that was asked to start). */
int mpq_service_run(const mpq_config *config, const mpq_host *host, const mpq_service_options *options,
                    enum mpq_role *role, mpq_error *err);

#endif
