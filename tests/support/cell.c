#include "cell.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <sqlite3.h>

#include "clock.h"
#include "fake_service.h"
#include "ledger.h"
#include "pidfile.h"
#include "processes.h"
#include "procfs.h"
#include "producer.h"
#include "proxy.h"
#include "test.h"

enum {
    LEASE_MS = 1500,
    FROZEN_MS = LEASE_MS + 700,
    PATIENCE_MS = 30000,
    ALTOGETHER_MS = 90000,
    JOBS = 32,
    WORKERS = 3,
    SEEDED = 4, /* held by a dead owner from the beginning */
    HALFWAY = 9 /* jobs that have ended when the scenario's event takes place */
};

const char *const cell_scenario_names[CELL_SCENARIOS] = {"stopped", "reloaded", "cut", "killed", "lease"};
const char *const cell_fault_names[CELL_FAULTS] = {"calm", "kill", "freeze", "reset", "lost-answer", "lost-request"};
const char *const cell_role_names[CELL_ROLES] = {"manager", "dispatcher", "template", "worker", "producer"};

static const char *const queue_names[LEDGER_QUEUES] = {"q", "g"};

static struct {
    const struct cell *cell;
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
} self;

static void blame(const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t used = strlen(self.result->problem);
    if (self.result->problems++ < 4)
        snprintf(self.result->problem + used, sizeof self.result->problem - used, "%s%s", used ? "; " : "", text);
}

static uint64_t now_ms(void)
{
    return mpq_clock_monotonic_ms();
}

static pid_t victim(void)
{
    return atomic_load(&self.plan->victim);
}

/* -- setting up ------------------------------------------------------------------------------------------------ */

static void configure_queues(mpq_config *config)
{
    static const enum mpq_mode modes[LEDGER_QUEUES] = {MPQ_MODE_DISTRIBUTE, MPQ_MODE_GRAB};
    free(config->queues->name);
    free(config->queues);
    config->queues = calloc(LEDGER_QUEUES, sizeof *config->queues);
    config->queue_count = LEDGER_QUEUES;
    for (size_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_queue_config_init(&config->queues[i]);
        config->queues[i].name = strdup(queue_names[i]);
        config->queues[i].workers = i == 0 ? WORKERS - 1 : 1;
        config->queues[i].sleep_ms = 100;
        config->queues[i].mode = modes[i];
    }
}

static void configure_store(mpq_broker_config *store, const char *socket_path)
{
    char path[512];
    mpq_broker_config_fini(store);
    mpq_broker_config_init(store);
    if (socket_path) {
        store->driver = MPQ_DRIVER_REDIS;
        free(store->host);
        store->host = NULL;
        store->socket_path = strdup(socket_path);
        free(store->prefix);
        store->prefix = strdup(self.cell->name);
    } else {
        store->driver = MPQ_DRIVER_SQLITE;
        snprintf(path, sizeof path, "%s/%s.db", test_tmpdir(), self.cell->name);
        store->path = strdup(path);
    }
    store->connect_timeout_ms = 1000;
    store->read_timeout_ms = 4000;
}

static void set_up_service(fake_service *service, const char *suffix, uint32_t node, const char *socket_path)
{
    char name[32];
    snprintf(name, sizeof name, "%s%s", self.cell->name, suffix);
    fake_service_init(service, name);
    configure_queues(&service->config);
    configure_store(&service->config.broker, socket_path);
    service->config.lease_ms = LEASE_MS;
    service->config.stop_timeout_ms = 10000;
    service->host = &self.hosts[node].host;
}

/* In every child of the service that follows the plan. */
static void be(enum mpq_role role)
{
    static const enum cell_role roles[] = {[MPQ_ROLE_MANAGER] = CELL_MANAGER,
                                           [MPQ_ROLE_DISPATCHER] = CELL_DISPATCHER,
                                           [MPQ_ROLE_TEMPLATE] = CELL_TEMPLATE,
                                           [MPQ_ROLE_WORKER] = CELL_WORKER};
    mpq_crash_be((uint32_t)roles[role]);
}

static bool talks_to_store(void)
{
    const char *name = mpq_crash_point_name(self.cell->site);
    return self.cell->role == CELL_DISPATCHER || self.cell->role == CELL_PRODUCER || strncmp(name, "grab.", 5) == 0 ||
           strncmp(name, "store.", 6) == 0;
}

/* What a crash point does that neither kills nor freezes. */
static void disturb(void *arg)
{
    (void)arg;
    if (self.cell->fault == CELL_RESET)
        proxy_cut(&self.proxy, 0);
    else if (self.cell->fault == CELL_LOST_ANSWER)
        proxy_lose_answer(&self.proxy, talks_to_store() ? getpid() : 0);
    else
        proxy_lose_request(&self.proxy, talks_to_store() ? getpid() : 0);
}

static void arm(void)
{
    static const enum mpq_crash_action actions[CELL_FAULTS] = {[CELL_KILL] = MPQ_CRASH_KILL,
                                                               [CELL_FREEZE] = MPQ_CRASH_STOP,
                                                               [CELL_RESET] = MPQ_CRASH_CALL,
                                                               [CELL_LOST_ANSWER] = MPQ_CRASH_CALL,
                                                               [CELL_LOST_REQUEST] = MPQ_CRASH_CALL};
    if (self.cell->fault != CELL_CALM)
        mpq_crash_arm(self.plan, self.cell->site, (uint32_t)self.cell->role, actions[self.cell->fault], self.cell->nth);
}

static void write_books(void)
{
    static const struct {
        enum ledger_kind kind;
        uint32_t delay_ms, bytes;
    } mix[] = {{LEDGER_DONE, 0, 0},       {LEDGER_SLOW, 0, 0},   {LEDGER_FAIL_ONCE, 0, 200}, {LEDGER_DONE, 0, 0},
               {LEDGER_FAIL, 0, 0},       {LEDGER_DONE, 120, 0}, {LEDGER_DONE, 0, 6000},     {LEDGER_SLOW, 0, 0},
               {LEDGER_FAIL_ONCE, 60, 0}, {LEDGER_DONE, 0, 0}};
    for (uint32_t i = 0; i < JOBS; i++) {
        size_t at = i % (sizeof mix / sizeof *mix);
        bool deadly = i == 12 || i == 14;
        ledger_add(self.ledger, deadly ? LEDGER_DIE_ONCE : mix[at].kind, i % 3 == 2, i < SEEDED ? 0 : mix[at].delay_ms,
                   mix[at].bytes);
    }
    /* The dead owner has two of each queue. */
    for (uint32_t i = 0; i < SEEDED; i++)
        self.ledger->jobs[i].queue = i % 2;
}

static mpq_producer *open_producer(const mpq_broker_config *store)
{
    mpq_producer *producer = NULL;
    mpq_error err;
    if (mpq_producer_open(store, 0, &producer, &err) < 0) {
        blame("no producer: %s", err.text);
        _exit(1);
    }
    return producer;
}

static void give_to_dead_owner(uint32_t queue)
{
    mpq_error err;
    mpq_broker *broker = NULL;
    mpq_batch batch;
    mpq_exchange exchange = {.want = SEEDED / LEDGER_QUEUES};
    mpq_batch_init(&batch);
    if (mpq_broker_open(&self.direct, &broker, &err) < 0 ||
        broker->ops->attach(broker, queue_names[queue], "dead@nowhere:1.0", 1, MPQ_ATTACH_FRESH, NULL, &err) != 0 ||
        mpq_broker_exchange(broker, &exchange, 2000, &batch, &err) < 0 || batch.count != SEEDED / LEDGER_QUEUES)
        blame("the dead owner could not be made: %s", err.text);
    mpq_broker_close(broker);
    mpq_batch_fini(&batch);
}

/* -- producing ------------------------------------------------------------------------------------------------- */

/* Every third push is one of three jobs at once. They are pushed again until it succeeds, as an application would. */
static uint32_t push_some(mpq_producer *producer, uint32_t first, uint32_t count)
{
    static char payloads[3][8192];
    mpq_new_job jobs[3];
    mpq_id ids[3];
    mpq_error err;
    size_t accepted;
    for (uint32_t i = 0; i < count; i++) {
        ledger_job *job = &self.ledger->jobs[first + i];
        jobs[i] = (mpq_new_job){.payload = ledger_payload(self.ledger, first + i, payloads[i], sizeof payloads[i]),
                                .delay_ms = job->delay_ms,
                                .fail_number = ledger_fail_number(job),
                                .fail_expire_ms = 40};
        atomic_store(&job->pushed_at_ms, mpq_clock_wall_ms());
        atomic_store(&job->pushing, 1);
    }
    const char *queue = queue_names[self.ledger->jobs[first].queue];
    while (mpq_producer_push(producer, queue, jobs, count, ids, &accepted, &err) < 0)
        fake_service_pause(20);
    for (uint32_t i = 0; i < count; i++) {
        self.ledger->jobs[first + i].id = ids[i];
        atomic_store(&self.ledger->jobs[first + i].pushed, 1);
    }
    return count;
}

static uint32_t how_many(uint32_t first)
{
    uint32_t count = 1, most = first % 4 == 0 ? 3 : 1;
    while (count < most && first + count < JOBS &&
           self.ledger->jobs[first + count].queue == self.ledger->jobs[first].queue)
        count++;
    return count;
}

/* What a producer that was killed had begun to push may or may not be there: nobody pushes it again. */
static void produce(void)
{
    mpq_producer *producer = open_producer(&self.service.config.broker);
    for (uint32_t i = SEEDED; i < JOBS;) {
        if (atomic_load(&self.ledger->jobs[i].pushing)) {
            i++;
            continue;
        }
        i += push_some(producer, i, how_many(i));
        fake_service_pause(4);
    }
    mpq_producer_close(producer);
}

static void launch_producer(void)
{
    fflush(NULL);
    self.producer = fork();
    if (self.producer != 0)
        return;
    mpq_crash_use(self.plan, disturb, NULL);
    mpq_crash_be(CELL_PRODUCER);
    produce();
    _exit(0);
}

/* -- watching -------------------------------------------------------------------------------------------------- */

static void launch(void)
{
    mpq_crash_use(self.plan, disturb, NULL);
    mpq_crash_be(CELL_MANAGER);
    fake_service_launch(&self.service);
    mpq_crash_use(NULL, NULL, NULL);
    self.result->starts++;
}

static void service_ended(int status)
{
    pid_t pid = self.service.pid;
    self.service.pid = 0;
    if (WIFSIGNALED(status)) {
        if (WTERMSIG(status) != SIGKILL || (pid != victim() && !self.killed_by_us))
            blame("the manager was killed by signal %d", WTERMSIG(status));
        self.killed_by_us = false;
    } else if (WEXITSTATUS(status) == 1 && victim() && self.failed_starts < 2) {
        self.failed_starts++; /* the fault came before the service had started: it says so and ends */
    } else if (WEXITSTATUS(status) != 0) {
        blame("the service ended with status %d", WEXITSTATUS(status));
    } else if (self.wanted) {
        blame("the service has stopped by itself");
    }
}

static void producer_ended(int status)
{
    bool struck = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && self.producer == victim();
    self.producer = 0;
    if (struck)
        launch_producer();
    else if (status != 0)
        blame("the producer ended with status 0x%x", (unsigned)status);
    else
        self.produced = true;
}

static void rival_ended(int status)
{
    bool locked_out = !self.cell->redis_path && WIFEXITED(status) && WEXITSTATUS(status) == 1 && self.wanted;
    self.rival.pid = 0;
    if (status != 0 && !locked_out)
        blame("the other node ended with status 0x%x", (unsigned)status);
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == self.service.pid)
            service_ended(status);
        else if (pid == self.producer)
            producer_ended(status);
        else if (pid == self.rival.pid)
            rival_ended(status);
        else if (pid == self.proxy.pid)
            blame("the proxy died");
    }
}

static void launch_rival(void)
{
    if (self.rival_launched)
        return;
    self.rival_launched = true;
    fake_service_launch(&self.rival);
}

/* The other node works from the moment on when there is something to take over. */
static void look_after_frozen(void)
{
    if (self.cell->fault != CELL_FREEZE || !victim() || self.thawed)
        return;
    launch_rival();
    if (now_ms() - atomic_load(&self.plan->at_ms) < FROZEN_MS)
        return;
    kill(victim(), SIGCONT);
    self.thawed = true;
}

static void tick(void)
{
    reap();
    look_after_frozen();
    if (self.wanted && self.service.pid == 0 && self.failed_starts < 3)
        launch();
    fake_service_pause(5);
}

static bool fault_is_pending(void)
{
    return self.cell->fault == CELL_FREEZE && victim() && !self.thawed;
}

static uint64_t patience_ends(void)
{
    uint64_t until = now_ms() + PATIENCE_MS;
    return until < self.give_up_at_ms ? until : self.give_up_at_ms;
}

/* Ticks until `done` says so; false and a problem when it takes too long. */
static bool await(bool (*done)(void), const char *what)
{
    uint64_t until = patience_ends();
    while (!done()) {
        if (now_ms() > until) {
            blame("waited in vain: %s", what);
            return false;
        }
        tick();
    }
    return true;
}

/* -- questions ------------------------------------------------------------------------------------------------- */

static mpq_counts count(uint32_t queue)
{
    mpq_counts counts = {0};
    mpq_error err;
    mpq_broker *broker = mpq_producer_broker(self.own);
    /* An SQLite file may be locked by somebody who was frozen. */
    if (broker->ops->counts(broker, queue_names[queue], &counts, &err) < 0)
        counts.running = 1;
    return counts;
}

static bool is_drained(void)
{
    if (!self.produced || fault_is_pending())
        return false;
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_counts counts = count(i);
        if (counts.ready + counts.delayed + counts.running > 0)
            return false;
    }
    return true;
}

static bool is_halfway(void)
{
    return atomic_load(&self.ledger->ended) >= HALFWAY || is_drained();
}

static bool has_ended(void)
{
    return self.service.pid == 0;
}

static bool rival_has_ended(void)
{
    return self.rival.pid == 0;
}

static bool is_up(void)
{
    mpq_status_row row;
    return self.service.pid > 0 && !fault_is_pending() && fake_service_row(&self.service, "manager", "idle", &row);
}

static bool is_thawed(void)
{
    return !fault_is_pending();
}

/* -- the scenario's event -------------------------------------------------------------------------------------- */

/* A stop that the fault turned into a death is a stop to be done again. */
static void stop_service(void)
{
    for (int tries = 0; tries < 4; tries++) {
        if (!await(is_up, "for the service to be up before it is stopped"))
            return;
        pid_t pid = self.service.pid;
        self.wanted = false;
        kill(pid, SIGTERM);
        if (!await(has_ended, "for the service to stop"))
            return;
        if (pid != victim() || self.cell->fault != CELL_KILL)
            return;
        self.wanted = true;
    }
}

static pid_t dispatcher_pid(void)
{
    mpq_status_row row;
    return fake_service_row(&self.service, "dispatcher", NULL, &row) ? row.pid : 0;
}

static void freeze_dispatcher(void)
{
    await(is_up, "for the service to be up before its dispatcher is frozen");
    pid_t pid = dispatcher_pid();
    if (pid <= 0 || kill(pid, SIGSTOP) < 0)
        return;
    uint64_t began = now_ms();
    launch_rival();
    while (now_ms() - began < FROZEN_MS)
        tick();
    kill(pid, SIGCONT);
}

static void take_place(void)
{
    switch (self.cell->scenario) {
    case CELL_STOPPED:
        stop_service();
        self.wanted = true;
        break;
    case CELL_RELOADED:
        await(is_up, "for the service to be up before its reload");
        kill(self.service.pid, SIGUSR2);
        break;
    case CELL_CUT:
        proxy_cut(&self.proxy, 0);
        break;
    case CELL_KILLED:
        await(is_thawed, "for the fault to be over");
        self.killed_by_us = self.service.pid > 0;
        if (self.service.pid > 0)
            kill(self.service.pid, SIGKILL);
        break;
    default:
        freeze_dispatcher();
    }
}

/* -- checking -------------------------------------------------------------------------------------------------- */

static bool names_strike(const char *prefix)
{
    return strncmp(mpq_crash_point_name(self.cell->site), prefix, strlen(prefix)) == 0;
}

/* Jobs that have killed their worker once too often. */
static uint32_t count_kills(void)
{
    uint32_t kills = 0;
    for (uint32_t i = 0; i < JOBS; i++)
        kills += atomic_load(&self.ledger->jobs[i].killed) > 1;
    return kills;
}

/* Runs beyond the first that are explained. A job that BLMOVE has delivered begins to run before its claim is answered:
 * one of each consumer is run again if the claim never arrives. What a dispatcher had taken over from a dead worker and
 * not settled yet, or taken over without hearing of it, is handed back as it was. A start that fails breaks off what
 * its workers run. A service that is killed whole forgets what is finished and not settled. Owners that lose their
 * lease lose all they have. */
static uint32_t allowed_runs(void)
{
    const cell *plan = self.cell;
    bool sqlite = !plan->redis_path;
    uint32_t allowed = self.failed_starts * WORKERS;
    if (plan->scenario == CELL_CUT || plan->fault == CELL_RESET)
        allowed += LEDGER_QUEUES;
    if (plan->scenario == CELL_KILLED || plan->scenario == CELL_LEASE)
        allowed += JOBS;
    if (plan->fault == CELL_KILL && plan->role == CELL_MANAGER && !names_strike("manager.child."))
        allowed += JOBS;
    if (plan->fault == CELL_LOST_ANSWER || (plan->fault == CELL_KILL && plan->role == CELL_DISPATCHER))
        allowed += count_kills() > 0;
    if (plan->fault == CELL_KILL && plan->role == CELL_WORKER)
        allowed += 1;
    if (plan->fault == CELL_FREEZE && (plan->role == CELL_DISPATCHER || (sqlite && names_strike("store."))))
        allowed += JOBS;
    if (plan->fault == CELL_LOST_REQUEST)
        allowed += 1;
    return allowed;
}

static void check_job(uint32_t index)
{
    ledger_job *job = &self.ledger->jobs[index];
    bool fails = job->kind == LEDGER_FAIL, there = job->completed > 0 || job->records > 0;
    if (job->pushed && !there)
        blame("job %u is LOST: %u runs, %u thrown", index, job->started, job->thrown);
    if (!job->pushing && job->started)
        blame("job %u ran without having been pushed", index);
    if (job->records > 1 || (job->records == 1 && !fails))
        blame("job %u has %u failed records", index, job->records);
    if (fails && job->records == 1 && job->handled == 0)
        blame("job %u failed without its handler", index);
    if (!fails && job->handled > 0)
        blame("the failure handler of job %u ran", index);
    if (job->backwards)
        blame("job %u: its failures went backwards", index);
    if (job->too_early)
        blame("job %u ran before its time", index);
    if (job->other_id || (job->pushed && job->started && !mpq_id_equal(&job->id, &job->ran_as)))
        blame("job %u ran under another id", index);
}

/* Conservation: all that was pushed is done or failed, once. */
static void check_books(void)
{
    mpq_error err;
    uint64_t there[LEDGER_QUEUES] = {0}, failed[LEDGER_QUEUES] = {0};
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        int strangers = ledger_read_failed(self.ledger, mpq_producer_broker(self.own), queue_names[i], &err);
        if (strangers != 0)
            blame("%d failed records of queue %s belong to no job", strangers, queue_names[i]);
    }
    for (uint32_t i = 0; i < JOBS; i++) {
        ledger_job *job = &self.ledger->jobs[i];
        check_job(i);
        there[job->queue] += job->completed > 0 || job->records > 0;
        failed[job->queue] += job->records > 0;
        self.result->extra += ledger_extra_runs(job);
    }
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_counts counts = count(i);
        if (counts.pushed != there[i] || counts.done != there[i] - failed[i] || counts.failed != failed[i] ||
            counts.ready + counts.delayed + counts.running != 0)
            blame("queue %s: %llu pushed, %llu done, %llu failed, %llu left; the jobs say %llu, %llu, %llu",
                  queue_names[i], (unsigned long long)counts.pushed, (unsigned long long)counts.done,
                  (unsigned long long)counts.failed,
                  (unsigned long long)(counts.ready + counts.delayed + counts.running), (unsigned long long)there[i],
                  (unsigned long long)(there[i] - failed[i]), (unsigned long long)failed[i]);
    }
    self.result->jobs = JOBS;
    self.result->allowed = allowed_runs();
    if (self.result->extra > self.result->allowed)
        blame("%u extra runs, only %u are explained", self.result->extra, self.result->allowed);
}

static bool is_expected_key(const char *key)
{
    static const char *const kept[] = {"stats", "failed", "retired", "seq:"};
    const char *at = strstr(key, "}:");
    for (size_t i = 0; at && i < sizeof kept / sizeof *kept; i++)
        if (strncmp(at + 2, kept[i], strlen(kept[i])) == 0)
            return true;
    return false;
}

static void check_keys(void)
{
    redisContext *redis = redisConnectUnix(self.cell->redis_path);
    redisReply *keys = redis ? redisCommand(redis, "KEYS %s:*", self.cell->name) : NULL;
    if (!keys || keys->type != REDIS_REPLY_ARRAY)
        blame("the keys can't be listed");
    for (size_t i = 0; keys && i < keys->elements; i++)
        if (!is_expected_key(keys->element[i]->str))
            blame("the key %s is left behind", keys->element[i]->str);
    freeReplyObject(keys);
    redisFree(redis);
}

static void check_table(sqlite3 *db, const char *query, const char *what)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, query, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        blame("%s: %s", what, sqlite3_errmsg(db));
    else if (sqlite3_column_int(statement, 0) != 0)
        blame("%d %s", sqlite3_column_int(statement, 0), what);
    sqlite3_finalize(statement);
}

static void check_tables(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(self.direct.path, &db) != SQLITE_OK)
        blame("the database can't be opened");
    check_table(db, "SELECT count(*) FROM owner", "owners are left behind");
    check_table(db, "SELECT count(*) FROM running", "jobs are still held");
    check_table(db, "SELECT count(*) FROM job WHERE id NOT IN (SELECT job FROM failed)", "envelopes belong to nothing");
    check_table(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'", "damages in the file");
    sqlite3_close(db);
}

static bool is_zombie(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    int fields = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return fields == 1 && state == 'Z';
}

static bool has_no_zombies(void)
{
    pid_t pids[64];
    size_t found = self.service.pid > 0 ? mpq_procfs_children(self.service.pid, pids, 64) : 0;
    for (size_t i = 0; i < found && i < 64; i++)
        if (is_zombie(pids[i]))
            return false;
    return true;
}

/* What a sanitizer has said, if any. */
static void check_output(const fake_service *service)
{
    char path[512], line[200];
    snprintf(path, sizeof path, "%s/stderr", service->directory);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, "Sanitizer") || strstr(line, "runtime error"))
            blame("%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        fclose(file);
}

static void check_files(const fake_service *service)
{
    static const char *const suffixes[] = {"pid", "sock", "board", "board.new"};
    char path[512];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (mpq_pidfile_path(&service->config, suffixes[i], path, sizeof path, NULL) == 0 && access(path, F_OK) == 0)
            blame("the file %s is left behind", path);
    check_output(service);
}

/* -- the whole ------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
    char path[96];
    self.ledger = process_shared_memory(sizeof *self.ledger);
    self.plan = process_shared_memory(sizeof *self.plan);
    for (uint32_t node = 0; node < LEDGER_NODES; node++) {
        ledger_host_init(&self.hosts[node], self.ledger, node);
        self.hosts[node].after_fork = be;
    }
    snprintf(path, sizeof path, "%.60s/%s.proxy", test_tmpdir(), self.cell->name);
    if (self.cell->redis_path && !proxy_start(&self.proxy, path, self.cell->redis_path))
        blame("the proxy does not start");
    set_up_service(&self.service, "a", 0, self.cell->redis_path ? path : NULL);
    set_up_service(&self.rival, "b", 1, self.cell->redis_path);
    configure_store(&self.direct, self.cell->redis_path);
    write_books();
    self.own = open_producer(&self.direct);
    for (uint32_t i = 0; i < SEEDED; i++)
        push_some(self.own, i, 1);
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++)
        give_to_dead_owner(i);
}

static void work(void)
{
    arm();
    self.wanted = true;
    launch();
    launch_producer();
    if (!await(is_halfway, "for half of the jobs"))
        return;
    take_place();
    if (!await(is_drained, "for all jobs"))
        return;
    await(has_no_zombies, "for the manager to reap its children");
    stop_service();
    /* The fault may have come with the stop, and jobs with it. */
    self.wanted = !is_drained();
    if (self.wanted && await(is_drained, "for the jobs that were left by the stop"))
        stop_service();
    self.wanted = false;
    if (self.rival.pid > 0)
        kill(self.rival.pid, SIGTERM);
    await(rival_has_ended, "for the other node to stop");
}

static void clear_away(void)
{
    pid_t pids[64];
    if (self.cell->redis_path) {
        int lost = proxy_losses(&self.proxy);
        self.result->losses = lost > 0 ? (uint32_t)lost : 0;
        proxy_stop(&self.proxy);
    }
    size_t left = fake_service_left(1000);
    if (left == 0)
        return;
    blame("%zu processes are left behind", left);
    left = mpq_procfs_children(getpid(), pids, 64);
    for (size_t i = 0; i < left && i < 64; i++)
        kill(pids[i], SIGKILL);
    fake_service_left(2000);
}

static void note_hits(void)
{
    for (size_t role = 0; role < MPQ_CRASH_ROLES_MAX; role++)
        for (size_t site = 0; site < MPQ_CRASH_POINTS_MAX; site++)
            self.result->hits[role][site] = atomic_load(&self.plan->hits[role][site]);
    self.result->struck = victim() != 0;
}

void cell_run(const cell *plan, cell_result *result)
{
    uint64_t began = now_ms();
    self.give_up_at_ms = began + ALTOGETHER_MS;
    self.cell = plan;
    self.result = result;
    set_up();
    work();
    clear_away();
    note_hits();
    check_books();
    if (plan->redis_path)
        check_keys();
    else
        check_tables();
    check_files(&self.service);
    if (self.rival_launched)
        check_files(&self.rival);
    mpq_producer_close(self.own);
    mpq_broker_config_fini(&self.direct);
    fake_service_fini(&self.service);
    fake_service_fini(&self.rival);
    result->ms = (uint32_t)(now_ms() - began);
    result->over = 1;
}
