/* Going to the background: the caller's process waits for the outcome of the start and tells it to its user. */
#ifndef MPQ_DAEMON_H
#define MPQ_DAEMON_H

#include "service.h"

/* 0 in the daemon, with *report_fd to be given to mpq_daemon_report; 1 in the caller's process after the service has
 * started; -1 in the caller's process when it has not, err says why. */
int mpq_daemon_start(const mpq_config *config, const mpq_host *host, int *report_fd, mpq_error *err);
/* In the daemon: standard input from /dev/null, output and errors to options->output_path. */
int mpq_daemon_redirect(const mpq_config *config, const mpq_service_options *options, mpq_error *err);
/* Tells the waiting process, once: NULL = started, else why not. */
void mpq_daemon_report(int *report_fd, const char *why);

#endif
