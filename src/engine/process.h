/* What every process of a running service has in hand. Filled in by the manager before it forks; private to the
 * engine's roles. */
#ifndef MPQ_PROCESS_H
#define MPQ_PROCESS_H

#include <signal.h>
#include <sys/types.h>

#include "board.h"
#include "config.h"
#include "host.h"
#include "log.h"

typedef struct mpq_process {
    const mpq_config *config; /* borrowed from the embedder, as is host */
    const mpq_host *host;
    mpq_board board;
    mpq_log *log; /* NULL is harmless; each role sets its own tag */
    enum mpq_role role;
    pid_t manager_pid;
    uint32_t worker_index; /* role WORKER: its entry on the board */
    int template_fd;       /* role TEMPLATE: where the manager's requests come from */
    int exit_status;
    bool is_daemon;
    sigset_t mask;                       /* signal mask the service was started with; children run with it */
    struct sigaction dispositions[NSIG]; /* and the dispositions */
} mpq_process;

#endif
