#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fork_mark.h"
#include "test.h"

static mpq_fork_mark mark;

static void check_forks(void)
{
    int status;
    CHECK(!mpq_fork_mark_is_copy(&mark));
    pid_t pid = fork();
    if (pid == 0) {
        bool noticed = mpq_fork_mark_is_copy(&mark);
        mpq_fork_mark_set(&mark);
        _exit(noticed && !mpq_fork_mark_is_copy(&mark) ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, mpq_fork_mark_is_copy(&mark) ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    CHECK(!mpq_fork_mark_is_copy(&mark));
}

TEST(fork_mark_tells_a_process_from_those_it_has_forked)
{
    mpq_fork_mark_set(&mark);
    check_forks();
}

TEST(fork_mark_works_where_the_kernel_wipes_no_page)
{
    mpq_fork_mark_set(&mark);
    mark.page = NULL;
    check_forks();
}

TEST(fork_mark_can_be_set_again_and_given_back)
{
    mpq_fork_mark_set(&mark);
    unsigned char *page = mark.page;
    mpq_fork_mark_set(&mark);
    CHECK(mark.page == page);
    mpq_fork_mark_clear(&mark);
    mpq_fork_mark_clear(&mark);
    CHECK(mark.page == NULL);
    CHECK(!mpq_fork_mark_is_copy(&mark));
    mpq_fork_mark_set(&mark);
    check_forks();
}
