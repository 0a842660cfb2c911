#include "config.h"
#include "test.h"

#include <stdlib.h>

TEST(config_defaults)
{
    mpq_config config;
    mpq_queue_config queue;
    mpq_config_init(&config);
    CHECK_INT(config.log_level, MPQ_LEVEL_INFO);
    CHECK_INT(config.stop_timeout_ms, 30000);
    CHECK_INT(config.timeout_grace_ms, 1000);
    CHECK_INT(config.start_timeout_ms, 60000);
    CHECK_INT(config.lease_ms, 10000);
    CHECK_INT(config.payload_max_bytes, 64 << 20);
    CHECK(!config.name && !config.pid_path && !config.log_path && !config.queues);
    CHECK_INT(config.broker.port, 6379);
    CHECK_INT(config.broker.database, 0);
    CHECK_STR(config.broker.prefix, "mpq");
    CHECK_INT(config.broker.connect_timeout_ms, 2000);
    CHECK_INT(config.broker.read_timeout_ms, 2000);
    CHECK(!config.broker.durable);
    mpq_config_fini(&config);
    mpq_config_fini(&config);

    mpq_queue_config_init(&queue);
    CHECK(!queue.name);
    CHECK_INT(queue.workers, 3);
    CHECK_INT(queue.memory_limit_bytes, 128 << 20);
    CHECK_INT(queue.max_jobs, 0);
    CHECK_INT(queue.sleep_ms, 1000);
    CHECK_INT(queue.timeout_ms, 120000);
    CHECK_INT(queue.fail_number, 3);
    CHECK_INT(queue.fail_expire_ms, 3000);
    CHECK(!queue.timeout_retry);
    CHECK_INT(queue.mode, MPQ_MODE_DISTRIBUTE);
}

TEST(config_frees_everything_it_owns)
{
    mpq_config config;
    mpq_config_init(&config);
    config.name = strdup("svc");
    config.pid_path = strdup("/run/svc.pid");
    config.log_path = strdup("/var/log");
    config.broker.password = strdup("secret");
    config.broker.path = strdup("/var/lib/q.db");
    config.queues = calloc(2, sizeof *config.queues);
    config.queue_count = 2;
    config.queues[0].name = strdup("mail");
    config.queues[1].name = strdup("mail2");
    CHECK(mpq_config_queue(&config, "mail", 4) == &config.queues[0]);
    CHECK(mpq_config_queue(&config, "mail2", 5) == &config.queues[1]);
    CHECK(mpq_config_queue(&config, "mail2", 4) == &config.queues[0]);
    CHECK(mpq_config_queue(&config, "mai", 3) == NULL);
    CHECK(mpq_config_queue(&config, "", 0) == NULL);
    mpq_config_fini(&config);
}

TEST(config_service_names)
{
    char name[80];
    memset(name, 'a', sizeof name);
    CHECK(mpq_config_service_name_problem("mp-queue_1.A", 12) == NULL);
    CHECK(mpq_config_service_name_problem(name, 64) == NULL);
    CHECK(mpq_config_service_name_problem(name, 65) != NULL);
    CHECK(mpq_config_service_name_problem("", 0) != NULL);
    CHECK(mpq_config_service_name_problem("a/b", 3) != NULL);
    CHECK(mpq_config_service_name_problem("a b", 3) != NULL);
    CHECK(mpq_config_service_name_problem("a\0b", 3) != NULL);
    CHECK(mpq_config_service_name_problem("..", 2) != NULL);
    CHECK(mpq_config_service_name_problem("\xc3\xa9", 2) != NULL);
}

TEST(config_queue_names)
{
    char name[200];
    memset(name, 'q', sizeof name);
    CHECK(mpq_config_queue_name_problem("mail", 4) == NULL);
    CHECK(mpq_config_queue_name_problem("\xe9\x82\xae\xe4\xbb\xb6 :/", 9) == NULL);
    CHECK(mpq_config_queue_name_problem(name, 128) == NULL);
    CHECK(mpq_config_queue_name_problem(name, 129) != NULL);
    CHECK(mpq_config_queue_name_problem("", 0) != NULL);
    CHECK(mpq_config_queue_name_problem("a{b", 3) != NULL);
    CHECK(mpq_config_queue_name_problem("a}b", 3) != NULL);
    CHECK(mpq_config_queue_name_problem("a\nb", 3) != NULL);
    CHECK(mpq_config_queue_name_problem("a\0b", 3) != NULL);
    CHECK(mpq_config_queue_name_problem("a\x7f", 2) != NULL);
}

TEST(config_copy_is_independent)
{
    mpq_broker_config from, to;
    mpq_broker_config_init(&from);
    from.driver = MPQ_DRIVER_SQLITE;
    from.path = strdup("/q.db");
    from.password = strdup("secret");
    from.durable = true;
    from.read_timeout_ms = 123;
    CHECK_INT(mpq_broker_config_copy(&to, &from, NULL), 0);
    mpq_broker_config_fini(&from);
    CHECK_INT(to.driver, MPQ_DRIVER_SQLITE);
    CHECK_STR(to.path, "/q.db");
    CHECK_STR(to.password, "secret");
    CHECK_STR(to.prefix, "mpq");
    CHECK(to.durable && to.read_timeout_ms == 123 && !to.host);
    mpq_broker_config_fini(&to);
}

typedef struct good_dsn {
    const char *dsn, *host, *socket_path, *user, *password, *prefix;
    uint16_t port;
    uint32_t database, connect_ms, read_ms;
} good_dsn;

static const good_dsn good[] = {
    {"redis://localhost", "localhost", NULL, NULL, NULL, "mpq", 6379, 0, 2000, 2000},
    {"redis://localhost/", "localhost", NULL, NULL, NULL, "mpq", 6379, 0, 2000, 2000},
    {"redis://127.0.0.1:7000/15", "127.0.0.1", NULL, NULL, NULL, "mpq", 7000, 15, 2000, 2000},
    {"redis://:secret@h:65535", "h", NULL, NULL, "secret", "mpq", 65535, 0, 2000, 2000},
    {"redis://bob:secret@h", "h", NULL, "bob", "secret", "mpq", 6379, 0, 2000, 2000},
    {"redis://bob@h", "h", NULL, "bob", NULL, "mpq", 6379, 0, 2000, 2000},
    {"redis://b%3Aob:p%40ss%2F%25:w@h/1", "h", NULL, "b:ob", "p@ss/%:w", "mpq", 6379, 1, 2000, 2000},
    {"redis://u:p@ss@h", "h", NULL, "u", "p@ss", "mpq", 6379, 0, 2000, 2000},
    {"redis://[::1]:6380/2", "::1", NULL, NULL, NULL, "mpq", 6380, 2, 2000, 2000},
    {"redis://:pw@[fe80::1%25eth0]", "fe80::1%eth0", NULL, NULL, "pw", "mpq", 6379, 0, 2000, 2000},
    {"redis://h?prefix=app%3Aq&connect_timeout=0.5&read_timeout=1.25", "h", NULL, NULL, NULL, "app:q", 6379, 0, 500,
     1250},
    {"redis://h/3?read_timeout=10&", "h", NULL, NULL, NULL, "mpq", 6379, 3, 2000, 10000},
    {"redis://h/2147483647?read_timeout=0.0019", "h", NULL, NULL, NULL, "mpq", 6379, 2147483647, 2000, 1},
    {"unix:///run/redis.sock", NULL, "/run/redis.sock", NULL, NULL, "mpq", 6379, 0, 2000, 2000},
    {"redis+unix:///run/my%20redis@1.sock?database=4&password=a%26b&user=eve&prefix=x", NULL, "/run/my redis@1.sock",
     "eve", "a&b", "x", 6379, 4, 2000, 2000},
    {"unix://u:p@/r.sock", NULL, "/r.sock", "u", "p", "mpq", 6379, 0, 2000, 2000},
};

static bool same(const char *actual, const char *expected)
{
    return actual && expected ? strcmp(actual, expected) == 0 : actual == expected;
}

TEST(dsn_is_understood)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const good_dsn *want = &good[i];
        mpq_broker_config got;
        mpq_error err = {0};
        mpq_broker_config_init(&got);
        got.driver = MPQ_DRIVER_MEMORY;
        if (mpq_broker_config_parse_dsn(&got, want->dsn, &err) != 0) {
            test_fail(__FILE__, __LINE__, "%s: %s", want->dsn, err.text);
            return;
        }
        if (got.driver != MPQ_DRIVER_REDIS || !same(got.host, want->host) ||
            !same(got.socket_path, want->socket_path) || !same(got.user, want->user) ||
            !same(got.password, want->password) || !same(got.prefix, want->prefix) || got.port != want->port ||
            got.database != want->database || got.connect_timeout_ms != want->connect_ms ||
            got.read_timeout_ms != want->read_ms) {
            test_fail(__FILE__, __LINE__, "%s was misunderstood", want->dsn);
            return;
        }
        mpq_broker_config_fini(&got);
    }
}

/* "s3cret" stands wherever somebody may have meant a password. */
static const struct {
    const char *dsn, *hint;
} bad[] = {
    {"", "must begin with redis://"},
    {"localhost:6379", "must begin with redis://"},
    {"bob:s3cret@localhost", "must begin with redis://"},
    {"bob:s3cret@redis://localhost", "must begin with redis://"},
    {"http://bob:s3cret@localhost", "must begin with redis://"},
    {"rediss://:s3cret@localhost", "TLS"},
    {"redis://", "host"},
    {"redis://:s3cret@", "host"},
    {"redis://:s3cret@:6379", "host"},
    {"redis://bob:s3cret", "port"},
    {"redis://bob:s3cret/1", "port"},
    {"redis://:s3cret@h:0", "port"},
    {"redis://:s3cret@h:65536", "port"},
    {"redis://:s3cret@h:", "port"},
    {"redis://:s3cret@h:12x", "port"},
    {"redis://:s3cret@h:-1", "port"},
    {"redis://:s3cret@[::1", "closing ]"},
    {"redis://:s3cret@[::1]x", "port"},
    {"redis://:s3cret@[localhost]", "IPv6"},
    {"redis://::1", "brackets"},
    {"redis://:s3cret@h/abc", "database"},
    {"redis://:s3cret@h/1/2", "database"},
    {"redis://:s3cret@h/-1", "database"},
    {"redis://:s3cret@h/2147483648", "database"},
    {"redis://:s3cret@h/99999999999999999999", "database"},
    {"redis://:s3cret@h?database=x", "database"},
    {"redis://:s3cret@h?colour=red", "\"colour\""},
    {"redis://:s3cret@h?prefix=a&colour=red", "\"colour\""},
    {"redis://:s3cret@h?prefix", "name=value"},
    {"redis://:s3cret@h?prefix=", "prefix"},
    {"redis://:s3cret@h?prefix=a{b}", "prefix"},
    {"redis://:s3cret@h?connect_timeout=0", "connect_timeout"},
    {"redis://:s3cret@h?connect_timeout=-1", "connect_timeout"},
    {"redis://:s3cret@h?connect_timeout=1.", "connect_timeout"},
    {"redis://:s3cret@h?connect_timeout=.5", "connect_timeout"},
    {"redis://:s3cret@h?connect_timeout=1e3", "connect_timeout"},
    {"redis://:s3cret@h?read_timeout=86401", "read_timeout"},
    {"redis://:s3cret@h?read_timeout=", "read_timeout"},
    {"redis://:s3cret%@h", "%25"},
    {"redis://:s3cret%4@h", "%25"},
    {"redis://:s3cret%zz@h", "%25"},
    {"redis://:s3cret%00@h", "%25"},
    {"redis://bob:12/s3cret@h", "percent-encoded"},
    {"redis://bob:12?s3cret@h", "percent-encoded"},
    {"redis://bob:12?s3cret=1@h", "percent-encoded"},
    {"redis://h?password=a&s3cret=b", "%26"},
    {"redis://h?password=s3cret&colour=b", "%26"},
    {"redis://h?password=s3cret%&colour=b", "%25"},
    {"redis://h x", "host"},
    {"unix://", "unix:///"},
    {"unix:///", "unix:///"},
    {"unix://run/redis.sock", "unix:///"},
    {"unix://:s3cret/x@/run/r.sock", "unix:///"},
    {"unix://:a@/s3cret@/run/r.sock", "%40"},
    {"unix://:a@/x?prefix=s3cret@/run/r.sock", "%40"},
    {"unix:///r.sock?passwort=s3cret", "\"passwort\""},
    {"unix:///r.sock?prefix=a@b&password=s3cret&x=y", "%26"},
    {"unix:///r.sock?database=1x&password=s3cret", "database"},
};

TEST(dsn_errors_name_the_fault_and_no_password)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mpq_broker_config config;
        mpq_error err = {0};
        mpq_broker_config_init(&config);
        config.database = 9;
        if (mpq_broker_config_parse_dsn(&config, bad[i].dsn, &err) != -1 || err.kind != MPQ_ERROR_CONFIG)
            test_fail(__FILE__, __LINE__, "%s was accepted", bad[i].dsn);
        else if (!strstr(err.text, bad[i].hint))
            test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", bad[i].dsn, err.text, bad[i].hint);
        else if (strstr(err.text, "s3cret"))
            test_fail(__FILE__, __LINE__, "the error shows the password: %s", err.text);
        else if (config.host || config.socket_path || config.password || config.database != 9 ||
                 !same(config.prefix, "mpq"))
            test_fail(__FILE__, __LINE__, "%s changed the configuration", bad[i].dsn);
        mpq_broker_config_fini(&config);
    }
}

TEST(dsn_errors_show_the_rest_of_the_address)
{
    mpq_broker_config config;
    mpq_error err;
    mpq_broker_config_init(&config);
    CHECK_INT(mpq_broker_config_parse_dsn(&config, "redis://bob:pw@db.example:6379/x?prefix=y", &err), -1);
    CHECK(strstr(err.text, "\"redis://***@db.example:6379/x...\""));
    CHECK_INT(mpq_broker_config_parse_dsn(&config, "redis://db.example:6379/x", &err), -1);
    CHECK(strstr(err.text, "\"redis://db.example:6379/x\""));
    CHECK_INT(mpq_broker_config_parse_dsn(&config, "redis://[::1]:6379/x", &err), -1);
    CHECK(strstr(err.text, "\"redis://[::1]:6379/x\""));
    mpq_broker_config_fini(&config);
}

TEST(dsn_of_any_length_is_handled)
{
    mpq_broker_config config;
    mpq_error err;
    char *dsn = malloc(100000);
    mpq_broker_config_init(&config);
    for (size_t at = 0; at < 4; at++) {
        static const char *const starts[] = {"redis://", "redis://h/", "unix:///", "redis://h?"};
        memset(dsn, 'x', 99999);
        dsn[99999] = '\0';
        memcpy(dsn, starts[at], strlen(starts[at]));
        CHECK_INT(mpq_broker_config_parse_dsn(&config, dsn, &err), -1);
        CHECK(strlen(err.text) < sizeof err.text - 1);
    }
    free(dsn);
    mpq_broker_config_fini(&config);
}

TEST(dsn_overrides_only_what_it_names)
{
    mpq_broker_config config;
    mpq_broker_config_init(&config);
    config.socket_path = strdup("/old.sock");
    config.password = strdup("kept");
    config.read_timeout_ms = 77;
    CHECK_INT(mpq_broker_config_parse_dsn(&config, "redis://new/5", NULL), 0);
    CHECK_STR(config.host, "new");
    CHECK(!config.socket_path);
    CHECK_STR(config.password, "kept");
    CHECK_INT(config.read_timeout_ms, 77);
    CHECK_INT(config.database, 5);
    mpq_broker_config_fini(&config);
}

static void describe(const char *dsn, const char *expected)
{
    mpq_broker_config config;
    char text[200];
    mpq_broker_config_init(&config);
    CHECK_INT(mpq_broker_config_parse_dsn(&config, dsn, NULL), 0);
    mpq_broker_config_describe(&config, text, sizeof text);
    CHECK_STR(text, expected);
    mpq_broker_config_fini(&config);
}

TEST(config_describes_without_secrets)
{
    mpq_broker_config config;
    char text[32];
    describe("redis://bob:s3cret@127.0.0.1/0", "redis 127.0.0.1:6379/0");
    describe("redis://:s3cret@[::1]:7/3", "redis [::1]:7/3");
    describe("unix:///run/redis.sock?password=s3cret", "redis /run/redis.sock/0");
    if (test_failed())
        return;
    mpq_broker_config_init(&config);
    config.driver = MPQ_DRIVER_SQLITE;
    config.path = strdup("/var/lib/q.db");
    mpq_broker_config_describe(&config, text, sizeof text);
    CHECK_STR(text, "sqlite /var/lib/q.db");
    mpq_broker_config_describe(&config, text, 8);
    CHECK_STR(text, "sqlite ");
    mpq_broker_config_fini(&config);
    config.driver = MPQ_DRIVER_MEMORY;
    mpq_broker_config_describe(&config, text, sizeof text);
    CHECK_STR(text, "memory");
}
