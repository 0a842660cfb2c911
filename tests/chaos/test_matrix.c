/*
 * Every crash point of the engine, in every role that passes it, times every fault, on both stores: see cell.h for what
 * happens in one cell and what is checked afterwards. Points are found by themselves. Which of them a scenario passes,
 * and how often, is learned from a calm run of each; a point that none passes fails the summary.
 *
 *   MATRIX=all        every cell (else one fault for each point, in turn)
 *   MATRIX_POINT=text only points with this in their names
 *   MATRIX_JOBS=n     cells at a time (3)
 *   MATRIX_KEEP=dir   where the logs of cells with a problem are copied to
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell.h"
#include "processes.h"
#include "redis_server.h"
#include "test.h"

enum { CELLS_MAX = 4096, NTH_MAX = 20 };
enum store { REDIS, SQLITE, STORES };

static const char *const store_names[STORES] = {"redis", "sqlite"};

static struct {
    cell cells[CELLS_MAX];
    pid_t pids[CELLS_MAX];
    size_t count;
    size_t retried_from;  /* cells from here on are second attempts */
    cell_result *results; /* shared */
    redis_server server;
} self;

/* -- what is kept from test to test ---------------------------------------------------------------------------- */

/* How often a calm run of each scenario passed each point. */
typedef struct survey {
    uint32_t hits[CELL_SCENARIOS][MPQ_CRASH_ROLES_MAX][MPQ_CRASH_POINTS_MAX];
} survey;

/* One line of the summary. */
typedef struct tally {
    char name[32];
    unsigned cells, passed, jobs, extra, restarts, unstruck;
} tally;

static void path_of(const char *file, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", test_tmpdir(), file);
}

static void save(const char *file, const char *mode, const void *data, size_t size)
{
    char path[256];
    path_of(file, path, sizeof path);
    FILE *out = fopen(path, mode);
    if (!out || fwrite(data, size, 1, out) != 1)
        abort();
    fclose(out);
}

static bool load_survey(enum store store, survey *out)
{
    char path[256];
    path_of(store_names[store], path, sizeof path);
    FILE *in = fopen(path, "r");
    bool loaded = in && fread(out, sizeof *out, 1, in) == 1;
    if (in)
        fclose(in);
    return loaded;
}

/* -- running cells --------------------------------------------------------------------------------------------- */

static size_t at_a_time(void)
{
    const char *text = getenv("MATRIX_JOBS");
    long number = text ? atol(text) : 3;
    return number > 0 ? (size_t)number : 1;
}

static cell *add_cell(enum store store, enum cell_scenario scenario, enum cell_fault fault)
{
    if (self.count == CELLS_MAX)
        abort();
    cell *at = &self.cells[self.count];
    *at = (cell){.redis_path = store == REDIS ? self.server.socket_path : NULL, .scenario = scenario, .fault = fault};
    snprintf(at->name, sizeof at->name, "%c%d-%zu", store_names[store][0], (int)fault, self.count);
    self.count++;
    return at;
}

static bool was_missed(size_t i)
{
    return self.cells[i].fault != CELL_CALM && !self.results[i].struck;
}

static void print_cell(size_t i)
{
    const cell *at = &self.cells[i];
    const cell_result *result = &self.results[i];
    bool calm = at->fault == CELL_CALM;
    printf("  %s %-6s %-11s %-10s %s",
           result->problems ? "NOT OK"
           : was_missed(i)  ? "missed"
                            : "ok    ",
           at->redis_path ? "redis" : "sqlite", cell_fault_names[at->fault], calm ? "" : cell_role_names[at->role],
           calm ? "" : mpq_crash_point_name(at->site));
    printf("%s#%u, %s: %u jobs, %u extra of %u, %u starts%s, %.1f s%s%s\n", calm ? "" : " ", at->nth,
           cell_scenario_names[at->scenario], result->jobs, result->extra, result->allowed, result->starts,
           at->fault >= CELL_LOST_ANSWER && result->losses == 0 ? ", nothing lost" : "", result->ms / 1000.0,
           result->problems ? ": " : "", result->problem);
    fflush(stdout);
}

static void begin_cell(size_t i)
{
    fflush(NULL);
    self.pids[i] = fork();
    if (self.pids[i] != 0)
        return;
    cell_run(&self.cells[i], &self.results[i]);
    fflush(NULL);
    _exit(0);
}

static void keep_logs(const cell *at)
{
    const char *to = getenv("MATRIX_KEEP");
    char command[600];
    snprintf(command, sizeof command, "cp -r %s/%s* '%s'", test_tmpdir(), at->name, to ? to : "");
    if (to && system(command) != 0)
        printf("  can't copy logs to %s\n", to);
}

static void end_cell(pid_t pid, int status)
{
    size_t i = 0;
    while (i < self.count && self.pids[i] != pid)
        i++;
    if (i == self.count)
        return;
    cell_result *result = &self.results[i];
    if (status != 0 || !result->over) {
        result->problems++;
        snprintf(result->problem, sizeof result->problem, "the cell ended with status 0x%x", (unsigned)status);
    }
    print_cell(i);
    if (result->problems)
        keep_logs(&self.cells[i]);
}

static void run_cells(size_t first)
{
    size_t running = 0, next = first;
    while (next < self.count || running > 0) {
        if (next < self.count && running < at_a_time()) {
            begin_cell(next++);
            running++;
            continue;
        }
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0)
            break;
        if (pid == self.server.pid)
            continue;
        end_cell(pid, status);
        running--;
    }
}

/* Events come in another order each time: what was not passed often enough is tried again with the first passing. */
static void run_missed_again(void)
{
    size_t last = self.count;
    for (size_t i = 0; i < last; i++) {
        if (!was_missed(i) || self.results[i].problems)
            continue;
        cell *again = add_cell(self.cells[i].redis_path ? REDIS : SQLITE, self.cells[i].scenario, self.cells[i].fault);
        again->site = self.cells[i].site;
        again->role = self.cells[i].role;
        again->nth = 1;
    }
    self.retried_from = last;
    run_cells(last);
}

static bool prepare(enum store store)
{
    alarm(0); /* every cell has a limit of its own */
    self.results = process_shared_memory(CELLS_MAX * sizeof *self.results);
    if (store == SQLITE)
        return true;
    if (!redis_server_available()) {
        test_skip("no redis-server");
        return false;
    }
    redis_server_start(&self.server, NULL);
    return !test_failed();
}

static void conclude(enum store store, const char *name)
{
    tally sum = {0};
    snprintf(sum.name, sizeof sum.name, "%s %s", store_names[store], name);
    for (size_t i = 0; i < self.count; i++) {
        const cell_result *result = &self.results[i];
        if (result->problems)
            test_fail(__FILE__, __LINE__, "%s %s %s: %s", sum.name, cell_role_names[self.cells[i].role],
                      mpq_crash_point_name(self.cells[i].site), result->problem);
        if (was_missed(i) && i >= self.retried_from && !result->problems)
            test_fail(__FILE__, __LINE__, "%s %s %s: never passed", sum.name, cell_role_names[self.cells[i].role],
                      mpq_crash_point_name(self.cells[i].site));
        sum.cells++;
        sum.passed += !result->problems;
        sum.jobs += result->jobs;
        sum.extra += result->extra;
        sum.restarts += result->starts - 1;
        sum.unstruck += was_missed(i);
    }
    save("tallies", "a", &sum, sizeof sum);
    if (store == REDIS)
        redis_server_stop(&self.server);
}

/* -- the tests ------------------------------------------------------------------------------------------------- */

static bool is_possible(enum store store, enum cell_scenario scenario)
{
    return store == REDIS || scenario != CELL_CUT;
}

static void run_calm(enum store store)
{
    static survey seen;
    for (int scenario = 0; scenario < CELL_SCENARIOS; scenario++)
        if (is_possible(store, (enum cell_scenario)scenario))
            add_cell(store, (enum cell_scenario)scenario, CELL_CALM);
    run_cells(0);
    for (size_t i = 0; i < self.count; i++)
        memcpy(seen.hits[self.cells[i].scenario], self.results[i].hits, sizeof seen.hits[0]);
    save(store_names[store], "w", &seen, sizeof seen);
}

static bool is_wanted(size_t site)
{
    const char *text = getenv("MATRIX_POINT");
    return !text || strstr(mpq_crash_point_name(site), text);
}

static bool wants_all(void)
{
    const char *matrix = getenv("MATRIX");
    return (matrix && strcmp(matrix, "all") == 0) || getenv("MATRIX_POINT");
}

/* Without MATRIX=all every pair of point and role meets one of the faults: each of them a different one. */
static bool has_its_turn(enum store store, enum cell_fault fault, size_t pair)
{
    if (wants_all())
        return true;
    size_t faults = store == REDIS ? 5 : 2;
    return pair % faults == (size_t)fault - CELL_KILL;
}

/* The first passing is often in the start; a later one finds the service at work. */
static uint32_t choose_later(size_t site, enum cell_fault fault, uint32_t hits)
{
    uint32_t most = hits * 2 / 3 < NTH_MAX ? hits * 2 / 3 : NTH_MAX;
    return most < 2 ? 1 : 2 + (uint32_t)(site * 7 + (size_t)fault * 3) % (most - 1);
}

static void add_strike(enum store store, enum cell_fault fault, size_t site, int role, const survey *seen)
{
    int scenario = 0;
    while (seen->hits[scenario][role][site] == 0)
        scenario++;
    uint32_t later = choose_later(site, fault, seen->hits[scenario][role][site]);
    /* What takes seconds is not done twice. */
    bool both = later > 1 && wants_all() && fault != CELL_FREEZE;
    for (int i = 0; i <= both; i++) {
        cell *at = add_cell(store, (enum cell_scenario)scenario, fault);
        at->site = (uint32_t)site;
        at->role = (enum cell_role)role;
        at->nth = i == 0 ? later : 1;
    }
}

static bool is_passed_by(const survey *seen, size_t site, int role)
{
    for (int scenario = 0; scenario < CELL_SCENARIOS; scenario++)
        if (seen->hits[scenario][role][site])
            return true;
    return false;
}

static void add_cells(enum store store, enum cell_fault fault, const survey *seen)
{
    size_t pair = 0;
    for (size_t site = 0; site < mpq_crash_point_count(); site++)
        for (int role = 0; role < CELL_ROLES; role++)
            if (is_passed_by(seen, site, role) && has_its_turn(store, fault, pair++) && is_wanted(site))
                add_strike(store, fault, site, role, seen);
}

static void run_fault(enum store store, enum cell_fault fault)
{
    static survey seen;
    if (!prepare(store))
        return;
    if (!load_survey(store, &seen)) {
        run_calm(store);
        self.count = 0;
        memset(self.results, 0, CELL_SCENARIOS * sizeof *self.results);
        if (!load_survey(store, &seen))
            abort();
    }
    add_cells(store, fault, &seen);
    run_cells(0);
    run_missed_again();
    conclude(store, cell_fault_names[fault]);
}

static void run_calm_test(enum store store)
{
    if (!prepare(store))
        return;
    run_calm(store);
    self.retried_from = self.count;
    conclude(store, cell_fault_names[CELL_CALM]);
}

TEST(matrix_redis_calm)
{
    run_calm_test(REDIS);
}

TEST(matrix_redis_kill)
{
    run_fault(REDIS, CELL_KILL);
}

TEST(matrix_redis_freeze)
{
    run_fault(REDIS, CELL_FREEZE);
}

TEST(matrix_redis_reset)
{
    run_fault(REDIS, CELL_RESET);
}

TEST(matrix_redis_lost_answer)
{
    run_fault(REDIS, CELL_LOST_ANSWER);
}

TEST(matrix_redis_lost_request)
{
    run_fault(REDIS, CELL_LOST_REQUEST);
}

TEST(matrix_sqlite_calm)
{
    run_calm_test(SQLITE);
}

TEST(matrix_sqlite_kill)
{
    run_fault(SQLITE, CELL_KILL);
}

TEST(matrix_sqlite_freeze)
{
    run_fault(SQLITE, CELL_FREEZE);
}

/* -- the summary ----------------------------------------------------------------------------------------------- */

/* Passed only by pushes of more jobs than a cell has: its faults are in
 * tests/unit/test_redis_push_{many,faults,random}.c.
 */
static const char passed_elsewhere[] = "store.push.watched";

static void check_points(void)
{
    static survey seen[STORES];
    bool both = load_survey(SQLITE, &seen[SQLITE]) && load_survey(REDIS, &seen[REDIS]);
    for (size_t site = 0; site < mpq_crash_point_count(); site++) {
        const char *name = mpq_crash_point_name(site);
        for (size_t other = 0; other < site; other++)
            if (strcmp(mpq_crash_point_name(other), name) == 0)
                test_fail(__FILE__, __LINE__, "there are two crash points with the name %s", name);
        bool passed = strcmp(name, passed_elsewhere) == 0;
        for (int role = 0; role < CELL_ROLES; role++)
            passed = passed || is_passed_by(&seen[REDIS], site, role) || is_passed_by(&seen[SQLITE], site, role);
        if (both && !passed)
            test_fail(__FILE__, __LINE__, "no scenario passes the crash point %s", name);
    }
}

TEST(matrix_summary)
{
    char path[256];
    tally sum;
    path_of("tallies", path, sizeof path);
    FILE *in = fopen(path, "r");
    if (in)
        printf("  %-20s %6s %6s %6s %6s %6s %8s\n", "fault", "cells", "passed", "missed", "jobs", "extra", "restarts");
    while (in && fread(&sum, sizeof sum, 1, in) == 1)
        printf("  %-20s %6u %6u %6u %6u %6u %8u\n", sum.name, sum.cells, sum.passed, sum.unstruck, sum.jobs, sum.extra,
               sum.restarts);
    if (in)
        fclose(in);
    printf("  %zu crash points\n", mpq_crash_point_count());
    CHECK(mpq_crash_point_count() > 0);
    check_points();
}
