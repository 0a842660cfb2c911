/*
 * One experiment: a service with two queues ("q" distributes, "g" grabs) does a few dozen jobs of all kinds while one
 * fault strikes at a crash point; then everything that was promised is checked.
 *
 * What happens in every cell: a dead owner has left jobs; a producer of its own pushes more, some of them large, late,
 * failing once, failing for good, killing their worker; in the middle the scenario's own event takes place; in the end
 * everything drains and the service is stopped. A service that was killed, or whose start has failed because of the
 * fault, is started again.
 */
#ifndef MPQ_TEST_CELL_H
#define MPQ_TEST_CELL_H

#include "config.h"
#include "crashpoint.h"

enum cell_scenario {
    CELL_STOPPED, /* stopped in the middle of its work, and started again */
    CELL_RELOADED,
    CELL_CUT,    /* all connections are cut; Redis only */
    CELL_KILLED, /* the whole service is killed and started again */
    CELL_LEASE,  /* the dispatcher is frozen beyond its lease, while another node works */
    CELL_SCENARIOS
};

enum cell_fault { CELL_CALM, CELL_KILL, CELL_FREEZE, CELL_RESET, CELL_LOST_ANSWER, CELL_LOST_REQUEST, CELL_FAULTS };

enum cell_role { CELL_MANAGER, CELL_DISPATCHER, CELL_TEMPLATE, CELL_WORKER, CELL_PRODUCER, CELL_ROLES };

typedef struct cell {
    char name[24];          /* of its directory, and of its keys */
    const char *redis_path; /* NULL = SQLite */
    enum cell_scenario scenario;
    enum cell_fault fault;
    uint32_t site; /* of the crash point, any but CELL_CALM */
    enum cell_role role;
    uint32_t nth;
} cell;

typedef struct cell_result {
    uint32_t over;
    uint32_t struck;
    uint32_t jobs;
    uint32_t extra;   /* runs that a world without faults would not have had */
    uint32_t allowed; /* that many are explained by the scenario and the fault */
    uint32_t starts;
    uint32_t losses; /* requests or answers that were lost */
    uint32_t ms;
    uint32_t problems;
    char problem[600]; /* the first ones */
    uint32_t hits[MPQ_CRASH_ROLES_MAX][MPQ_CRASH_POINTS_MAX];
} cell_result;

extern const char *const cell_scenario_names[CELL_SCENARIOS];
extern const char *const cell_fault_names[CELL_FAULTS];
extern const char *const cell_role_names[CELL_ROLES];

/* In a process of its own, which has to end afterwards. `result` may be in shared memory: it tells what is wrong even
 * when the process does not live to tell. */
void cell_run(const cell *plan, cell_result *result);

#endif
