#include "test.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PASSED = 0, FAILED = 1, SKIPPED = 77, TIME_LIMIT_S = 120 };

static struct {
    const char *name;
    test_fn fn;
} tests[512];
static size_t test_count;
static int current_status;
static char tmpdir[64];

void test_register(const char *name, test_fn fn)
{
    tests[test_count].name = name;
    tests[test_count++].fn = fn;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("  %s:%d: ", file, line);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    current_status = FAILED;
}

void test_skip(const char *reason)
{
    printf("  skipped: %s\n", reason);
    current_status = SKIPPED;
}

int test_failed(void)
{
    return current_status == FAILED;
}

const char *test_tmpdir(void)
{
    return tmpdir;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

/* The exit status of the test's process; anything unexpected (signal, sanitizer report) is a failure. */
static int run_test(test_fn fn)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(TIME_LIMIT_S);
        fn();
        fflush(stdout);
        exit(current_status);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return FAILED;
    if (WIFSIGNALED(status)) {
        printf("  killed by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == 14 ? " (time limit)" : "");
        return FAILED;
    }
    int code = WEXITSTATUS(status);
    if (code != PASSED && code != FAILED && code != SKIPPED)
        printf("  exit status %d\n", code);
    return code == PASSED || code == SKIPPED ? code : FAILED;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0, skipped = 0;
    const char *base = getenv("TMPDIR");
    snprintf(tmpdir, sizeof tmpdir, "%.30s/mpq-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(tmpdir))
        return 1;
    for (size_t i = 0; i < test_count; i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1]))
            continue;
        int status = run_test(tests[i].fn);
        printf("%s %s\n", status == PASSED ? "ok" : status == SKIPPED ? "skip" : "not ok", tests[i].name);
        passed += status == PASSED;
        skipped += status == SKIPPED;
        failed += status == FAILED;
    }
    nftw(tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed != 0;
}
