/* A producer that pushes few and many jobs through gates while its connections suffer what connections do, in any
 * order. What fails is pushed again by the caller until it succeeds. */
#include "producer.h"
#include "push_many.h"

enum { ROUNDS = 100, JOBS_MAX = 2300, TIMEOUT_MS = 120 };

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % below;
}

static char front[96]; /* where the producer connects: a link to the proxy or past it */
static bool held;

static void lead_to(const char *target)
{
    char other[112];
    snprintf(other, sizeof other, "%s.new", front);
    if (symlink(target, other) != 0 || rename(other, front) != 0)
        test_fail(__FILE__, __LINE__, "no link");
}

static mpq_producer *producer_through_proxy(void)
{
    char path[96];
    mpq_producer *producer = NULL;
    snprintf(path, sizeof path, "%.60s/proxy-%ld", test_tmpdir(), (long)getpid());
    snprintf(front, sizeof front, "%.60s/front-%ld", test_tmpdir(), (long)getpid());
    lead_to(path);
    if (!proxy_start(&between, path, server.socket_path))
        test_fail(__FILE__, __LINE__, "no proxy");
    mpq_broker_config through = config;
    through.socket_path = front;
    through.connect_timeout_ms = through.read_timeout_ms = TIMEOUT_MS;
    if (mpq_producer_open(&through, 0, &producer, &error) < 0)
        test_fail(__FILE__, __LINE__, "%s", error.text);
    return producer;
}

static void cut_all(void *arg)
{
    (void)arg;
    proxy_cut(&between, 0);
}

/* Whoever connects from now on gets ahead of what was sent. */
static void hold_and_pass(void *arg)
{
    held = true;
    lead_to(server.socket_path);
    hold_everything(arg);
}

static void suffer(void)
{
    static const char *const points[] = {"store.push.watched", "store.push.sent", "store.call.sent"};
    const char *point = points[draw(3)];
    switch (draw(24)) {
    case 0:
        proxy_lose_answer(&between, 0);
        break;
    case 1:
        proxy_lose_request(&between, 0);
        break;
    case 2:
        at(point, cut_all);
        break;
    case 3:
    case 6:
    case 7:
        at(point, hold_and_pass);
        break;
    case 4:
        at(point, hold_everything);
        break;
    case 5:
        at(point, freeze_server);
        break;
    default: /* nothing, so that gates are opened */
        break;
    }
}

/* What was held goes on, and connections are the proxy's again. */
static void recover(void)
{
    mpq_crash_be(0);
    redis_server_freeze(&server, false);
    proxy_be_silent(&between, false);
    if (!held)
        return;
    held = false;
    usleep(20000);
    lead_to(between.path);
    freeReplyObject(redis_command(&server, "CLIENT KILL TYPE normal SKIPME yes"));
}

/* Either what was held comes at once, or after the next attempt, or after other pushes. */
static void push_until_it_is_there(mpq_producer *producer, uint32_t count, mpq_id *ids)
{
    static mpq_new_job jobs[JOBS_MAX];
    size_t accepted;
    for (uint32_t i = 0; i < count; i++)
        jobs[i] = (mpq_new_job){.payload = mpq_slice_of("work", 4)};
    for (int i = 0; mpq_producer_push(producer, "q", jobs, count, ids, &accepted, &error) != 0; i++) {
        CHECK(i < 5);
        if (i > 0 || draw(2))
            recover();
    }
    CHECK_INT(accepted, count);
    if (!held || draw(2))
        recover();
}

/* Of all jobs, how many are not there twice. */
static long long different_jobs(void)
{
    return redis_command_int(&server, "EVAL %s 1 mpq:{q}:ready",
                             "local seen, n = {}, 0 for _, job in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do "
                             "local id = string.sub(job, 9, 24) n = n + (seen[id] and 0 or 1) seen[id] = true end "
                             "return n");
}

static void check_nothing_comes_late(long long pushed)
{
    CHECK_INT(waiting(), pushed);
    usleep(300000);
    CHECK_INT(waiting(), pushed);
    CHECK_INT(different_jobs(), pushed);
}

TEST(whatever_happens_to_connections_each_push_is_there_once)
{
    NEED_SERVER(NULL);
    static mpq_id ids[JOBS_MAX];
    long long pushed = 0;
    const char *given = getenv("SEED");
    uint32_t began = seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)getpid();
    mpq_producer *producer = producer_through_proxy();
    CHECK(!test_failed());
    forget_calls();
    for (int i = 0; i < ROUNDS && !test_failed(); i++) {
        uint32_t count = i % 3 == 0 ? 1 : draw(5) ? 128 + draw(300) : 128 + draw(JOBS_MAX - 128);
        if (!held)
            suffer();
        push_until_it_is_there(producer, count, ids);
        pushed += count;
        if (waiting() != pushed || test_failed())
            test_fail(__FILE__, __LINE__, "SEED=%u, round %d: %lld jobs of %lld", began, i, waiting(), pushed);
    }
    CHECK(calls_of("watch") > 3 && calls_of("exec") > 10);
    recover();
    if (!test_failed())
        check_nothing_comes_late(pushed);
    mpq_producer_close(producer);
    proxy_stop(&between);
}
