/* The Redis driver and servers that are none, too old or not ready. */
#include "redis_fixture.h"

#include <sys/mman.h>

/* -- servers that are none -------------------------------------------------------------------------------------- */

typedef struct fake {
    const char *hello; /* NULL = as to everything else */
    const char *info;
    const char *answer;
    struct {
        const char *word, *answer;
    } rules[4]; /* the first whose word is in what was asked */
} fake;

/* How often something with an envelope behind a gate was sent to it. */
static uint32_t *passed;

static bool contains(const char *bytes, ssize_t len, const char *word)
{
    return memmem(bytes, (size_t)len, word, strlen(word)) != NULL;
}

static const char *choose(const fake *what, const char *bytes, ssize_t len)
{
    if (contains(bytes, len, "HELLO") && what->hello)
        return what->hello;
    if (contains(bytes, len, "INFO") && what->info)
        return what->info;
    if (passed && contains(bytes, len, "RPUSHX"))
        ++*passed;
    for (size_t i = 0; i < 4 && what->rules[i].word; i++)
        if (contains(bytes, len, what->rules[i].word))
            return what->rules[i].answer;
    return what->answer;
}

/* Answers what comes at once as one request, as long as it fits one read. */
static void answer_requests(int listener, const fake *what)
{
    for (;;) {
        struct pollfd fds[9] = {{.fd = listener, .events = POLLIN}};
        static int clients[8];
        static nfds_t count;
        for (nfds_t i = 0; i < count; i++)
            fds[i + 1] = (struct pollfd){.fd = clients[i], .events = POLLIN};
        nfds_t watched = count + 1;
        poll(fds, watched, -1);
        for (nfds_t i = 1; i < watched; i++) {
            char bytes[65536];
            ssize_t n = fds[i].revents ? recv(fds[i].fd, bytes, sizeof bytes, 0) : 0;
            const char *text = n > 0 ? choose(what, bytes, n) : NULL;
            if (text)
                send(fds[i].fd, text, strlen(text), MSG_NOSIGNAL);
        }
        if (fds[0].revents && count < 8)
            clients[count++] = accept(listener, NULL, NULL);
    }
}

static pid_t fake_pid;

static void end_fake(void)
{
    kill(fake_pid, SIGKILL);
    waitpid(fake_pid, NULL, 0);
}

static void start_fake(const fake *what)
{
    static unsigned number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/fake-%ld-%u", test_tmpdir(), (long)getpid(), number++);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0)
        exit(1);
    mpq_broker_config_fini(&config);
    mpq_broker_config_init(&config);
    config.driver = MPQ_DRIVER_REDIS;
    config.socket_path = strdup(address.sun_path);
    config.connect_timeout_ms = config.read_timeout_ms = 200;
    fake_pid = fork();
    if (fake_pid == 0) {
        alarm(60);
        answer_requests(listener, what);
    }
    close(listener);
}

#define HELLO_7 "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n"

static void check_every_operation_fails(const char *answer)
{
    mpq_counts counts;
    mpq_broker *p = handle();
    if (push(p, 1) == 0 && strcmp(answer, "+OK\r\n") != 0)
        test_fail(__FILE__, __LINE__, "push took %s", answer);
    if (p->ops->counts(p, "q", &counts, &error) == 0)
        test_fail(__FILE__, __LINE__, "counts took %s", answer);
    size_t seen = 0;
    if (p->ops->failed(p, "q", count_record, &seen, &error) == 0)
        test_fail(__FILE__, __LINE__, "failed took %s", answer);
    if (p->ops->ping(p, &error) == 0)
        test_fail(__FILE__, __LINE__, "ping took %s", answer);
    if (attach(p, "a:1", LEASE_MS, MPQ_ATTACH_FRESH, NULL) == 0)
        test_fail(__FILE__, __LINE__, "attach took %s", answer);
    if (p->ops->detach(p, &error) == 0 || take(p, 1) >= 0)
        test_fail(__FILE__, __LINE__, "not attached after %s", answer);
    mpq_broker_close(p);
    opened_count--;
}

TEST(answers_that_make_no_sense_are_errors)
{
    static const char *const answers[] = {
        "+OK\r\n",
        ":1\r\n",
        "$5\r\nhello\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n*0\r\n",
        "*2\r\n$1\r\n0\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nx\r\n",
        "*6\r\n$1\r\n1\r\n*0\r\n$-1\r\n:1\r\n:1\r\n:1\r\n",
        "*6\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:-1\r\n",
        "*3\r\n$0\r\n\r\n$1\r\nx\r\n:1\r\n",
        "*2\r\n$1\r\n7\r\n*0\r\n", /* a page of records after which there is always another */
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$99999999999999999999\r\n",
        "*99999999999999999999\r\n",
        "-ERR no\r\n",
        "-\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "\r\n",
        "$10\r\nshort\r\n",
    };
    atexit(clean_up);
    for (size_t i = 0; i < sizeof answers / sizeof *answers && !test_failed(); i++) {
        fake what = {.hello = HELLO_7, .answer = answers[i]};
        start_fake(&what);
        check_every_operation_fails(answers[i]);
        end_fake();
        what.hello = NULL;
        start_fake(&what);
        check_every_operation_fails(answers[i]);
        end_fake();
    }
}

TEST(an_exchange_takes_no_answer_that_makes_no_sense)
{
    NEED_SERVER(NULL);
    static const char *const answers[] = {"+OK\r\n",
                                          "*0\r\n",
                                          "*5\r\n:0\r\n:0\r\n:0\r\n:0\r\n$1\r\nx\r\n",
                                          "*6\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
                                          "-ERR no\r\n",
                                          ":7\r\n"};
    mpq_broker *a = consumer("a:1", LEASE_MS);
    mpq_redis *redis = (mpq_redis *)a;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CHECK(send_wanting(a, 1) == 0);
        /* In front of the true answer. */
        redisReaderFeed(redis->consumer.work.context->reader, answers[i], strlen(answers[i]));
        CHECK_INT(receive(a), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
        CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
        CHECK(a->ops->wait_arm(a, &error) == 0);
        redisReaderFeed(redis->consumer.wait.context->reader, answers[i], strlen(answers[i]));
        CHECK_INT(a->ops->wait_collect(a, &batch, &error), -1);
        CHECK_INT(error.kind, MPQ_ERROR_BROKER);
        CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    }
    CHECK(push(handle(), 1) == 0);
    CHECK_INT(take(a, 1), 1);
}

TEST(a_server_that_is_too_old_is_named_with_its_version)
{
    atexit(clean_up);
    fake five = {.hello = "-ERR unknown command `HELLO`, with args beginning with: `2`, \r\n",
                 .info = "$32\r\n# Server\r\nredis_version:5.0.14\r\n\r\n",
                 .answer = "+PONG\r\n"};
    start_fake(&five);
    mpq_broker *p = handle();
    CHECK(p->ops->ping(p, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_BROKER);
    CHECK(has_text("Redis 6.2 or newer is needed, this is 5.0.14"));
    end_fake();
    fake six = {.hello = "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.0.9\r\n",
                .answer = "+PONG\r\n"};
    start_fake(&six);
    mpq_broker *q = handle();
    CHECK(q->ops->ping(q, &error) == -1);
    CHECK(has_text("Redis 6.2 or newer is needed, this is 6.0.9"));
    end_fake();
    six.hello = "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.11\r\n";
    start_fake(&six);
    mpq_broker *r = handle();
    CHECK(r->ops->ping(r, &error) == 0);
    end_fake();
}

TEST(a_server_that_is_loading_is_to_be_tried_again)
{
    atexit(clean_up);
    fake loading = {.hello = HELLO_7, .answer = "-LOADING Redis is loading the dataset in memory\r\n"};
    start_fake(&loading);
    mpq_broker *p = handle();
    CHECK(push(p, 1) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(has_text(": push: LOADING Redis is loading"));
    end_fake();
}

/* -- servers that know gates, but not how -------------------------------------------------------------------------- */

enum { MANY = 128, GATED = 4 /* the number of the push that goes through the gate */ };

#define EMPTY "+OK\r\n*0\r\n"
#define WATCHED "+OK\r\n:1\r\n+OK\r\n"
#define FIRST "$25\r\nan envelope of 25 bytes..\r\n"
#define QUEUED "+QUEUED\r\n"

/* No true ones: answers are text. */
static int push_texts(mpq_broker *broker, uint32_t count, uint32_t sequence)
{
    mpq_push_item items[MANY];
    for (uint32_t i = 0; i < count; i++)
        items[i] = (mpq_push_item){mpq_slice_of("an envelope of 25 bytes..", 25), 0};
    mpq_push all = {.queue = "q", .producer = 7, .sequence = sequence, .items = items, .count = count};
    return broker->ops->push(broker, &all, &error);
}

typedef enum outcome { BY_SCRIPT, BY_GATE, NO_SENSE, NO_ANSWER } outcome;

/* What comes of the first push through a gate; the next one goes to the script, whatever came. */
static void check_gate(const fake *what, uint32_t count, outcome expected, bool may_send)
{
    *passed = 0;
    start_fake(what);
    mpq_broker *p = handle();
    for (uint32_t i = 1; i < GATED; i++)
        CHECK_INT(push_texts(p, count, i), 0);
    int rc = push_texts(p, count, GATED);
    CHECK_INT(rc, expected == BY_SCRIPT || expected == BY_GATE ? 0 : -1);
    if (rc < 0)
        CHECK_INT(error.kind, expected == NO_SENSE ? MPQ_ERROR_BROKER : MPQ_ERROR_TIMEOUT);
    CHECK_INT(*passed, may_send);
    if (expected != BY_GATE)
        CHECK_INT(push_texts(p, count, GATED + 1), 0);
    CHECK_INT(*passed, may_send);
    mpq_broker_close(p);
    opened_count--;
    end_fake();
}

static void share_counter(void)
{
    atexit(clean_up);
    passed = mmap(NULL, sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(passed != MAP_FAILED);
}

/* Who says anything but that it was empty may have transactions that are none: no job is sent to find out. */
TEST(nonsense_for_an_empty_transaction_lets_no_job_out)
{
    static const struct {
        const char *answer;
        outcome expected;
    } cases[] = {
        {"+OK\r\n+OK\r\n", NO_SENSE},
        {"+OK\r\n*1\r\n:1\r\n", NO_SENSE},
        {"+OK\r\n*-1\r\n", NO_SENSE},
        {"+OK\r\n:0\r\n", NO_SENSE},
        {"+OK\r\n$0\r\n\r\n", NO_SENSE},
        {"+OK\r\n+QUEUED\r\n", NO_SENSE},
        {"+QUEUED\r\n*0\r\n", NO_SENSE},
        {"*0\r\n*0\r\n", NO_SENSE},
        {":1\r\n*0\r\n", NO_SENSE},
        {"+OK\r\nHTTP/1.1 400 Bad Request\r\n", NO_SENSE},
        {"+OK\r\n*1000000\r\n", NO_SENSE},
        {"+OK\r\n", NO_ANSWER},
        {"+OK\r\n-EXECABORT no\r\n", BY_SCRIPT},
        {"+OK\r\n-NOPERM no\r\n", BY_SCRIPT},
        {"-NOPERM no\r\n-ERR EXEC without MULTI\r\n", BY_SCRIPT},
        {"-ERR unknown command\r\n-ERR unknown command\r\n", BY_SCRIPT},
    };
    share_counter();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases) && !test_failed(); i++) {
        fake what = {
            .hello = HELLO_7, .answer = "+OK\r\n", .rules = {{"EVALSHA", "+OK\r\n"}, {"EXEC", cases[i / 2].answer}}};
        check_gate(&what, i % 2 ? MANY : 1, cases[i / 2].expected, false);
        if (test_failed())
            printf("  the answer was %s\n", cases[i / 2].answer);
    }
}

TEST(jobs_are_sent_only_to_a_gate_that_is_watched_and_there)
{
    static const struct {
        const char *answer;
        outcome expected;
    } cases[] = {
        {"+OK\r\n:0\r\n+OK\r\n", BY_SCRIPT},
        {"+OK\r\n:2\r\n+OK\r\n", BY_SCRIPT},
        {"+OK\r\n:-1\r\n+OK\r\n", BY_SCRIPT},
        {"+OK\r\n-WRONGTYPE no list\r\n+OK\r\n", BY_SCRIPT},
        {"-NOPERM no\r\n:1\r\n+OK\r\n", BY_SCRIPT},
        {"+OK\r\n-NOPERM no\r\n+OK\r\n", BY_SCRIPT},
        {"+OK\r\n:1\r\n-NOPERM no\r\n", BY_SCRIPT},
        {"+OK\r\n:1\r\n-ERR MULTI calls can not be nested\r\n", BY_SCRIPT},
        {"-BUSY a script\r\n-BUSY a script\r\n-BUSY a script\r\n", BY_SCRIPT},
        {"+QUEUED\r\n:1\r\n+OK\r\n", NO_SENSE},
        {"+OK\r\n$1\r\n1\r\n+OK\r\n", NO_SENSE},
        {"+OK\r\n*-1\r\n+OK\r\n", NO_SENSE},
        {"+OK\r\n:1\r\n+QUEUED\r\n", NO_SENSE},
        {"+OK\r\n:1\r\n:1\r\n", NO_SENSE},
        {"+OK\r\n:1\r\n*0\r\n", NO_SENSE},
        {":1\r\n+OK\r\n+OK\r\n", NO_SENSE},
        {"+OK\r\n:1\r\n", NO_ANSWER},
        {"+OK\r\n", NO_ANSWER},
    };
    share_counter();
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !test_failed(); i++) {
        fake what = {.hello = HELLO_7,
                     .answer = "+OK\r\n",
                     .rules = {{"EVALSHA", "+OK\r\n"}, {"WATCH", cases[i].answer}, {"EXEC", EMPTY}}};
        check_gate(&what, MANY, cases[i].expected, false);
        if (test_failed())
            printf("  the answer was %s\n", cases[i].answer);
    }
}

/* The jobs are known to be there when the first has gone and the queue is at least as long as the push. */
TEST(many_jobs_are_there_only_if_the_answer_says_so)
{
    static const struct {
        const char *answer;
        outcome expected;
    } cases[] = {
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":128\r\n:127\r\n", BY_GATE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":9000\r\n-WRONGTYPE no hash\r\n", BY_GATE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":0\r\n:127\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":127\r\n:127\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":-1\r\n:127\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST "-OOM no\r\n:127\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST "$3\r\n128\r\n:127\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*2\r\n:3\r\n" FIRST, NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*0\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "+OK\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n" FIRST ":128\r\n", NO_ANSWER},
        {QUEUED QUEUED QUEUED QUEUED, NO_ANSWER},
        {QUEUED QUEUED "+OK\r\n" QUEUED "*4\r\n:3\r\n" FIRST ":128\r\n:127\r\n", NO_SENSE},
        {":3\r\n" FIRST ":128\r\n:127\r\n-ERR EXEC without MULTI\r\n", NO_SENSE},
        {QUEUED QUEUED QUEUED QUEUED "*-1\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED QUEUED "$-1\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED QUEUED "-EXECABORT no\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED "-NOPERM no\r\n-EXECABORT no\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:0\r\n$-1\r\n:0\r\n:127\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n-WRONGTYPE a\r\n-WRONGTYPE a\r\n:127\r\n", BY_SCRIPT},
        {QUEUED QUEUED QUEUED QUEUED "*4\r\n:3\r\n$1\r\nx\r\n:128\r\n:127\r\n", BY_SCRIPT},
    };
    share_counter();
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !test_failed(); i++) {
        fake what = {
            .hello = HELLO_7,
            .answer = "+OK\r\n",
            .rules = {{"EVALSHA", "+OK\r\n"}, {"WATCH", WATCHED}, {"RPUSHX", cases[i].answer}, {"EXEC", EMPTY}}};
        check_gate(&what, MANY, cases[i].expected, true);
        if (test_failed())
            printf("  the answer was %s\n", cases[i].answer);
    }
}
