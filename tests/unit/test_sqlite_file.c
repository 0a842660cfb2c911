/* The SQLite driver and its file: where it lies, what is in it, who else uses it, and when the disk is full. */
#include "sqlite_fixture.h"

static long size_of(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 ? (long)st.st_size : -1;
}

static void use_path(const char *other)
{
    free(store.path);
    store.path = strdup(other);
}

/* Kind and text of the error that a ping of the configured store yields; MPQ_ERROR_NONE when it works. */
static mpq_error ping_error(void)
{
    mpq_error err = {0};
    mpq_broker *p = producer();
    if (p->ops->ping(p, &err) == 0)
        err.kind = MPQ_ERROR_NONE;
    return err;
}

static bool says(const mpq_error *err, const char *text)
{
    if (strstr(err->text, text))
        return true;
    printf("  the message does not say \"%s\": %s\n", text, err->text);
    return false;
}

/* -- the file -------------------------------------------------------------------------------------------------- */

CASE(sqlite_files_are_private)
{
    struct stat st;
    umask(0);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "");
    static const char *const suffixes[] = {"", "-wal", "-shm", "-wake"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(stat(companion(suffixes[i]), &st) == 0);
        CHECK_INT(st.st_mode & 0777, 0600);
    }
}

CASE(sqlite_relative_and_odd_paths_name_files)
{
    char directory[160];
    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    CHECK(chdir(directory) == 0);
    static const char *const names[] = {"here.db", ":memory:", "file:x?mode=memory", "with space%20.db"};
    for (size_t i = 0; i < 4; i++) {
        use_path(names[i]);
        CHECK(push_range(producer(), "q", 1, 1) == 0);
        CHECK(access(names[i], F_OK) == 0);
    }
    mpq_broker *p = producer();
    CHECK(chdir("/") == 0);
    CHECK(push_range(p, "q", 2, 2) == 0);
}

CASE(sqlite_names_a_missing_directory)
{
    use_path("/nowhere at all/q.db");
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK(says(&err, "/nowhere at all does not exist") && says(&err, "create it"));
}

CASE(sqlite_refuses_a_directory)
{
    use_path(test_tmpdir());
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK(says(&err, "is a directory"));
}

CASE(sqlite_refuses_an_empty_path)
{
    mpq_error err = {0};
    mpq_broker *broker = NULL;
    use_path("");
    CHECK_INT(mpq_broker_open(&store, &broker, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
}

static void write_file(const char *text, size_t len, off_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && pwrite(fd, text, len, at) == (ssize_t)len);
    close(fd);
}

CASE(sqlite_refuses_a_file_that_is_no_database)
{
    static const char text[] = "These are the notes of somebody else, longer than a header of a hundred bytes, so that "
                               "nothing of it can be mistaken for one.\n";
    write_file(text, sizeof text, 0);
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "not a database") && says(&err, path));
    CHECK_INT(size_of(path), sizeof text);
}

CASE(sqlite_refuses_a_database_of_another_program)
{
    CHECK_INT(sql("CREATE TABLE notes(text)"), -1);
    long size = size_of(path);
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "another program"));
    CHECK_INT(size_of(path), size);
    CHECK_INT(sql("SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'delete'"), 1);
}

CASE(sqlite_refuses_a_newer_format)
{
    CHECK_INT(ping_error().kind, MPQ_ERROR_NONE);
    sql("PRAGMA user_version = 99");
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "format 99"));
}

static void fill_and_damage(void)
{
    static char zeros[200000];
    memset(zeros, 0xa5, sizeof zeros);
    push_range(producer(), "q", 1, 3000);
    mpq_broker_close(brokers[--broker_count]);
    write_file(zeros, sizeof zeros, 4096);
}

CASE(sqlite_reports_damage)
{
    mpq_error err = {0};
    fill_and_damage();
    mpq_broker *p = producer();
    mpq_push_item item = {envelope_of(1), 0};
    mpq_push push = {.queue = "q", .producer = 1, .sequence = 1, .items = &item, .count = 1};
    CHECK_INT(p->ops->push(p, &push, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "damaged"));
    CHECK_INT(p->ops->push(p, &push, &err), -1);
}

/* As root nothing is read-only: be somebody else in the test's process. */
static bool become_somebody(void)
{
    char directory[160];
    if (geteuid() != 0)
        return true;
    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    bool ok = chmod(test_tmpdir(), 0755) == 0 && chown(directory, 65534, 65534) == 0;
    return ok && setgid(65534) == 0 && setuid(65534) == 0;
}

CASE(sqlite_says_when_it_may_not_write)
{
    char directory[160];
    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    if (!become_somebody())
        SKIP("can't become another user");
    CHECK(chmod(directory, 0500) == 0);
    mpq_error err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "can't be written") && says(&err, directory));
    CHECK(chmod(directory, 0700) == 0);
    CHECK(push_range(producer(), "q", 1, 1) == 0);
    mpq_broker_close(brokers[--broker_count]);
    CHECK(chmod(path, 0400) == 0);
    err = ping_error();
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "can't be written"));
    CHECK(chmod(path, 0) == 0);
    err = ping_error();
    CHECK(err.kind != MPQ_ERROR_NONE && says(&err, path));
    CHECK(chmod(path, 0600) == 0 && chmod(directory, 0500) == 0);
    mpq_broker *p = producer();
    CHECK(p->ops->ping(p, &err) < 0);
    CHECK(says(&err, path) && says(&err, "directory"));
    CHECK(chmod(directory, 0700) == 0);
    last_sequence = 100;
    CHECK(push_range(p, "q", 2, 2) == 0);
    CHECK_STR(counts("q"), "pushed 2, ready 2, delayed 0, running 0, failed 0, done 0");
}

CASE(sqlite_follows_a_file_that_was_replaced)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK(push_range(p, "q", 1, 2) == 0);
    CHECK_STR(take(a, 1), "1");
    char moved[200];
    snprintf(moved, sizeof moved, "%s.old", path);
    CHECK(rename(path, moved) == 0);
    unlink(companion("-wal"));
    unlink(companion("-shm"));
    mpq_broker *fresh = producer();
    CHECK(push_range(fresh, "q", 7, 7) == 0);
    CHECK(push_range(p, "q", 8, 8) == 0);
    CHECK_STR(refused_as_lost(settle(a, done(1))), "lost");
    CHECK_STR(counts("q"), "pushed 2, ready 2, delayed 0, running 0, failed 0, done 0");
    CHECK_STR(take(consumer("q", "b:1", LONG_LEASE_MS), 9), "7 8");
}

CASE(sqlite_reuses_the_space_of_finished_jobs)
{
    long size = 0;
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    for (int round = 0; round < 8; round++) {
        CHECK(push_range(p, "q", 1, 3000) == 0);
        while (take(a, 256), answer.count)
            CHECK_INT(finish_answer(a), 0);
        sql("PRAGMA wal_checkpoint(TRUNCATE)");
        if (round == 1)
            size = size_of(path);
    }
    CHECK(size > 0);
    CHECK(size_of(path) <= size + size / 4);
}

CASE(sqlite_forgets_producers_after_an_hour)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK_INT(sql("SELECT count(*) FROM producer"), 1);
    sql("UPDATE producer SET producer = producer + 1, seen_at = seen_at - 3599000");
    sql("INSERT INTO producer SELECT producer + 1, queue, 1, seen_at - 10000 FROM producer");
    CHECK(push_range(producer(), "q", 2, 2) == 0);
    CHECK_INT(sql("SELECT count(*) FROM producer"), 3);
    sql("UPDATE state SET pruned_at = 0");
    CHECK(push_range(producer(), "q", 3, 3) == 0);
    CHECK_INT(sql("SELECT count(*) FROM producer"), 2);
    CHECK_INT(counts_of("q").pushed, 3);
}

/* -- other connections ----------------------------------------------------------------------------------------- */

CASE(sqlite_waits_no_longer_than_the_timeout_for_a_lock)
{
    sqlite3 *db;
    mpq_error err = {0};
    store.read_timeout_ms = 200;
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    mpq_push_item item = {envelope_of(2), 0};
    mpq_push push = {.queue = "q", .producer = 1, .sequence = 1, .items = &item, .count = 1};
    uint64_t start_ms = mpq_clock_monotonic_ms();
    CHECK_INT(p->ops->push(p, &push, &err), -1);
    uint64_t took_ms = mpq_clock_monotonic_ms() - start_ms;
    CHECK_INT(err.kind, MPQ_ERROR_TIMEOUT);
    CHECK(says(&err, "push") && says(&err, path) && says(&err, "locked"));
    CHECK(took_ms >= 200 && took_ms < 2000);
    CHECK(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    CHECK(p->ops->push(p, &push, &err) == 0);
    CHECK_STR(counts("q"), "pushed 2, ready 2, delayed 0, running 0, failed 0, done 0");
}

static long push_rounds(mpq_broker *p, int rounds)
{
    static char body[2000];
    for (int i = 0; i < rounds; i++)
        for (int j = 0; j < 10; j++)
            push_bytes(p, "q", envelope_with(1, 0, mpq_slice_of(body, sizeof body)), 0);
    return size_of(companion("-wal"));
}

CASE(sqlite_log_stays_in_bounds_after_a_long_reader)
{
    sqlite3 *db;
    mpq_broker *p = producer();
    push_rounds(p, 1);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM job", NULL, NULL, NULL) == SQLITE_OK);
    long with_reader = push_rounds(p, 150);
    CHECK(with_reader > 20 << 20);
    CHECK(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    CHECK(push_rounds(p, 300) <= with_reader + (18 << 20));
    CHECK_INT(counts_of("q").ready, 4510);
}

static void push_without_pause(uint64_t as)
{
    static char body[8000];
    mpq_error err = {0};
    mpq_broker *p = producer();
    mpq_push_item item = {envelope_with(1, 0, mpq_slice_of(body, sizeof body)), 0};
    mpq_push push = {.queue = "q", .producer = as, .sequence = 1, .items = &item, .count = 1};
    for (; push.sequence <= 2000; push.sequence++)
        if (p->ops->push(p, &push, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s", err.text);
    fflush(stdout);
    _exit(test_failed() ? 1 : 0);
}

/* Someone is always reading the newest end of the log. */
CASE(sqlite_log_stays_in_bounds_among_busy_writers)
{
    enum { WRITERS = 4 };
    pid_t pids[WRITERS];
    store.read_timeout_ms = 60000;
    producer();
    for (uint64_t i = 0; i < WRITERS; i++)
        if ((pids[i] = fork()) == 0)
            push_without_pause(i + 1);
    long largest = 0;
    for (int left = WRITERS; left > 0;) {
        long size = size_of(companion("-wal"));
        largest = size > largest ? size : largest;
        int status = 0;
        pid_t gone = waitpid(-1, &status, WNOHANG);
        CHECK(gone == 0 || status == 0);
        left -= gone > 0;
        pause_ms(2);
    }
    CHECK_INT(counts_of("q").ready, 2000 * WRITERS);
    CHECK(largest > 10 << 20 && largest < 130 << 20);
}

static void open_and_push(void)
{
    int number = (int)getpid();
    mpq_push_item item = {envelope_of((uint64_t)number), 0};
    mpq_push push = {.queue = "q", .producer = (uint64_t)number, .sequence = 1, .items = &item, .count = 1};
    mpq_error err = {0};
    mpq_broker *p = producer();
    if (p->ops->push(p, &push, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    mpq_broker_close(p);
}

CASE(sqlite_database_can_be_created_by_many_at_once)
{
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];
    for (int round = 0; round < 5; round++) {
        char name[180];
        snprintf(name, sizeof name, "%s.%d", path, round);
        use_path(name);
        for (int i = 0; i < PROCESSES; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                open_and_push();
                fflush(stdout);
                _exit(test_failed() ? 1 : 0);
            }
        }
        for (int i = 0; i < PROCESSES; i++) {
            int status = -1;
            CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
        }
        CHECK_INT(counts_of("q").ready, PROCESSES);
    }
}

/* -- a disk that is full --------------------------------------------------------------------------------------- */

static void limit_files(long bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < 0 ? limit.rlim_max : (rlim_t)bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

CASE(sqlite_loses_nothing_when_the_disk_is_full)
{
    static char body[5000];
    mpq_error err = {0};
    mpq_broker *p = producer();
    push_range(p, "q", 1, 10);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    limit_files(size_of(companion("-wal")) + 100000);
    mpq_push_item item = {envelope_with(11, 0, mpq_slice_of(body, sizeof body)), 0};
    mpq_push push = {.queue = "q", .producer = 1, .sequence = 0, .items = &item, .count = 1};
    int rc = 0;
    while (rc == 0 && push.sequence < 1000) {
        push.sequence++;
        rc = p->ops->push(p, &push, &err);
    }
    CHECK_INT(rc, -1);
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK(says(&err, "push") && says(&err, path));
    mpq_settle one = done(1);
    mpq_exchange exchange = {.settles = &one, .settle_count = 1, .want = 256};
    bool settled = mpq_broker_exchange(a, &exchange, ANSWER_MS, &answer, &err) == 0;
    limit_files(-1);
    uint64_t accepted = push.sequence - 1;
    CHECK_INT(counts_of("q").pushed, 10 + accepted);
    CHECK(p->ops->push(p, &push, &err) == 0);
    CHECK_INT(counts_of("q").pushed, 11 + accepted);
    CHECK_INT(attach(a, "q", "a:1", LONG_LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    CHECK_STR(settle(a, done(1)), settled ? "refused 1" : "");
    CHECK_STR(settle(a, done(2)), "");
    mpq_counts c = counts_of("q");
    CHECK_INT(c.done, 2);
    CHECK_INT(c.ready + c.running + c.done, c.pushed);
    CHECK_INT(sql("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

/* Whoever lists jobs of the dead reads their ids. */
CASE(sqlite_damaged_jobs_of_a_dead_owner_become_failed_records)
{
    push_range(producer(), "q", 1, 4);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 9), "1 2 3 4");
    sql("UPDATE job SET envelope = x'4d51' WHERE id = 1");
    sql("UPDATE running SET id = zeroblob(16) WHERE job = 2");
    sql("UPDATE job SET envelope = x'' WHERE id = 4");
    CHECK_STR(adopt(b, "a:1"), "a:1: 3, garbage 3");
    CHECK_STR(counts("q"), "pushed 4, ready 0, delayed 0, running 1, failed 3, done 0");
    CHECK_STR(failed_records(b, "q", 0), "[MQ] 2/0 []");
    CHECK_INT(finish_answer_of(b, "a:1"), 0);
    CHECK_STR(adopt(b, "a:1"), "nobody");
    CHECK_INT(sql("SELECT count(*) FROM running"), 0);
    CHECK_INT(sql("SELECT count(*) FROM owner"), 2 - 1);
}
