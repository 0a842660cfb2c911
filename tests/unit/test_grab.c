/* A worker of grab mode and a Redis that is in its way. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fake_host.h"
#include "log_lines.h"
#include "producer.h"
#include "redis_server.h"
#include "roles.h"
#include "test.h"

static redis_server server;
static fake_host host;
static mpq_config config;
static mpq_queue_config queue;
static mpq_process process;
static mpq_error error;
static char directory[128];

static void setup(const char *options)
{
    redis_server_start(&server, options);
    mpq_config_init(&config);
    mpq_queue_config_init(&queue);
    mpq_broker_config_fini(&config.broker);
    redis_server_config(&server, &config.broker);
    snprintf(directory, sizeof directory, "%s/%ld", test_tmpdir(), (long)getpid());
    config.name = strdup("svc");
    config.pid_path = strdup(test_tmpdir());
    queue.name = strdup("q");
    queue.workers = 1;
    queue.mode = MPQ_MODE_GRAB;
    config.queues = &queue;
    config.queue_count = 1;
    process.config = &config;
    process.host = &host.host;
    process.manager_pid = getpid();
    if (mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &process.log, &error) < 0 ||
        mpq_board_open(&config, &process.board, &error) < 0)
        test_fail(__FILE__, __LINE__, "%s", error.text);
    fake_host_init(&host, directory);
    mpq_board_reserve_worker(&process.board, 0, 1);
}

static void teardown(void)
{
    redis_server_kill(&server);
    mpq_board_close(&process.board, &config, true);
    mpq_log_close(process.log);
    free(queue.name);
    config.queues = NULL;
    config.queue_count = 0;
    mpq_config_fini(&config);
}

static pid_t start_worker(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        alarm(60);
        _exit(mpq_worker_run(&process, 0, &error));
    }
    return pid;
}

static void push(const char *payload)
{
    mpq_producer *producer = NULL;
    mpq_new_job job = {.payload = mpq_slice_of(payload, strlen(payload)), .fail_number = 1};
    mpq_id id;
    size_t accepted;
    if (mpq_producer_open(&config.broker, 1 << 20, &producer, &error) < 0 ||
        mpq_producer_push(producer, "q", &job, 1, &id, &accepted, &error) < 0)
        test_fail(__FILE__, __LINE__, "%s", error.text);
    mpq_producer_close(producer);
}

/* Asking works, waiting does not: it goes on asking, but in peace. */
TEST(grab_worker_keeps_calm_where_it_may_not_wait)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    setup("user default on nopass ~* &* +@all -blmove\n");
    pid_t pid = start_worker();
    usleep(1500000);
    push("done");
    for (int i = 0; i < 300 && redis_command_int(&server, "HGET mpq:{q}:stats done") != 1; i++)
        usleep(10000);
    CHECK_INT(redis_command_int(&server, "HGET mpq:{q}:stats done"), 1);
    CHECK_INT(log_lines(directory, "connecting again"), 1);
    redisReply *reply = redis_command(&server, "INFO stats");
    const char *at = strstr(reply->str, "total_connections_received:");
    CHECK(at && atoi(at + strlen("total_connections_received:")) < 200);
    freeReplyObject(reply);
    kill(pid, SIGTERM);
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    teardown();
}

/* Of a command since CONFIG RESETSTAT; `what` is "calls" or "rejected_calls". */
static long count_of(const char *command, const char *what)
{
    char text[64];
    redisReply *reply = redis_command(&server, "INFO commandstats");
    snprintf(text, sizeof text, "cmdstat_%s:", command);
    const char *at = strstr(reply->str, text);
    snprintf(text, sizeof text, "%s=", what);
    at = at ? strstr(at, text) : NULL;
    long count = at ? strtol(at + strlen(text), NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

/* It refuses BLMOVE, and lets scripts make room. */
TEST(grab_worker_keeps_calm_where_nothing_more_fits_in)
{
    if (!redis_server_available())
        SKIP("no redis-server");
    setup("maxmemory-policy noeviction\n");
    queue.sleep_ms = 100;
    push("done");
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 1"));
    pid_t pid = start_worker();
    for (int i = 0; i < 1000 && redis_command_int(&server, "HLEN mpq:{q}:stats") < 2; i++)
        usleep(10000);
    freeReplyObject(redis_command(&server, "CONFIG RESETSTAT"));
    usleep(1000000);
    long refused = count_of("blmove", "rejected_calls"), asked = count_of("evalsha", "calls");
    CHECK(refused > 0 && refused <= 20);
    CHECK(asked > 0 && asked <= 40);
    freeReplyObject(redis_command(&server, "CONFIG SET maxmemory 0"));
    push("done");
    for (int i = 0; i < 1000 && redis_command_int(&server, "HGET mpq:{q}:stats done") < 2; i++)
        usleep(10000);
    CHECK_INT(redis_command_int(&server, "HGET mpq:{q}:stats done"), 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    teardown();
}
