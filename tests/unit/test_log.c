#include "log.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[200];

static const char *make_directory(const char *name)
{
    snprintf(directory, sizeof directory, "%s/%s", test_tmpdir(), name);
    return directory;
}

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static const char *file_of_today(void)
{
    static char path[300];
    time_t now = time(NULL);
    struct tm day;
    localtime_r(&now, &day);
    size_t len = (size_t)snprintf(path, sizeof path, "%s/", directory);
    strftime(path + len, sizeof path - len, "mpqueue-%Y-%m-%d.log", &day);
    return path;
}

static const char *content(const char *path)
{
    static char text[200000];
    int fd = open(path, O_RDONLY);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static int count_files(void)
{
    int count = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    while ((text = strchr(text, '\n')) != NULL)
        text++, count++;
    return count;
}

TEST(log_line_has_the_documented_form)
{
    mpq_log *log;
    umask(022);
    CHECK_INT(mpq_log_open(make_directory("form/a/b"), MPQ_LEVEL_INFO, false, &log, NULL), 0);
    mpq_log_set_tag(log, "manager");
    mpq_log_write(log, MPQ_LEVEL_INFO, "worker %d of queue \"%s\" started", 4720, "mail");
    mpq_log_write(log, MPQ_LEVEL_WARNING, "second");
    mpq_log_close(log);

    const char *text = content(file_of_today());
    int year, month, day, hour, minute, second, ms, used = 0;
    long pid;
    CHECK_INT(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3d INFO  manager[%ld] worker %n", &year, &month, &day, &hour,
                     &minute, &second, &ms, &pid, &used),
              8);
    CHECK_INT(pid, getpid());
    CHECK_INT(text[10], 'T');
    CHECK_INT(text[23], ' ');
    CHECK(strncmp(text + used, "4720 of queue \"mail\" started\n", 29) == 0);
    CHECK(strstr(text, " WARNING manager["));
    CHECK_INT(count_lines(text), 2);

    struct stat st;
    CHECK_INT(stat(directory, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0750);
}

TEST(log_leaves_out_lower_levels)
{
    mpq_log *log;
    CHECK_INT(mpq_log_open(make_directory("levels"), MPQ_LEVEL_WARNING, false, &log, NULL), 0);
    CHECK(mpq_log_enabled(log, MPQ_LEVEL_WARNING) && !mpq_log_enabled(log, MPQ_LEVEL_NOTICE));
    mpq_log_write(log, MPQ_LEVEL_NOTICE, "unseen");
    mpq_log_write(log, MPQ_LEVEL_ERROR, "seen");
    CHECK(!strstr(content(file_of_today()), "unseen"));
    CHECK(strstr(content(file_of_today()), " ERROR mpqueue["));
    mpq_log_close(log);
}

TEST(log_level_names)
{
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_DEBUG), "DEBUG");
    CHECK_STR(mpq_log_level_name(0), "DEBUG");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_INFO), "INFO");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_NOTICE), "NOTICE");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_WARNING), "WARNING");
    CHECK_STR(mpq_log_level_name(350), "WARNING");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_ERROR), "ERROR");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_CRITICAL), "CRITICAL");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_ALERT), "ALERT");
    CHECK_STR(mpq_log_level_name(MPQ_LEVEL_EMERGENCY), "EMERGENCY");
    CHECK_STR(mpq_log_level_name(9999), "EMERGENCY");
}

TEST(log_without_a_log_is_harmless)
{
    mpq_log_write(NULL, MPQ_LEVEL_ERROR, "%d", 1);
    mpq_log_set_tag(NULL, "x");
    mpq_log_close(NULL);
    CHECK(!mpq_log_enabled(NULL, MPQ_LEVEL_EMERGENCY));
}

TEST(log_keeps_one_call_on_one_line)
{
    mpq_log *log;
    CHECK_INT(mpq_log_open(make_directory("escape"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO,
                  "a\nb\rc\td\x1b[31m\x7f\xc2\x9b"
                  "1m \xc3\xa9 \xe9\x82\xae end");
    const char *text = content(file_of_today());
    CHECK_INT(count_lines(text), 1);
    CHECK(strstr(text, "a\\nb\\rc\\td\\x1b[31m\\x7f\\xc2\\x9b1m \xc3\xa9 \xe9\x82\xae end\n"));
    mpq_log_close(log);
}

TEST(log_cuts_long_lines)
{
    mpq_log *log;
    char *message = malloc(20000);
    CHECK_INT(mpq_log_open(make_directory("long"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    const char fill[] = {'x', '\n'};
    for (int i = 0; i < 2; i++) {
        memset(message, fill[i], 19999);
        message[19999] = '\0';
        mpq_log_write(log, MPQ_LEVEL_INFO, "%s", message);
    }
    const char *text = content(file_of_today()), *end = strchr(text, '\n');
    CHECK(end && end - text + 1 <= 8192 && end - text > 8000);
    CHECK(strncmp(end - 3, "...", 3) == 0);
    CHECK_INT(count_lines(text), 2);
    CHECK(strlen(end + 1) <= 8192);
    free(message);
    mpq_log_close(log);
}

TEST(log_begins_a_new_file_with_a_new_day)
{
    mpq_log *log;
    char first[300];
    set_zone("AAA+12");
    CHECK_INT(mpq_log_open(make_directory("days"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    snprintf(first, sizeof first, "%s", file_of_today());
    mpq_log_write(log, MPQ_LEVEL_INFO, "yesterday");
    set_zone("BBB-14"); /* 26 hours on: always another date */
    mpq_log_write(log, MPQ_LEVEL_INFO, "today");
    CHECK(strcmp(first, file_of_today()) != 0);
    CHECK(strstr(content(first), "yesterday") && !strstr(content(first), "today\n"));
    CHECK(strstr(content(file_of_today()), "today\n") && !strstr(content(file_of_today()), "yesterday"));
    CHECK_INT(count_files(), 2);
    mpq_log_close(log);
}

static void touch(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static bool exists(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

TEST(log_keeps_thirty_files)
{
    mpq_log *log;
    char name[64];
    CHECK_INT(mkdir(make_directory("prune"), 0700), 0);
    for (int i = 0; i < 40; i++) {
        int day = (i * 17) % 40; /* in no order */
        snprintf(name, sizeof name, "mpqueue-2019-%02d-%02d.log", 1 + day / 20, 1 + day % 20);
        touch(name);
    }
    touch("mpqueue-2018-01-01.log.gz");
    touch("mpqueue-2018-1-01.log");
    touch("notes.txt");
    CHECK_INT(mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    CHECK_INT(count_files(), 30 + 3);
    CHECK(exists("mpqueue-2019-02-20.log") && exists("mpqueue-2019-01-12.log"));
    CHECK(!exists("mpqueue-2019-01-11.log") && !exists("mpqueue-2019-01-01.log"));
    CHECK(exists("notes.txt") && exists("mpqueue-2018-01-01.log.gz") && exists("mpqueue-2018-1-01.log"));
    mpq_log_close(log);
}

TEST(log_opens_an_existing_file_again)
{
    mpq_log *log;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mpq_log_open(make_directory("again"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
        mpq_log_write(log, MPQ_LEVEL_INFO, "run %d", i);
        mpq_log_close(log);
    }
    CHECK_INT(count_lines(content(file_of_today())), 3);
}

TEST(log_comes_back_after_its_directory_was_deleted)
{
    mpq_log *log;
    CHECK_INT(mpq_log_open(make_directory("deleted"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO, "before");
    CHECK_INT(unlink(file_of_today()), 0);
    CHECK_INT(rmdir(directory), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO, "after");
    CHECK(strstr(content(file_of_today()), "after\n"));
    mpq_log_close(log);
}

TEST(log_says_why_a_directory_is_of_no_use)
{
    mpq_log *log = NULL;
    mpq_error err = {0};
    char path[300];
    CHECK_INT(mkdir(make_directory("bad"), 0700), 0);
    touch("file");
    snprintf(path, sizeof path, "%s/file/logs", directory);
    CHECK_INT(mpq_log_open(path, MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_SYSTEM);
    CHECK_INT(err.sys_errno, ENOTDIR);
    CHECK(strstr(err.text, "can't create the log directory") && strstr(err.text, path));
    CHECK(strstr(err.text, "Not a directory"));

    snprintf(path, sizeof path, "%s/file", directory);
    CHECK_INT(mpq_log_open(path, MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK(strstr(err.text, "can't write a log file in the directory") && strstr(err.text, path));
    CHECK_INT(mpq_log_open("/proc/mpqueue-test", MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK(strstr(err.text, "/proc/mpqueue-test"));
    CHECK_INT(mpq_log_open("", MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK(log == NULL);
}

static void open_without_permission(void)
{
    mpq_log *log;
    mpq_error err;
    CHECK_INT(mpq_log_open("/etc/mpqueue-test", MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK_INT(err.sys_errno, EACCES);
    CHECK_INT(mpq_log_open("/etc", MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK_INT(err.sys_errno, EACCES);
    CHECK(strstr(err.text, "/etc: Permission denied"));
}

TEST(log_refuses_a_directory_without_permission)
{
    bool root = geteuid() == 0;
    if (root && seteuid(65534) != 0)
        SKIP("can't give up root");
    open_without_permission();
    /* Back to what the leak check at exit needs. */
    CHECK(!root || (seteuid(0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0));
}

TEST(log_does_not_follow_a_link)
{
    mpq_log *log;
    mpq_error err;
    CHECK_INT(mkdir(make_directory("link"), 0700), 0);
    touch("target");
    char target[300];
    snprintf(target, sizeof target, "%s/target", directory);
    CHECK_INT(symlink(target, file_of_today()), 0);
    CHECK_INT(mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK_INT(err.sys_errno, ELOOP);
}

/* Without a reader it would never be opened. */
TEST(log_is_not_held_up_by_a_pipe)
{
    mpq_log *log;
    mpq_error err;
    CHECK_INT(mkdir(make_directory("pipe"), 0700), 0);
    CHECK_INT(mkfifo(file_of_today(), 0600), 0);
    alarm(10);
    CHECK_INT(mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &log, &err), -1);
    CHECK_INT(err.sys_errno, ENXIO);
}

/* The next write(2) past this many bytes stores what fits, those after fail: as on a full disk. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(log_counts_what_a_full_disk_took)
{
    mpq_log *log;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(mpq_log_open(make_directory("full"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO, "first");
    size_t len = strlen(content(file_of_today()));
    limit_file_size(len + 10);
    errno = 4711;
    mpq_log_write(log, MPQ_LEVEL_INFO, "torn");
    CHECK_INT(errno, 4711);
    mpq_log_write(log, MPQ_LEVEL_INFO, "dropped");
    mpq_log_write(log, MPQ_LEVEL_INFO, "dropped, too");
    CHECK_INT(strlen(content(file_of_today())), len + 10);
    limit_file_size(RLIM_INFINITY);
    mpq_log_write(log, MPQ_LEVEL_INFO, "there is room again");
    mpq_log_write(log, MPQ_LEVEL_INFO, "and still");
    const char *text = content(file_of_today());
    CHECK(!strstr(text, "dropped"));
    const char *note = strstr(text, "3 lines before this one could not be written\n");
    CHECK(note && strstr(note, "there is room again\n"));
    CHECK(text[len + 10] == '\n'); /* the torn line ends before the note */
    CHECK_INT(count_lines(text), 5);
    CHECK(!strstr(note + 30, "could not be written"));
    mpq_log_close(log);
}

static int capture_stderr(void)
{
    int fds[2];
    if (pipe(fds) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
        return -1;
    close(fds[1]);
    return fds[0];
}

TEST(log_writes_to_the_terminal_as_well)
{
    mpq_log *log;
    char text[500] = "";
    int fd = capture_stderr();
    CHECK(fd >= 0);
    CHECK_INT(mpq_log_open(make_directory("both"), MPQ_LEVEL_DEBUG, true, &log, NULL), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO, "to both");
    CHECK(read(fd, text, sizeof text - 1) > 0);
    CHECK(strstr(text, "to both\n"));
    CHECK_STR(content(file_of_today()), text);
    mpq_log_close(log);

    CHECK_INT(mpq_log_open(NULL, MPQ_LEVEL_DEBUG, true, &log, NULL), 0);
    memset(text, 0, sizeof text);
    mpq_log_write(log, MPQ_LEVEL_INFO, "terminal only");
    CHECK(read(fd, text, sizeof text - 1) > 0);
    CHECK(strstr(text, "terminal only\n"));
    mpq_log_close(log);
}

TEST(log_never_waits_for_a_terminal)
{
    mpq_log *log;
    static char text[300000];
    int fd = capture_stderr();
    size_t got = 0;
    CHECK(fd >= 0);
    alarm(20); /* blocking is the failure */
    CHECK_INT(mpq_log_open(NULL, MPQ_LEVEL_DEBUG, true, &log, NULL), 0);
    for (int i = 0; i < 3000; i++)
        mpq_log_write(log, MPQ_LEVEL_INFO, "a line that nobody reads, number %d", i);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = read(fd, text + got, sizeof text - 1 - got)) > 0;)
        got += (size_t)n;
    size_t before = count_lines(text);
    CHECK(before > 100 && before < 3000);
    mpq_log_write(log, MPQ_LEVEL_INFO, "somebody reads again");
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK(n > 0);
    text[n] = '\0';
    char note[100];
    snprintf(note, sizeof note, "%zu lines before this one could not be written\n", 3000 - before);
    CHECK(strstr(text, note) && strstr(text, "somebody reads again\n"));
    mpq_log_close(log);
}

TEST(log_survives_a_closed_terminal)
{
    mpq_log *log;
    int fd = capture_stderr();
    CHECK(fd >= 0);
    close(fd); /* writing would now raise SIGPIPE */
    CHECK_INT(mpq_log_open(make_directory("closed"), MPQ_LEVEL_DEBUG, true, &log, NULL), 0);
    mpq_log_write(log, MPQ_LEVEL_INFO, "to the file");
    CHECK(strstr(content(file_of_today()), "to the file\n"));
    mpq_log_close(log);
}

TEST(log_lines_of_several_processes_stay_whole)
{
    enum { PROCESSES = 4, LINES = 300 };
    mpq_log *log;
    CHECK_INT(mpq_log_open(make_directory("shared"), MPQ_LEVEL_DEBUG, false, &log, NULL), 0);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0)
            continue;
        mpq_log_set_tag(log, "child");
        for (int n = 0; n < LINES; n++)
            mpq_log_write(log, MPQ_LEVEL_INFO, "process %d line %d of the test.", i, n);
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    size_t whole = 0;
    const char *text = content(file_of_today());
    for (const char *at = text; (at = strstr(at, "of the test.\n")) != NULL; at++)
        whole++;
    CHECK_INT(whole, PROCESSES * LINES);
    CHECK_INT(count_lines(text), PROCESSES * LINES);
    char pid[32];
    snprintf(pid, sizeof pid, "[%ld]", (long)getpid());
    CHECK(!strstr(text, pid));
    mpq_log_close(log);
}
