/* Keeps the write-ahead log of a queue database in bounds. */
#include "sqlite_db.h"

#include "clock.h"

enum {
    CHECKPOINT_PAGES = 4000, /* 16 MB of log: a checkpoint costs two fsyncs, whatever it copies */
    RESTART_FOR_MS = 50
};

/*
 * SQLite's own way is to copy the log after each commit from a length on, and to begin it anew when a writer happens to
 * find no reader. Where several processes write without pause there is always one, so the log would grow for ever and
 * every commit would pay for a copy. Here the copy is made once for each CHECKPOINT_PAGES, and when the log was not
 * begun anew by the second time, writers are held back for the moment in which readers of the old log leave. Someone
 * who reads for longer (a backup) costs RESTART_FOR_MS once for each CHECKPOINT_PAGES.
 */
static int after_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
    mpq_sqlite *db = arg;
    if (pages < CHECKPOINT_PAGES)
        db->checkpoint_at_pages = CHECKPOINT_PAGES;
    if (pages < db->checkpoint_at_pages)
        return SQLITE_OK;
    bool restart = pages >= 2 * CHECKPOINT_PAGES;
    db->checkpoint_at_pages = pages + CHECKPOINT_PAGES;
    db->busy_deadline_ms = mpq_clock_monotonic_ms() + RESTART_FOR_MS;
    sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (restart)
        sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    return SQLITE_OK;
}

void mpq_sqlite_watch_log(mpq_sqlite *db)
{
    db->checkpoint_at_pages = CHECKPOINT_PAGES;
    sqlite3_wal_hook(db->handle, after_commit, db);
}
