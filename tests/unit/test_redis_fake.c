/* The Redis driver and servers that are none, too old or not ready. */
#include "redis_fixture.h"

/* -- servers that are none -------------------------------------------------------------------------------------- */

typedef struct fake {
    const char *hello; /* NULL = as to everything else */
    const char *info;
    const char *answer;
} fake;

static bool contains(const char *bytes, ssize_t len, const char *word)
{
    return memmem(bytes, (size_t)len, word, strlen(word)) != NULL;
}

/* Answers one request at a time, as long as a request fits one read. */
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
            const char *text = n > 0 && contains(bytes, n, "HELLO") && what->hello ? what->hello
                               : n > 0 && contains(bytes, n, "INFO") && what->info ? what->info
                                                                                   : what->answer;
            if (n > 0)
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
