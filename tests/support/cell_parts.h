/* What the parts of a cell share with each other, and with nobody else. */
#ifndef MPQ_TEST_CELL_PARTS_H
#define MPQ_TEST_CELL_PARTS_H

#include "broker.h"
#include "cell.h"
#include "fake_service.h"
#include "ledger.h"
#include "producer.h"
#include "proxy.h"

enum {
    CELL_LEASE_MS = 1500,
    CELL_FROZEN_MS = CELL_LEASE_MS + 700,
    CELL_JOBS = 32,
    CELL_WORKERS = 3,
    CELL_SEEDED = 4 /* held by a dead owner from the beginning */
};

/* Of the one cell that this process runs. */
extern struct cell_life {
    const cell *cell;
    cell_result *result;
    ledger *ledger;
    mpq_crash_plan *plan;
    fake_service service, rival;
    ledger_host hosts[LEDGER_NODES];
    proxy proxy;
    mpq_broker_config direct; /* the store, past the proxy */
    mpq_producer *own;
    pid_t producer;
    bool produced;
    bool wanted; /* the service is to run */
    bool rival_launched;
    bool thawed;
    bool killed_by_us;
    unsigned failed_starts;
    uint64_t give_up_at_ms;
} cell_life;

extern const char *const cell_queue_names[LEDGER_QUEUES];

/* Adds to the problems of the result. */
void cell_blame(const char *fmt, ...);

/* -- cell_setup.c ---------------------------------------------------------------------------------------------- */

void cell_set_up(void);

/* -- cell_producer.c ------------------------------------------------------------------------------------------- */

/* Ends the process when it can't. */
mpq_producer *cell_open_producer(const mpq_broker_config *store);
/* Pushes so many jobs from `first` on at once, again until it succeeds, as an application would: returns `count`. */
uint32_t cell_push(mpq_producer *producer, uint32_t first, uint32_t count);
void cell_launch_producer(void);
void cell_producer_ended(int status);

/* -- cell_fault.c ---------------------------------------------------------------------------------------------- */

void cell_arm(void);
/* From now on this process may be struck, in that role. */
void cell_follow_plan(enum cell_role role);
/* Who was struck; 0 = nobody yet. */
pid_t cell_victim(void);
/* Somebody is frozen. */
bool cell_fault_is_pending(void);
void cell_look_after_frozen(void);
/* Runs beyond the first that the scenario and the fault explain. */
uint32_t cell_allowed_runs(void);

/* -- cell_watch.c ---------------------------------------------------------------------------------------------- */

void cell_launch(void);
void cell_launch_rival(void);
/* Looks after all processes once. */
void cell_tick(void);
/* Ticks until `done` says so; false and a problem when it takes too long. */
bool cell_await(bool (*done)(void), const char *what);

mpq_counts cell_count(uint32_t queue);
bool cell_is_drained(void);
bool cell_is_halfway(void);
bool cell_has_ended(void);
bool cell_rival_has_ended(void);
bool cell_is_up(void);
bool cell_is_thawed(void);
bool cell_has_no_zombies(void);

/* -- cell_check.c ---------------------------------------------------------------------------------------------- */

/* Everything that was promised, when all is over. */
void cell_check(void);

#endif
