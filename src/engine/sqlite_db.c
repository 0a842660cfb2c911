#include "sqlite_db.h"

#include "clock.h"
#include "crashpoint.h"
#include "shared_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    OLDEST_LIBRARY = 3035000, /* nothing older is supported or tested */
    CHECKPOINT_PAGES = 4000,  /* 16 MB of log: a checkpoint costs two fsyncs, whatever it copies */
    RESTART_FOR_MS = 50,
    LOG_KEPT_BYTES = 64u << 20, /* a log that was longer once is cut to this */
    CACHE_KIB = 16 * 1024
};

/* Mirrors what SQLite itself keeps for the whole process, see the header. */
static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;
static mpq_sqlite *connections;

static void list_add(mpq_sqlite *db)
{
    pthread_mutex_lock(&connections_lock);
    db->next = connections;
    connections = db;
    pthread_mutex_unlock(&connections_lock);
}

static void list_remove(mpq_sqlite *db)
{
    pthread_mutex_lock(&connections_lock);
    mpq_sqlite **at = &connections;
    while (*at && *at != db)
        at = &(*at)->next;
    if (*at)
        *at = db->next;
    pthread_mutex_unlock(&connections_lock);
}

static void close_handle(mpq_sqlite *db)
{
    for (int i = 0; i < MPQ_SQL_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    sqlite3_close(db->handle);
    db->handle = NULL;
    db->broken = false;
}

/* Closes without the last connection's duties: the log may be in use by the parent, or by others by now. */
static void abandon(mpq_sqlite *db)
{
    if (!db->handle)
        return;
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    close_handle(db);
}

/* All at once: SQLite drops its memory of the parent's locks only with the last of them. */
static void abandon_inherited(void)
{
    pthread_mutex_lock(&connections_lock);
    mpq_sqlite **at = &connections;
    while (*at) {
        mpq_sqlite *db = *at;
        if (db->opened_by == (long)getpid()) {
            at = &db->next;
            continue;
        }
        *at = db->next;
        abandon(db);
    }
    pthread_mutex_unlock(&connections_lock);
}

/* Resolved, so that every way to name the file leads to the same companions. */
static char *absolute_path(const char *path)
{
    char directory[4096];
    char *resolved = realpath(path, NULL);
    if (resolved || path[0] == '/')
        return resolved ? resolved : strdup(path);
    if (!getcwd(directory, sizeof directory))
        return NULL;
    size_t size = strlen(directory) + strlen(path) + 2;
    char *joined = malloc(size);
    if (joined)
        snprintf(joined, size, "%s/%s", directory, path);
    return joined;
}

int mpq_sqlite_init(mpq_sqlite *db, const mpq_broker_config *config, mpq_error *err)
{
    memset(db, 0, sizeof *db);
    if (sqlite3_libversion_number() < OLDEST_LIBRARY)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the SQLite library is version %s, 3.35 or newer is needed",
                             sqlite3_libversion());
    if (!config->path || !config->path[0])
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the SQLite driver needs the path of its database file");
    db->path = absolute_path(config->path);
    if (!db->path)
        return mpq_error_set_memory(err);
    db->durable = config->durable;
    db->connect_timeout_ms = config->connect_timeout_ms;
    db->read_timeout_ms = config->read_timeout_ms;
    return 0;
}

void mpq_sqlite_fini(mpq_sqlite *db)
{
    list_remove(db);
    if (db->handle)
        close_handle(db);
    free(db->path);
    db->path = NULL;
}

void mpq_sqlite_forget(mpq_sqlite *db)
{
    list_remove(db);
    abandon(db);
    free(db->path);
    db->path = NULL;
}

/* -- errors ---------------------------------------------------------------------------------------------------- */

static const struct meaning {
    int code;
    enum mpq_error_kind kind;
    bool broken;
    const char *text; /* NULL = SQLite's own */
} meanings[] = {
    {SQLITE_BUSY, MPQ_ERROR_TIMEOUT, false, "another process kept the database locked for longer than the timeout"},
    {SQLITE_LOCKED, MPQ_ERROR_TIMEOUT, false, "another process kept the database locked for longer than the timeout"},
    {SQLITE_FULL, MPQ_ERROR_BROKER, false, "the disk is full; nothing was stored"},
    {SQLITE_IOERR, MPQ_ERROR_BROKER, true, NULL},
    {SQLITE_NOTADB, MPQ_ERROR_BROKER, true, "the file is not a database; move it away or choose another path"},
    {SQLITE_CORRUPT, MPQ_ERROR_BROKER, true, "the database is damaged; move it away or restore it from a backup"},
    {SQLITE_READONLY, MPQ_ERROR_BROKER, true,
     "the file or its directory can't be written by this user; change their owner or mode"},
    {SQLITE_PERM, MPQ_ERROR_BROKER, true, "the file can't be accessed by this user; change its owner or mode"},
    {SQLITE_CANTOPEN, MPQ_ERROR_CONNECT, true,
     "the file can't be opened; check that it and its directory can be read and written by this user"},
    {SQLITE_NOMEM, MPQ_ERROR_MEMORY, false, NULL},
};

int mpq_sqlite_fail(mpq_sqlite *db, mpq_error *err)
{
    int code = sqlite3_extended_errcode(db->handle);
    int number = sqlite3_system_errno(db->handle);
    struct meaning meaning = {code, MPQ_ERROR_BROKER, false, NULL};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].code == (code & 0xff))
            meaning = meanings[i];
    db->broken |= meaning.broken;
    bool system = number && (code & 0xff) == SQLITE_IOERR;
    mpq_error_set(err, meaning.kind, "sqlite %s: %s failed: %s%s%s%s", db->path, db->doing,
                  meaning.text ? meaning.text : sqlite3_errmsg(db->handle), system ? " (" : "",
                  system ? strerror(number) : "", system ? ")" : "");
    if (err)
        err->sys_errno = system ? number : 0;
    return -1;
}

/* -- opening --------------------------------------------------------------------------------------------------- */

/* Called by SQLite while another process holds the lock it wants. Short pauses: a transaction of the engine takes well
 * under a millisecond, and SQLite's own handler soon sleeps for 100 ms. */
static int wait_for_lock(void *arg, int attempts)
{
    mpq_sqlite *db = arg;
    if (mpq_clock_monotonic_ms() >= db->busy_deadline_ms)
        return 0;
    struct timespec pause = {0, attempts < 10 ? 100000 : attempts < 100 ? 500000 : 2000000};
    nanosleep(&pause, NULL);
    return 1;
}

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

static int fail_to_create(mpq_sqlite *db, int number, mpq_error *err)
{
    const char *slash = strrchr(db->path, '/');
    int len = slash == db->path ? 1 : (int)(slash - db->path);
    if (number == ENOENT)
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "sqlite %s: the directory %.*s does not exist; create it (mkdir -p) or change the path",
                             db->path, len, db->path);
    if (number == EACCES || number == EPERM || number == EROFS)
        return mpq_error_set(err, MPQ_ERROR_BROKER,
                             "sqlite %s: the directory %.*s can't be written by this user; change its owner or mode",
                             db->path, len, db->path);
    return mpq_error_set_errno(err, number, "sqlite %s: can't create the file", db->path);
}

/* SQLite would open what it may only read, and leave companions behind that nobody can write. */
static int check_file(mpq_sqlite *db, const struct stat *st, mpq_error *err)
{
    char directory[4096];
    if (!S_ISREG(st->st_mode))
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "sqlite %s: the path is %s; it has to name a file", db->path,
                             S_ISDIR(st->st_mode) ? "a directory" : "no regular file");
    if (faccessat(AT_FDCWD, db->path, R_OK | W_OK, AT_EACCESS) < 0)
        return mpq_error_set(err, MPQ_ERROR_BROKER,
                             "sqlite %s: the file can't be written by this user; change its owner or mode", db->path);
    snprintf(directory, sizeof directory, "%s", db->path);
    *(strrchr(directory, '/') + 1) = '\0';
    if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0)
        return fail_to_create(db, errno, err);
    return 0;
}

/* Creates the file with the mode it shall have; SQLite gives the same to its companions. Never opens a file that is
 * there: closing it again would drop the locks of this process's other connections to it. */
static int check_path(mpq_sqlite *db, mpq_error *err)
{
    struct stat st;
    if (mpq_shared_dir_check("database", db->path, err) < 0)
        return -1;
    if (stat(db->path, &st) == 0)
        return check_file(db, &st, err);
    if (errno != ENOENT)
        return fail_to_create(db, errno, err);
    int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : fail_to_create(db, errno, err);
    close(fd);
    return 0;
}

static int pragma(mpq_sqlite *db, const char *text, char *answer, size_t size, mpq_error *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL) != SQLITE_OK)
        return mpq_sqlite_fail(db, err);
    int rc = sqlite3_step(statement);
    const char *got = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (answer)
        snprintf(answer, size, "%s", got ? got : "");
    int failed = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : mpq_sqlite_fail(db, err);
    sqlite3_finalize(statement);
    return failed;
}

static int pragma_number(mpq_sqlite *db, const char *text, long *out, mpq_error *err)
{
    char answer[32];
    if (pragma(db, text, answer, sizeof answer, err) < 0)
        return -1;
    *out = strtol(answer, NULL, 10);
    return 0;
}

/* 0 = ours, 1 = empty, -1 = of something else, or it can't be read. */
static int inspect(mpq_sqlite *db, mpq_error *err)
{
    long application, version, tables;
    if (pragma_number(db, "PRAGMA application_id", &application, err) < 0 ||
        pragma_number(db, "PRAGMA user_version", &version, err) < 0 ||
        pragma_number(db, "SELECT count(*) FROM sqlite_master", &tables, err) < 0)
        return -1;
    if (application == MPQ_SQLITE_APPLICATION && version == MPQ_SQLITE_VERSION)
        return 0;
    if (application == 0 && version == 0 && tables == 0)
        return 1;
    if (application == MPQ_SQLITE_APPLICATION)
        return mpq_error_set(err, MPQ_ERROR_BROKER,
                             "sqlite %s: the database has format %ld, this version of mpqueue knows %d", db->path,
                             version, MPQ_SQLITE_VERSION);
    return mpq_error_set(err, MPQ_ERROR_BROKER,
                         "sqlite %s: the file is a database of another program; choose another path", db->path);
}

/* In one read transaction: another process may be creating the schema right now. */
static int inspect_at_once(mpq_sqlite *db, mpq_error *err)
{
    if (sqlite3_exec(db->handle, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return mpq_sqlite_fail(db, err);
    int kind = inspect(db, err);
    sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return kind;
}

/* SQLite gives up at once when two connections change the mode at the same time, without asking the handler. */
static int use_log(mpq_sqlite *db, mpq_error *err)
{
    char mode[16];
    mpq_error problem;
    int attempts = 0, rc;
    do {
        rc = pragma(db, "PRAGMA journal_mode=WAL", mode, sizeof mode, &problem);
    } while (rc < 0 && problem.kind == MPQ_ERROR_TIMEOUT && wait_for_lock(db, attempts++));
    if (rc == 0 && strcmp(mode, "wal") == 0)
        return 0;
    if (rc < 0)
        return mpq_error_set(err, problem.kind, "%s", problem.text);
    return mpq_error_set(err, MPQ_ERROR_BROKER,
                         "sqlite %s: the file system can't hold a write-ahead log; choose a path on a local disk",
                         db->path);
}

/* Another process may be doing the same: whoever comes second finds it done. */
static int create_schema(mpq_sqlite *db, mpq_error *err)
{
    char numbers[96];
    if (mpq_sqlite_begin(db, err) < 0)
        return -1;
    int rc = inspect(db, err);
    snprintf(numbers, sizeof numbers, "PRAGMA application_id=%d; PRAGMA user_version=%d", MPQ_SQLITE_APPLICATION,
             MPQ_SQLITE_VERSION);
    if (rc == 1)
        rc = sqlite3_exec(db->handle, mpq_sqlite_schema, NULL, NULL, NULL) == SQLITE_OK &&
                     sqlite3_exec(db->handle, numbers, NULL, NULL, NULL) == SQLITE_OK
                 ? 0
                 : mpq_sqlite_fail(db, err);
    if (rc == 0)
        rc = mpq_sqlite_commit(db, err);
    if (rc < 0)
        mpq_sqlite_rollback(db);
    return rc;
}

static int set_up(mpq_sqlite *db, mpq_error *err)
{
    char settings[256];
    int kind = inspect_at_once(db, err);
    if (kind < 0 || use_log(db, err) < 0)
        return -1;
    snprintf(settings, sizeof settings,
             "PRAGMA synchronous=%s; PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d;"
             "PRAGMA journal_size_limit=%u",
             db->durable ? "FULL" : "NORMAL", CACHE_KIB, (unsigned)LOG_KEPT_BYTES);
    if (sqlite3_exec(db->handle, settings, NULL, NULL, NULL) != SQLITE_OK)
        return mpq_sqlite_fail(db, err);
    db->checkpoint_at_pages = CHECKPOINT_PAGES;
    sqlite3_wal_hook(db->handle, after_commit, db);
    return kind == 1 ? create_schema(db, err) : 0;
}

static int open_handle(mpq_sqlite *db, mpq_error *err)
{
    if (check_path(db, err) < 0)
        return -1;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    db->busy_deadline_ms = mpq_clock_monotonic_ms() + db->connect_timeout_ms;
    if (sqlite3_open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK) {
        if (!db->handle)
            return mpq_error_set_memory(err);
        mpq_sqlite_fail(db, err);
        close_handle(db);
        return -1;
    }
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_handler(db->handle, wait_for_lock, db);
    db->opened_by = (long)getpid();
    list_add(db);
    if (set_up(db, err) == 0)
        return 0;
    list_remove(db);
    close_handle(db);
    return -1;
}

/* A file that was removed or replaced under the connection: what is written to it would be lost. */
static bool has_moved(mpq_sqlite *db)
{
    int moved = 0;
    sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved;
}

int mpq_sqlite_connect(mpq_sqlite *db, const char *doing, mpq_error *err)
{
    db->doing = doing;
    if (db->handle && has_moved(db)) {
        list_remove(db);
        abandon(db); /* its log is found by name, and the name may be another database's by now */
    }
    if (db->handle && db->broken) {
        list_remove(db);
        close_handle(db);
    }
    if (!db->handle) {
        abandon_inherited();
        if (open_handle(db, err) < 0)
            return -1;
    }
    db->busy_deadline_ms = mpq_clock_monotonic_ms() + db->read_timeout_ms;
    return 0;
}

/* -- transactions ---------------------------------------------------------------------------------------------- */

int mpq_sqlite_begin(mpq_sqlite *db, mpq_error *err)
{
    return mpq_sqlite_run(db, NULL, MPQ_SQL_BEGIN, err, "");
}

int mpq_sqlite_commit(mpq_sqlite *db, mpq_error *err)
{
    MPQ_CRASH_POINT("store.commit.before");
    int rc = mpq_sqlite_run(db, NULL, MPQ_SQL_COMMIT, err, "");
    MPQ_CRASH_POINT("store.commit.after");
    return rc;
}

void mpq_sqlite_rollback(mpq_sqlite *db)
{
    for (int i = 0; i < MPQ_SQL_COUNT; i++)
        if (db->statements[i])
            sqlite3_reset(db->statements[i]);
    if (db->handle && !sqlite3_get_autocommit(db->handle))
        mpq_sqlite_run(db, NULL, MPQ_SQL_ROLLBACK, NULL, "");
}
