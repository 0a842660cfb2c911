#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backoff.h"
#include "leftover.h"
#include "pidfile.h"
#include "procfs.h"
#include "test.h"

static mpq_config config;
static mpq_error error;
static char path[PATH_MAX];

static void use(const char *name)
{
    config.name = (char *)(size_t)name;
    config.pid_path = (char *)(size_t)test_tmpdir();
    mpq_pidfile_path(&config, "pid", path, sizeof path, NULL);
}

/* In a child that holds the lock until it is killed. */
static pid_t hold(void)
{
    int ready[2];
    char byte;
    if (pipe(ready) < 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        mpq_pidfile file;
        byte = mpq_pidfile_acquire(&config, &file, &error) == 0;
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1 || byte != 1)
        abort();
    close(ready[0]);
    return pid;
}

TEST(pidfile_holds_the_pid_and_the_lock)
{
    mpq_pidfile file;
    char text[32] = "", expected[32];
    use("own");
    CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), 0);
    int fd = open(path, O_RDONLY);
    /* Not closed before the end: that would drop the lock. */
    CHECK(read(fd, text, sizeof text - 1) > 0);
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    CHECK_STR(text, expected);
    pid_t child = fork();
    if (child == 0)
        _exit(mpq_pidfile_holder(&config, &error) == getppid() ? 0 : 1);
    int status;
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    mpq_pidfile_release(&file);
    CHECK(access(path, F_OK) < 0);
    CHECK_INT(mpq_pidfile_holder(&config, &error), 0);
}

/* Whoever could open it could lock it, too, and would be taken for the service. */
TEST(pidfile_is_private)
{
    mpq_pidfile file;
    struct stat st;
    use("private");
    close(open(path, O_CREAT | O_WRONLY, 0600));
    CHECK_INT(chmod(path, 0666), 0);
    mode_t mask = umask(0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), 0);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0600);
        mpq_pidfile_release(&file);
    }
    umask(mask);
}

TEST(pidfile_names_the_holder_to_a_second_one)
{
    mpq_pidfile file;
    char expected[128];
    use("taken");
    pid_t pid = hold();
    CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), -1);
    snprintf(expected, sizeof expected, "service \"taken\" is already running (pid %ld)", (long)pid);
    CHECK_STR(error.text, expected);
    CHECK_INT(error.kind, MPQ_ERROR_STATE);
    CHECK_INT(mpq_pidfile_holder(&config, &error), pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK_INT(access(path, F_OK), 0);
    CHECK_INT(mpq_pidfile_holder(&config, &error), 0);
    CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), 0);
    mpq_pidfile_release(&file);
}

static void check_refused(const char *why)
{
    mpq_pidfile file;
    CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONFIG);
    CHECK(strstr(error.text, path) != NULL);
    if (!strstr(error.text, why))
        CHECK_STR(error.text, why);
}

TEST(pidfile_refuses_a_symbolic_link)
{
    char target[PATH_MAX];
    use("link");
    snprintf(target, sizeof target, "%s/victim", test_tmpdir());
    int fd = open(target, O_CREAT | O_WRONLY, 0600);
    CHECK_INT(write(fd, "precious", 8), 8);
    close(fd);
    CHECK_INT(symlink(target, path), 0);
    check_refused("is a symbolic link");
    struct stat st;
    CHECK_INT(stat(target, &st), 0);
    CHECK_INT(st.st_size, 8);
    CHECK_INT(mpq_pidfile_holder(&config, &error), -1);
}

TEST(pidfile_refuses_a_dangling_link)
{
    use("dangling");
    CHECK_INT(symlink("/nonexistent/anywhere", path), 0);
    check_refused("is a symbolic link");
}

TEST(pidfile_refuses_a_hard_link)
{
    char target[PATH_MAX];
    use("hard");
    snprintf(target, sizeof target, "%s/other-name", test_tmpdir());
    close(open(target, O_CREAT | O_WRONLY, 0600));
    CHECK_INT(link(target, path), 0);
    check_refused("hard link");
}

TEST(pidfile_refuses_what_is_no_file)
{
    use("fifo");
    CHECK_INT(mkfifo(path, 0600), 0);
    check_refused("is not a regular file");
    use("directory");
    CHECK_INT(mkdir(path, 0700), 0);
    check_refused("is not a regular file");
}

TEST(pidfile_refuses_a_file_of_another_user)
{
    if (geteuid() != 0)
        SKIP("needs root to give a file away");
    use("foreign");
    close(open(path, O_CREAT | O_WRONLY, 0600));
    CHECK_INT(chown(path, 12345, 12345), 0);
    check_refused("belongs to another user (uid 12345");
}

TEST(pidfile_names_a_missing_directory)
{
    use("nowhere");
    config.pid_path = (char *)(size_t) "/nonexistent/run";
    mpq_pidfile_path(&config, "pid", path, sizeof path, NULL);
    check_refused("its directory does not exist");
    CHECK_INT(mpq_pidfile_holder(&config, &error), 0);
}

TEST(pidfile_names_a_directory_that_is_not_writable)
{
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s/locked", test_tmpdir());
    CHECK_INT(mkdir(directory, 0500), 0);
    use("locked");
    config.pid_path = directory;
    mpq_pidfile_path(&config, "pid", path, sizeof path, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (chmod(test_tmpdir(), 0711) < 0 || setuid(12345) < 0))
            _exit(1);
        check_refused("make its directory writable");
        _exit(test_failed());
    }
    int status;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
}

TEST(pidfile_does_not_trust_a_lock_on_a_removed_file)
{
    mpq_pidfile file;
    use("removed");
    pid_t pid = hold();
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mpq_pidfile_acquire(&config, &file, &error), 0);
    mpq_pidfile_release(&file);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

TEST(pidfile_refuses_a_path_that_is_too_long)
{
    char shorty[16];
    use("long");
    CHECK_INT(mpq_pidfile_path(&config, "pid", shorty, sizeof shorty, &error), -1);
    CHECK(strstr(error.text, "choose a shorter pid path") != NULL);
}

TEST(procfs_tells_a_process_from_its_successor)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    CHECK(mpq_procfs_born(getpid()) != 0);
    uint64_t born = mpq_procfs_born(pid);
    CHECK(born >= mpq_procfs_born(getpid()));
    kill(pid, SIGKILL);
    while (mpq_procfs_born(pid) != 0)
        usleep(1000);
    pid_t children[4];
    CHECK_INT(mpq_procfs_children(getpid(), children, 4), 1); /* a zombie */
    CHECK_INT(children[0], pid);
    waitpid(pid, NULL, 0);
    CHECK_INT(mpq_procfs_children(getpid(), children, 4), 0);
}

/* A dead service's board names two processes: one that still lives, and one whose pid somebody else has by now. */
TEST(leftover_ends_only_the_predecessors_own)
{
    size_t bytes = sizeof(mpq_board_file) + 2 * sizeof(mpq_board_worker);
    mpq_board_file *dead = calloc(1, bytes);
    pid_t pids[2];
    int status;
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            pause();
            _exit(0);
        }
        dead->workers[i].pid = pids[i];
        dead->workers[i].pid_born = mpq_procfs_born(pids[i]);
    }
    dead->workers[1].pid_born++;
    dead->worker_capacity = 2;
    mpq_leftover_end_predecessor(dead, NULL); /* without the boot id nothing is believed */
    CHECK_INT(waitpid(pids[0], &status, WNOHANG), 0);
    mpq_procfs_boot_id(dead->boot);
    mpq_leftover_end_predecessor(dead, NULL);
    CHECK_INT(waitpid(pids[0], &status, 0), pids[0]);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(waitpid(pids[1], &status, WNOHANG), 0);
    kill(pids[1], SIGKILL);
    waitpid(pids[1], &status, 0);
    free(dead);
}

TEST(leftover_spares_children_from_before)
{
    mpq_leftover_spared spared;
    int status;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t before = fork();
    if (before == 0) {
        pause();
        _exit(0);
    }
    mpq_leftover_note(&spared);
    pid_t after = fork();
    if (after == 0) {
        if (fork() == 0)
            pause();
        pause();
        _exit(0);
    }
    mpq_leftover_end_children(&spared, NULL);
    CHECK_INT(waitpid(after, &status, 0), -1);
    pid_t left[4];
    CHECK_INT(mpq_procfs_children(getpid(), left, 4), 1); /* the orphan is gone, too */
    CHECK_INT(waitpid(before, &status, WNOHANG), 0);
    kill(before, SIGKILL);
    waitpid(before, &status, 0);
}

TEST(backoff_doubles_up_to_ten_seconds_and_forgets)
{
    mpq_backoff backoff = {0};
    uint64_t now = 1000000;
    CHECK_INT(mpq_backoff_failed(&backoff, now), 0);
    CHECK_INT(mpq_backoff_failed(&backoff, now), 100);
    CHECK_INT(backoff.next_at_ms, now + 100);
    CHECK_INT(mpq_backoff_failed(&backoff, now + 100), 200);
    for (int i = 0; i < 40; i++)
        now = backoff.next_at_ms, mpq_backoff_failed(&backoff, now);
    CHECK_INT(mpq_backoff_failed(&backoff, now), 10000);
    CHECK_INT(mpq_backoff_failed(&backoff, backoff.next_at_ms + 10000), 0);
    mpq_backoff_failed(&backoff, now);
    mpq_backoff_reset(&backoff);
    CHECK_INT(mpq_backoff_failed(&backoff, now), 0);
}
