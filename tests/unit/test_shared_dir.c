#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "shared_dir.h"
#include "test.h"

enum { STRANGER = 12345 };

static mpq_error error;
static char shared[PATH_MAX - 64]; /* everybody's, as /tmp is */

static const char *in_shared(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", shared, name);
    return path;
}

static void make_shared(const char *name)
{
    snprintf(shared, sizeof shared, "%s/%s", test_tmpdir(), name);
    if (mkdir(shared, 0700) < 0 || chmod(shared, 01777) < 0)
        abort();
}

static bool give_away(const char *path)
{
    return lchown(path, STRANGER, STRANGER) == 0;
}

TEST(shared_dir_trusts_what_is_ours)
{
    make_shared("ours");
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("missing"), &error), 0);
    CHECK_INT(mkdir(in_shared("directory"), 0700), 0);
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("directory"), &error), 0);
    CHECK_INT(symlink("/etc", in_shared("link")), 0);
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("link"), &error), 0);
    CHECK_INT(mpq_shared_dir_check("thing", "/", &error), 0);
    CHECK_INT(mpq_shared_dir_check("thing", "missing", &error), 0);
    CHECK_INT(mpq_shared_dir_check("thing", "", &error), 0);
}

TEST(shared_dir_refuses_what_is_a_strangers)
{
    if (geteuid() != 0)
        SKIP("needs root to give a file away");
    make_shared("theirs");
    CHECK_INT(mkdir(in_shared("directory"), 0777), 0);
    CHECK(give_away(in_shared("directory")));
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("directory"), &error), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONFIG);
    CHECK(strstr(error.text, "the thing ") && strstr(error.text, "was made by another user (uid 12345"));
    CHECK_INT(symlink(test_tmpdir(), in_shared("link")), 0);
    CHECK(give_away(in_shared("link")));
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("link"), &error), -1);
    /* Not everybody's: who can write there is trusted. */
    CHECK_INT(chmod(shared, 0770), 0);
    CHECK_INT(mpq_shared_dir_check("thing", in_shared("directory"), &error), 0);
}

TEST(shared_dir_log_is_not_led_elsewhere)
{
    if (geteuid() != 0)
        SKIP("needs root to give a file away");
    make_shared("log");
    char victim[PATH_MAX], path[PATH_MAX + 16], command[PATH_MAX + 16];
    mpq_log *log = NULL;
    snprintf(victim, sizeof victim, "%s/victim", test_tmpdir());
    CHECK_INT(mkdir(victim, 0700), 0);
    CHECK_INT(symlink(victim, in_shared("service")), 0);
    CHECK(give_away(in_shared("service")));
    CHECK_INT(mpq_log_open(in_shared("service"), MPQ_LEVEL_DEBUG, false, &log, &error), -1);
    CHECK(strstr(error.text, "the log directory ") && strstr(error.text, "refused for safety"));
    snprintf(path, sizeof path, "%s/below", in_shared("service"));
    CHECK_INT(mpq_log_open(path, MPQ_LEVEL_DEBUG, false, &log, &error), -1);
    snprintf(path, sizeof path, "%s/below", victim);
    CHECK(access(path, F_OK) < 0);
    CHECK_INT(unlink(in_shared("service")), 0);
    CHECK_INT(mkdir(in_shared("service"), 0777), 0);
    CHECK(give_away(in_shared("service")));
    CHECK_INT(mpq_log_open(in_shared("service"), MPQ_LEVEL_DEBUG, false, &log, &error), -1);
    CHECK_INT(rmdir(in_shared("service")), 0);
    CHECK_INT(mpq_log_open(in_shared("service"), MPQ_LEVEL_DEBUG, false, &log, &error), 0);
    /* Taken away and replaced while it is in use: nothing is written there. */
    snprintf(command, sizeof command, "rm -r '%s'", in_shared("service"));
    CHECK_INT(system(command), 0);
    CHECK_INT(symlink(victim, in_shared("service")), 0);
    CHECK(give_away(in_shared("service")));
    mpq_log_write(log, MPQ_LEVEL_ERROR, "secret");
    mpq_log_close(log);
    CHECK_INT(rmdir(victim), 0);
}

TEST(shared_dir_database_of_a_stranger_is_not_opened)
{
    if (geteuid() != 0)
        SKIP("needs root to give a file away");
    make_shared("database");
    mpq_broker_config config = {
        .driver = MPQ_DRIVER_SQLITE, .path = strdup(in_shared("queue.db")), .read_timeout_ms = 500};
    mpq_broker *broker = NULL;
    mpq_counts counts;
    close(open(config.path, O_CREAT | O_WRONLY, 0666));
    CHECK(give_away(config.path));
    int opened = mpq_broker_open(&config, &broker, &error);
    CHECK(opened < 0 || broker->ops->counts(broker, "q", &counts, &error) < 0);
    CHECK(strstr(error.text, "the database ") && strstr(error.text, "refused for safety"));
    if (opened == 0)
        broker->ops->close(broker);
    free(config.path);
}
