/* The SQLite driver over forks, and its waking through a watched file. */
#include "sqlite_fixture.h"

/* The exit status of `fn` in a child process. */
static int in_child(void (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        fflush(stdout);
        _exit(test_failed() ? 1 : 0);
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* -- fork ------------------------------------------------------------------------------------------------------ */

static void push_in_child(void)
{
    for (size_t i = 0; i < broker_count; i++)
        mpq_broker_close(brokers[i]);
    broker_count = 0;
    mpq_broker *p = producer();
    last_sequence = 100;
    CHECK(push_range(p, "q", 100, 109) == 0);
    mpq_broker_close(p);
}

CASE(sqlite_child_and_parent_both_push_after_a_fork)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK_INT(in_child(push_in_child), 0);
    last_sequence = 200;
    CHECK(push_range(p, "q", 2, 3) == 0);
    CHECK_INT(counts_of("q").ready, 13);
    CHECK_INT(sql("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

static int to_child[2], to_parent[2];

static void tell(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(2);
}

static void hear(int fd)
{
    char byte;
    if (read(fd, &byte, 1) != 1)
        _exit(2);
}

/* Forgets one of the two handles it has inherited, connects, and goes on when the parent has closed both of its own. */
static void outlive_parent(void)
{
    close(to_child[1]);
    close(to_parent[0]);
    mpq_broker_close(brokers[0]);
    broker_count = 0;
    mpq_broker *p = producer();
    last_sequence = 100;
    CHECK(push_range(p, "q", 100, 100) == 0);
    tell(to_parent[1]);
    hear(to_child[0]);
    CHECK(push_range(p, "q", 101, 105) == 0);
    tell(to_parent[1]);
    hear(to_child[0]);
}

CASE(sqlite_child_keeps_its_locks_when_the_parent_closes)
{
    mpq_broker *p = producer(), *second = producer();
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK(push_range(second, "q", 2, 2) == 0);
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        outlive_parent();
        fflush(stdout);
        _exit(test_failed() ? 1 : 0);
    }
    hear(to_parent[0]);
    mpq_broker_close(p);
    mpq_broker_close(second);
    broker_count = 0;
    CHECK(access(companion("-wal"), F_OK) == 0);
    CHECK_INT(counts_of("q").ready, 3);
    tell(to_child[1]);
    hear(to_parent[0]);
    CHECK_INT(counts_of("q").ready, 8);
    tell(to_child[1]);
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_INT(counts_of("q").ready, 8);
}

static void only_forget(void)
{
    mpq_broker_close(brokers[0]);
}

CASE(sqlite_child_that_only_forgets_leaves_the_log_alone)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 5) == 0);
    CHECK_INT(in_child(only_forget), 0);
    CHECK(access(companion("-wal"), F_OK) == 0);
    CHECK(push_range(p, "q", 6, 6) == 0);
    CHECK_INT(counts_of("q").ready, 6);
}

static void forget_when_told(void)
{
    close(to_child[1]);
    hear(to_child[0]);
    mpq_broker_close(brokers[0]);
}

static void push_and_vanish(void)
{
    last_sequence = 500;
    CHECK(push_range(producer(), "q", 500, 504) == 0);
}

/* The child's connection is to a log that is gone by now; the name is that of a newer one, whose writer has crashed. */
CASE(sqlite_child_that_forgets_late_leaves_a_newer_log_alone)
{
    mpq_broker *p = producer();
    CHECK(push_range(p, "q", 1, 5) == 0);
    CHECK(pipe(to_child) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        forget_when_told();
        _exit(0);
    }
    mpq_broker_close(p);
    broker_count = 0;
    CHECK(access(companion("-wal"), F_OK) < 0);
    CHECK_INT(in_child(push_and_vanish), 0);
    CHECK(access(companion("-wal"), F_OK) == 0);
    tell(to_child[1]);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK_INT(counts_of("q").ready, 10);
}

/* -- waking ---------------------------------------------------------------------------------------------------- */

static void push_after_a_while(void)
{
    pause_ms(100);
    last_sequence = 1000;
    CHECK(push_range(producer(), "q", 1, 1) == 0);
}

CASE(sqlite_wakes_across_processes_without_polling)
{
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "");
    CHECK(arm(a) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        push_after_a_while();
        _exit(test_failed() ? 1 : 0);
    }
    uint64_t start_ms = mpq_clock_monotonic_ms();
    CHECK_STR(wait_for(a, 10000), "woken");
    CHECK(mpq_clock_monotonic_ms() - start_ms < 5000);
    CHECK_STR(take(a, 1), "1");
    CHECK(waitpid(pid, NULL, 0) == pid);
}

CASE(sqlite_push_to_another_queue_wakes_nobody)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "");
    CHECK(arm(a) == 0);
    CHECK(push_range(p, "other", 1, 1) == 0);
    CHECK_STR(wait_for(a, 150), "not woken");
}

CASE(sqlite_without_its_wake_file_jobs_are_found_by_looking)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK(push_range(p, "q", 1, 1) == 0);
    CHECK_STR(take(a, 1), "1");
    CHECK(arm(a) == 0);
    CHECK(unlink(companion("-wake")) == 0);
    CHECK(push_range(p, "q", 2, 2) == 0);
    CHECK_STR(take(a, 1), "2");
    CHECK(access(companion("-wake"), F_OK) == 0);
    CHECK(arm(a) == 0);
    CHECK_STR(wait_for(a, 100), "not woken");
    CHECK(push_range(p, "q", 3, 3) == 0);
    CHECK_STR(wait_and_take(a, 5000, 1), "3");
    CHECK(unlink(companion("-wake")) == 0);
    CHECK(symlink("/dev/null", companion("-wake")) == 0);
    CHECK(push_range(p, "q", 4, 4) == 0);
    CHECK_STR(take(a, 1), "4");
}
