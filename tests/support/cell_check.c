/* What was promised: jobs are conserved, and nothing is left behind in the store or in files. */
#include "cell_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <sqlite3.h>

#include "pidfile.h"

/* -- jobs ------------------------------------------------------------------------------------------------------ */

static void check_job(uint32_t index)
{
    ledger_job *job = &cell_life.ledger->jobs[index];
    bool fails = job->kind == LEDGER_FAIL, there = job->completed > 0 || job->records > 0;
    if (job->pushed && !there)
        cell_blame("job %u is LOST: %u runs, %u thrown", index, job->started, job->thrown);
    if (!job->pushing && job->started)
        cell_blame("job %u ran without having been pushed", index);
    if (job->records > 1 || (job->records == 1 && !fails))
        cell_blame("job %u has %u failed records", index, job->records);
    if (fails && job->records == 1 && job->handled == 0)
        cell_blame("job %u failed without its handler", index);
    if (!fails && job->handled > 0)
        cell_blame("the failure handler of job %u ran", index);
    if (job->backwards)
        cell_blame("job %u: its failures went backwards", index);
    if (job->too_early)
        cell_blame("job %u ran before its time", index);
    if (job->other_id || (job->pushed && job->started && !mpq_id_equal(&job->id, &job->ran_as)))
        cell_blame("job %u ran under another id", index);
}

/* Conservation: all that was pushed is done or failed, once. */
static void check_books(void)
{
    mpq_error err;
    uint64_t there[LEDGER_QUEUES] = {0}, failed[LEDGER_QUEUES] = {0};
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        int strangers =
            ledger_read_failed(cell_life.ledger, mpq_producer_broker(cell_life.own), cell_queue_names[i], &err);
        if (strangers != 0)
            cell_blame("%d failed records of queue %s belong to no job", strangers, cell_queue_names[i]);
    }
    for (uint32_t i = 0; i < CELL_JOBS; i++) {
        ledger_job *job = &cell_life.ledger->jobs[i];
        check_job(i);
        there[job->queue] += job->completed > 0 || job->records > 0;
        failed[job->queue] += job->records > 0;
        cell_life.result->extra += ledger_extra_runs(job);
    }
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_counts counts = cell_count(i);
        if (counts.pushed != there[i] || counts.done != there[i] - failed[i] || counts.failed != failed[i] ||
            counts.ready + counts.delayed + counts.running != 0)
            cell_blame("queue %s: %llu pushed, %llu done, %llu failed, %llu left; the jobs say %llu, %llu, %llu",
                       cell_queue_names[i], (unsigned long long)counts.pushed, (unsigned long long)counts.done,
                       (unsigned long long)counts.failed,
                       (unsigned long long)(counts.ready + counts.delayed + counts.running),
                       (unsigned long long)there[i], (unsigned long long)(there[i] - failed[i]),
                       (unsigned long long)failed[i]);
    }
    cell_life.result->jobs = CELL_JOBS;
    cell_life.result->allowed = cell_allowed_runs();
    if (cell_life.result->extra > cell_life.result->allowed)
        cell_blame("%u extra runs, only %u are explained", cell_life.result->extra, cell_life.result->allowed);
}

/* -- the store ------------------------------------------------------------------------------------------------- */

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
    redisContext *redis = redisConnectUnix(cell_life.cell->redis_path);
    redisReply *keys = redis ? redisCommand(redis, "KEYS %s:*", cell_life.cell->name) : NULL;
    if (!keys || keys->type != REDIS_REPLY_ARRAY)
        cell_blame("the keys can't be listed");
    for (size_t i = 0; keys && i < keys->elements; i++)
        if (!is_expected_key(keys->element[i]->str))
            cell_blame("the key %s is left behind", keys->element[i]->str);
    freeReplyObject(keys);
    redisFree(redis);
}

static void check_table(sqlite3 *db, const char *query, const char *what)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, query, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        cell_blame("%s: %s", what, sqlite3_errmsg(db));
    else if (sqlite3_column_int(statement, 0) != 0)
        cell_blame("%d %s", sqlite3_column_int(statement, 0), what);
    sqlite3_finalize(statement);
}

static void check_tables(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(cell_life.direct.path, &db) != SQLITE_OK)
        cell_blame("the database can't be opened");
    check_table(db, "SELECT count(*) FROM owner", "owners are left behind");
    check_table(db, "SELECT count(*) FROM running", "jobs are still held");
    check_table(db, "SELECT count(*) FROM job WHERE id NOT IN (SELECT job FROM failed)", "envelopes belong to nothing");
    check_table(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'", "damages in the file");
    sqlite3_close(db);
}

/* -- files ----------------------------------------------------------------------------------------------------- */

/* What a sanitizer has said, if any. */
static void check_output(const fake_service *service)
{
    char path[512], line[200];
    snprintf(path, sizeof path, "%s/stderr", service->directory);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, "Sanitizer") || strstr(line, "runtime error"))
            cell_blame("%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        fclose(file);
}

static void check_files(const fake_service *service)
{
    static const char *const suffixes[] = {"pid", "sock", "board", "board.new"};
    char path[512];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (mpq_pidfile_path(&service->config, suffixes[i], path, sizeof path, NULL) == 0 && access(path, F_OK) == 0)
            cell_blame("the file %s is left behind", path);
    check_output(service);
}

void cell_check(void)
{
    check_books();
    if (cell_life.cell->redis_path)
        check_keys();
    else
        check_tables();
    check_files(&cell_life.service);
    if (cell_life.rival_launched)
        check_files(&cell_life.rival);
}
