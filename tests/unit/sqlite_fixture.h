/* A database of its own for each test of the SQLite driver, and a look into it. */
#ifndef MPQ_SQLITE_FIXTURE_H
#define MPQ_SQLITE_FIXTURE_H

#include "../contract/contract.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char path[160]; /* of this test's database */

static bool fixture_start(mpq_broker_config *config)
{
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%ld", test_tmpdir(), (long)getpid());
    if (mkdir(directory, 0700) < 0)
        return false;
    snprintf(path, sizeof path, "%s/q.db", directory);
    config->driver = MPQ_DRIVER_SQLITE;
    config->path = strdup(path);
    return config->path != NULL;
}

static const char *companion(const char *suffix)
{
    static char name[200];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

/* Runs SQL on the file with a connection of its own; the integer it yields. */
static long long sql(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    long long value = -1;
    if (sqlite3_open(path, &db) == SQLITE_OK && sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK) {
        if (sqlite3_step(statement) == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    return value;
}

#endif
