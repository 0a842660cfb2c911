#include "clock.h"
#include "codec.h"
#include "producer_fixture.h"
#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A broker with faults: the memory broker's handle with another `push`. It lasts until the producer opens a new
 * handle, which is then a sound one.
 */
static struct {
    mpq_broker_ops ops;
    enum mpq_error_kind kind; /* what the next pushes answer */
    bool stored;              /* although the push took place */
    unsigned sound;           /* after this many sound ones */
    unsigned slow_ms;
    unsigned pushes;
    uint64_t sequence; /* of the latest */
} faulty;

static int push_faulty(mpq_broker *broker, const mpq_push *push, mpq_error *err)
{
    faulty.pushes++;
    faulty.sequence = push->sequence;
    if (faulty.kind == MPQ_ERROR_NONE || faulty.sound > 0) {
        faulty.sound -= faulty.sound > 0;
        return mpq_broker_memory.push(broker, push, err);
    }
    if (faulty.stored && mpq_broker_memory.push(broker, push, err) < 0)
        return -1;
    usleep(faulty.slow_ms * 1000);
    return mpq_error_set(err, faulty.kind, "made to fail");
}

static void make_faulty(mpq_producer *producer)
{
    mpq_broker *broker = mpq_producer_broker(producer);
    faulty.ops = mpq_broker_memory;
    faulty.ops.push = push_faulty;
    broker->ops = &faulty.ops;
    faulty.pushes = 0;
}

static mpq_producer *open_producer(uint64_t payload_max_bytes)
{
    mpq_broker_config config;
    mpq_producer *producer = NULL;
    mpq_broker_config_init(&config);
    config.driver = MPQ_DRIVER_MEMORY;
    config.connect_timeout_ms = 100;
    config.read_timeout_ms = 100;
    mpq_producer_open(&config, payload_max_bytes, &producer, NULL);
    mpq_broker_config_fini(&config);
    return producer;
}

static uint64_t count_pushed(mpq_producer *producer, const char *queue)
{
    mpq_counts counts = {0};
    mpq_broker *broker = mpq_producer_broker(producer);
    mpq_broker_memory.counts(broker, queue, &counts, NULL);
    return counts.pushed;
}

/* Reserves everything that is ready. */
static void take_all(mpq_producer *producer, const char *queue, mpq_batch *out)
{
    mpq_buf held = {0};
    mpq_exchange exchange = {.want = MPQ_EXCHANGE_MAX};
    mpq_broker *broker = mpq_producer_broker(producer);
    CHECK_INT(mpq_broker_memory.attach(broker, queue, "me", 10000, MPQ_ATTACH_FRESH, &held, NULL), 0);
    CHECK_INT(mpq_broker_exchange(broker, &exchange, 1000, out, NULL), 0);
    mpq_buf_fini(&held);
}

static uint64_t big_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

TEST(producer_stores_jobs_in_order_with_their_options)
{
    mpq_producer *producer = open_producer(0);
    mpq_new_job jobs[3] = {text_job("a"), text_job("b"), text_job("c")};
    mpq_id ids[3];
    size_t accepted = 99;
    jobs[1].flags = MPQ_JOB_TIMEOUT_RETRY;
    jobs[1].timeout_ms = 1;
    jobs[1].fail_number = 2;
    jobs[1].fail_expire_ms = 3;
    uint64_t now_ms = mpq_clock_wall_ms();
    CHECK_INT(mpq_producer_push(producer, "q", jobs, 3, ids, &accepted, NULL), 0);
    CHECK_INT(accepted, 3);
    mpq_batch batch;
    mpq_batch_init(&batch);
    take_all(producer, "q", &batch);
    if (test_failed())
        return;
    CHECK_INT(batch.count, 3);
    for (size_t i = 0; i < 3; i++) {
        mpq_job job;
        CHECK_INT(mpq_codec_decode(mpq_batch_envelope(&batch, i), &job, NULL), 0);
        CHECK(mpq_id_equal(&job.id, &ids[i]));
        CHECK(job.payload.len == 1 && job.payload.data[0] == "abc"[i]);
        CHECK_INT(job.phase, MPQ_PHASE_RUN);
        CHECK(job.failures == 0 && job.handler_runs == 0 && job.history_count == 0);
        CHECK(job.created_at_ms >= now_ms && job.created_at_ms < now_ms + 60000);
        CHECK_INT(job.flags, i == 1 ? MPQ_JOB_TIMEOUT_RETRY : 0);
        CHECK_INT(job.timeout_ms, i == 1 ? 1 : 60000);
        CHECK_INT(job.fail_number, i == 1 ? 2 : 3);
        CHECK_INT(job.fail_expire_ms, i == 1 ? 3 : 0);
    }
    CHECK(big_endian(ids[0].bytes) == big_endian(ids[2].bytes));
    CHECK_INT(big_endian(ids[0].bytes + 8), 1);
    CHECK_INT(big_endian(ids[2].bytes + 8), 3);
    mpq_batch_fini(&batch);
    mpq_producer_close(producer);
}

TEST(producer_delays_jobs)
{
    mpq_producer *producer = open_producer(0);
    mpq_new_job jobs[2] = {text_job("now"), text_job("later")};
    mpq_id ids[2];
    size_t accepted;
    mpq_counts counts;
    jobs[1].delay_ms = 60000;
    CHECK_INT(mpq_producer_push(producer, "q", jobs, 2, ids, &accepted, NULL), 0);
    CHECK_INT(mpq_broker_memory.counts(mpq_producer_broker(producer), "q", &counts, NULL), 0);
    CHECK(counts.ready == 1 && counts.delayed == 1 && counts.pushed == 2);
    mpq_producer_close(producer);
}

TEST(producer_pushes_nothing_and_is_content)
{
    mpq_producer *producer = open_producer(0);
    size_t accepted = 7;
    CHECK_INT(mpq_producer_push(producer, "q", NULL, 0, NULL, &accepted, NULL), 0);
    CHECK_INT(accepted, 0);
    mpq_producer_close(producer);
    mpq_producer_close(NULL);
}

TEST(producer_refuses_bad_queue_names)
{
    mpq_producer *producer = open_producer(0);
    mpq_error err;
    mpq_id id;
    CHECK_INT(push_text(producer, "", "x", &id, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK_INT(push_text(producer, "a{b}", "x", &id, &err), -1);
    CHECK(strstr(err.text, "must not contain { or }"));
    mpq_producer_close(producer);
}

TEST(producer_checks_every_size_before_the_first_push)
{
    mpq_producer *producer = open_producer(2000);
    mpq_error err;
    size_t accepted = 9, count = 1500;
    mpq_new_job *jobs = calloc(count, sizeof *jobs);
    mpq_id *ids = calloc(count, sizeof *ids);
    char *large = calloc(1, 2001);
    for (size_t i = 0; i < count; i++)
        jobs[i] = text_job("small");
    jobs[1400].payload = mpq_slice_of(large, 2001);
    CHECK_INT(mpq_producer_push(producer, "q", jobs, count, ids, &accepted, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_PAYLOAD);
    CHECK_STR(err.text, "job 1401 is 2001 bytes, the limit is 2000 (max_payload): store large data elsewhere and push "
                        "a reference");
    CHECK_INT(accepted, 0);
    CHECK_INT(count_pushed(producer, "q"), 0);
    jobs[1400].payload.len = 2000;
    CHECK_INT(mpq_producer_push(producer, "q", jobs, count, ids, &accepted, &err), 0);
    CHECK_INT(accepted, 1500);
    free(jobs);
    free(ids);
    free(large);
    mpq_producer_close(producer);
}

TEST(producer_splits_into_chunks)
{
    mpq_producer *producer = open_producer(0);
    size_t accepted, count = 2500;
    mpq_new_job *jobs = calloc(count, sizeof *jobs);
    mpq_id *ids = calloc(count, sizeof *ids);
    for (size_t i = 0; i < count; i++)
        jobs[i] = text_job("small");
    faulty.kind = MPQ_ERROR_NONE;
    make_faulty(producer);
    CHECK_INT(mpq_producer_push(producer, "q", jobs, count, ids, &accepted, NULL), 0);
    CHECK_INT(faulty.pushes, 3);
    CHECK_INT(count_pushed(producer, "q"), 2500);

    char *large = calloc(1, 9 << 20);
    for (size_t i = 0; i < 5; i++)
        jobs[i].payload = mpq_slice_of(large, 3 << 20);
    jobs[4].payload.len = 9 << 20; /* 3+3, 3+3, 9 */
    faulty.pushes = 0;
    CHECK_INT(mpq_producer_push(producer, "large", jobs, 5, ids, &accepted, NULL), 0);
    CHECK_INT(faulty.pushes, 3);
    CHECK_INT(count_pushed(producer, "large"), 5);
    for (size_t i = 0; i < 5; i++)
        CHECK_INT(big_endian(ids[i].bytes + 8), 2501 + i);
    free(large);
    free(jobs);
    free(ids);
    mpq_producer_close(producer);
}

TEST(producer_repeats_at_once_when_a_kept_connection_is_dead)
{
    mpq_producer *producer = open_producer(0);
    mpq_id id;
    for (int stored = 0; stored < 2; stored++) {
        faulty.kind = MPQ_ERROR_CONNECT;
        faulty.stored = stored; /* only the answer is lost */
        make_faulty(producer);
        CHECK_INT(push_text(producer, "q", stored ? "b" : "a", &id, NULL), 0);
        CHECK_INT(faulty.pushes, 1);
        CHECK_INT(count_pushed(producer, "q"), stored + 1);
    }
    mpq_producer_close(producer);
}

TEST(producer_fails_at_once_when_nobody_is_there)
{
    mpq_producer *producer = open_producer(0);
    mpq_error err;
    mpq_id id;
    faulty.kind = MPQ_ERROR_TIMEOUT;
    faulty.stored = false;
    faulty.slow_ms = 210;
    make_faulty(producer);
    CHECK_INT(push_text(producer, "q", "a", &id, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_TIMEOUT);
    CHECK_INT(faulty.pushes, 1);
    /* The handle that just failed is still the faulty one, and its next failure is that of a new connection. */
    faulty.kind = MPQ_ERROR_CONNECT;
    faulty.slow_ms = 0;
    uint64_t start_ms = mpq_clock_monotonic_ms();
    CHECK_INT(push_text(producer, "q", "a", &id, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONNECT);
    CHECK_INT(faulty.pushes, 2);
    CHECK(mpq_clock_monotonic_ms() - start_ms < 100);
    mpq_producer_close(producer);
}

TEST(producer_repeats_within_its_time_only)
{
    mpq_producer *producer = open_producer(0);
    mpq_error err;
    mpq_id id;
    faulty.kind = MPQ_ERROR_TIMEOUT;
    faulty.stored = true;
    faulty.slow_ms = 100; /* half of the time */
    make_faulty(producer);
    CHECK_INT(push_text(producer, "q", "a", &id, &err), 0);
    CHECK_INT(count_pushed(producer, "q"), 1);
    mpq_broker *kept = mpq_producer_broker(producer);
    CHECK(kept == mpq_producer_broker(producer));
    mpq_producer_close(producer);
}

TEST(producer_does_not_repeat_what_the_broker_refused)
{
    mpq_producer *producer = open_producer(0);
    mpq_error err;
    mpq_id id;
    faulty.kind = MPQ_ERROR_BROKER;
    faulty.stored = false;
    make_faulty(producer);
    CHECK_INT(push_text(producer, "q", "a", &id, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_BROKER);
    CHECK_STR(err.text, "made to fail");
    CHECK_INT(faulty.pushes, 1);
    CHECK_INT(count_pushed(producer, "q"), 0);
    mpq_producer_close(producer);
}

/* A push whose result the caller never learns. */
static void push_into_the_dark(mpq_producer *producer, const char *text, mpq_id *id)
{
    mpq_error err;
    faulty.kind = MPQ_ERROR_TIMEOUT;
    faulty.stored = true;
    faulty.slow_ms = 210;
    make_faulty(producer);
    CHECK_INT(push_text(producer, "q", text, id, &err), -1);
    faulty.kind = MPQ_ERROR_NONE;
}

TEST(producer_enqueues_once_when_called_again)
{
    mpq_producer *producer = open_producer(0);
    mpq_id first, second, third;
    push_into_the_dark(producer, "a", &first);
    if (test_failed())
        return;
    CHECK_INT(count_pushed(producer, "q"), 1);
    CHECK_INT(push_text(producer, "q", "a", &second, NULL), 0);
    CHECK(mpq_id_equal(&first, &second));
    CHECK_INT(count_pushed(producer, "q"), 1);
    /* That settled it: the same job once more is another job. */
    CHECK_INT(push_text(producer, "q", "a", &third, NULL), 0);
    CHECK(!mpq_id_equal(&first, &third));
    CHECK_INT(count_pushed(producer, "q"), 2);
    mpq_producer_close(producer);
}

TEST(producer_takes_only_the_very_same_push_for_a_repetition)
{
    static const struct {
        const char *queue, *text;
        mpq_new_job other;
    } variants[] = {
        {"q", "b", {.timeout_ms = 60000, .fail_number = 3}},
        {"q2", "a", {.timeout_ms = 60000, .fail_number = 3}},
        {"q", "a", {.timeout_ms = 60001, .fail_number = 3}},
        {"q", "a", {.timeout_ms = 60000, .fail_number = 4}},
        {"q", "a", {.timeout_ms = 60000, .fail_number = 3, .fail_expire_ms = 1}},
        {"q", "a", {.timeout_ms = 60000, .fail_number = 3, .delay_ms = 1}},
        {"q", "a", {.timeout_ms = 60000, .fail_number = 3, .flags = MPQ_JOB_TIMEOUT_RETRY}},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        mpq_producer *producer = open_producer(0);
        mpq_id first, second, third;
        size_t accepted;
        uint64_t before = count_pushed(producer, "q") + count_pushed(producer, "q2");
        push_into_the_dark(producer, "a", &first);
        if (test_failed())
            return;
        mpq_new_job job = variants[i].other;
        job.payload = mpq_slice_of(variants[i].text, 1);
        CHECK_INT(mpq_producer_push(producer, variants[i].queue, &job, 1, &second, &accepted, NULL), 0);
        CHECK(!mpq_id_equal(&first, &second));
        CHECK(big_endian(second.bytes + 8) > big_endian(first.bytes + 8));
        /* The other push came in between: this is a new one. */
        CHECK_INT(push_text(producer, "q", "a", &third, NULL), 0);
        CHECK(big_endian(third.bytes + 8) > big_endian(second.bytes + 8));
        CHECK_INT(count_pushed(producer, "q") + count_pushed(producer, "q2"), before + 3);
        mpq_producer_close(producer);
    }
}

TEST(producer_resumes_a_push_of_several_chunks)
{
    enum { COUNT = 3500 };
    for (int stored = 0; stored < 2; stored++) {
        mpq_producer *producer = open_producer(0);
        mpq_new_job *jobs = calloc(COUNT, sizeof *jobs);
        mpq_id *ids = calloc(2 * COUNT, sizeof *ids);
        size_t accepted;
        const char *queue = stored ? "stored" : "not stored";
        for (size_t i = 0; i < COUNT; i++)
            jobs[i] = text_job("job");
        faulty.kind = MPQ_ERROR_TIMEOUT;
        faulty.stored = stored;
        faulty.slow_ms = 210;
        faulty.sound = 2;
        make_faulty(producer);
        CHECK_INT(mpq_producer_push(producer, queue, jobs, COUNT, ids, &accepted, NULL), -1);
        CHECK_INT(accepted, 2000);
        CHECK_INT(count_pushed(producer, queue), stored ? 3000 : 2000);
        CHECK_INT(faulty.sequence, 3000);
        /* Fails once more, further on, for another reason. */
        faulty.sound = 1;
        faulty.kind = MPQ_ERROR_BROKER;
        faulty.pushes = 0;
        CHECK_INT(mpq_producer_push(producer, queue, jobs, COUNT, ids + COUNT, &accepted, NULL), -1);
        CHECK_INT(accepted, 3000);
        CHECK_INT(faulty.pushes, 2);
        faulty.kind = MPQ_ERROR_NONE;
        CHECK_INT(mpq_producer_push(producer, queue, jobs, COUNT, ids + COUNT, &accepted, NULL), 0);
        CHECK_INT(accepted, COUNT);
        CHECK_INT(count_pushed(producer, queue), COUNT);
        CHECK(memcmp(ids, ids + COUNT, COUNT * sizeof *ids) == 0);
        free(jobs);
        free(ids);
        mpq_producer_close(producer);
    }
}

TEST(producer_is_a_new_one_after_fork)
{
    mpq_producer *producer = open_producer(0);
    mpq_id parent, child, again;
    int fds[2], status;
    push_into_the_dark(producer, "a", &parent);
    CHECK(!test_failed() && pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = push_text(producer, "q", "a", &child, NULL) == 0 && count_pushed(producer, "q") == 1 &&
                    write(fds[1], &child, sizeof child) == (ssize_t)sizeof child;
        mpq_producer_close(producer);
        _exit(good ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_INT(read(fds[0], &child, sizeof child), sizeof child);
    CHECK(big_endian(parent.bytes) != big_endian(child.bytes));
    CHECK_INT(big_endian(child.bytes + 8), 1);
    CHECK_INT(push_text(producer, "q", "a", &again, NULL), 0);
    CHECK(mpq_id_equal(&parent, &again));
    CHECK_INT(count_pushed(producer, "q"), 1);
    mpq_producer_close(producer);
}

TEST(producers_of_one_process_have_different_ids)
{
    mpq_producer *one = open_producer(0), *two = open_producer(0);
    mpq_id first, second;
    CHECK_INT(push_text(one, "q", "a", &first, NULL), 0);
    CHECK_INT(push_text(two, "q", "a", &second, NULL), 0);
    CHECK(big_endian(first.bytes) != big_endian(second.bytes));
    CHECK_INT(count_pushed(one, "q"), 2);
    mpq_producer_close(one);
    mpq_producer_close(two);
}
