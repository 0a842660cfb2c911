/* One lane, a real ring and a broker that does what the test says: answers late or never, fails, takes leases away. */
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "death.h"
#include "lane.h"
#include "test.h"

/* -- the broker ------------------------------------------------------------------------------------------------ */

enum { SENDS_KEPT = 64, HELD_MAX = 16 };

/* What came in one exchange. */
typedef struct sent {
    uint32_t want;
    size_t settles;
    size_t bytes; /* of the settlements' envelopes */
    enum mpq_settle_kind kind[MPQ_EXCHANGE_MAX];
    mpq_id id[MPQ_EXCHANGE_MAX];
} sent;

typedef struct script {
    mpq_broker head;
    bool answers_late; /* exchanges wait for `answer` */
    bool attach_fails, send_fails, adopt_fails, arm_fails, detach_fails;
    mpq_id held[HELD_MAX]; /* what attach says */
    size_t held_count;
    mpq_id given[HELD_MAX]; /* what it was told last */
    size_t given_count;
    mpq_batch reserved; /* what the next answer that may have jobs brings, and says */
    mpq_batch hinted;   /* what the next hint brings */
    bool hint;
    sent sends[SENDS_KEPT]; /* the last ones */
    unsigned attaches, sent, answered, adopted, armed, detached;
    unsigned outstanding;
    bool wants[2]; /* of the outstanding ones, oldest first */
} script;

static script *script_of(mpq_broker *broker)
{
    return (script *)broker;
}

static int fail_if(bool fails, mpq_error *err)
{
    return fails ? mpq_error_set(err, MPQ_ERROR_CONNECT, "as the test wants") : 0;
}

static void close_script(mpq_broker *broker)
{
    script *self = script_of(broker);
    mpq_batch_fini(&self->reserved);
    mpq_batch_fini(&self->hinted);
    free(self);
}

static int attach_script(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms,
                         enum mpq_attach how, mpq_buf *held, mpq_error *err)
{
    script *self = script_of(broker);
    (void)queue, (void)owner, (void)lease_ms;
    self->attaches++;
    self->outstanding = 0;
    self->given_count = held->len / MPQ_ID_BYTES;
    for (size_t i = 0; i < self->given_count && i < HELD_MAX; i++)
        memcpy(self->given[i].bytes, held->data + i * MPQ_ID_BYTES, MPQ_ID_BYTES);
    mpq_buf_clear(held);
    if (fail_if(self->attach_fails, err) < 0)
        return -1;
    for (size_t i = 0; how == MPQ_ATTACH_RESUME && i < self->held_count; i++)
        mpq_buf_append(held, self->held[i].bytes, MPQ_ID_BYTES);
    return 0;
}

static int detach_script(mpq_broker *broker, mpq_error *err)
{
    script_of(broker)->detached++;
    return fail_if(script_of(broker)->detach_fails, err);
}

static int send_script(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    script *self = script_of(broker);
    sent *note = &self->sends[self->sent++ % SENDS_KEPT];
    *note = (sent){.want = exchange->want, .settles = exchange->settle_count};
    for (size_t i = 0; i < exchange->settle_count; i++) {
        note->kind[i] = exchange->settles[i].kind;
        note->id[i] = exchange->settles[i].id;
        note->bytes += exchange->settles[i].envelope.len;
    }
    if (fail_if(self->send_fails || self->outstanding == 2, err) < 0)
        return -1;
    self->wants[self->outstanding++] = exchange->want > 0;
    return 0;
}

static void move_batch(mpq_batch *to, mpq_batch *from)
{
    mpq_batch_clear(to);
    for (size_t i = 0; i < from->count; i++)
        mpq_batch_append(to, mpq_batch_envelope(from, i));
    to->lost = from->lost;
    to->ready = from->ready;
    to->next_due_ms = from->next_due_ms;
    mpq_batch_clear(from);
}

static int receive_script(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    script *self = script_of(broker);
    (void)err;
    if (self->outstanding == 0 || self->answers_late)
        return 1;
    mpq_batch_clear(out);
    if (self->wants[0])
        move_batch(out, &self->reserved);
    self->wants[0] = self->wants[1];
    self->outstanding--;
    self->answered++;
    return 0;
}

static int no_fd(mpq_broker *broker)
{
    (void)broker;
    return -1;
}

static int arm_script(mpq_broker *broker, mpq_error *err)
{
    script_of(broker)->armed++;
    return fail_if(script_of(broker)->arm_fails, err);
}

static int no_fds(mpq_broker *broker, int fds[2])
{
    (void)broker, (void)fds;
    return 0;
}

static int collect_script(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    script *self = script_of(broker);
    (void)err;
    if (!self->hint)
        return 1;
    self->hint = false;
    move_batch(out, &self->hinted);
    return 0;
}

static int renew_script(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err)
{
    (void)broker, (void)owners, (void)count, (void)err;
    return 0;
}

static int adopt_script(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    (void)dead;
    script_of(broker)->adopted++;
    mpq_batch_clear(out);
    return fail_if(script_of(broker)->adopt_fails, err) < 0 ? -1 : 1;
}

static const mpq_broker_ops script_ops = {
    .name = "script",
    .close = close_script,
    .attach = attach_script,
    .detach = detach_script,
    .send = send_script,
    .receive = receive_script,
    .fd = no_fd,
    .wait_arm = arm_script,
    .wait_fds = no_fds,
    .wait_collect = collect_script,
    .renew = renew_script,
    .adopt = adopt_script,
};

/* -- the lane -------------------------------------------------------------------------------------------------- */

typedef struct fixture {
    mpq_config config;
    mpq_queue_config queue;
    mpq_process process;
    mpq_lane *lane;
    script *broker;
    mpq_error err;
} fixture;

static void setup_sized(fixture *f, uint32_t workers, uint64_t payload_max_bytes)
{
    memset(f, 0, sizeof *f);
    mpq_config_init(&f->config);
    mpq_queue_config_init(&f->queue);
    f->config.name = strdup("svc");
    f->config.pid_path = strdup(test_tmpdir());
    f->config.broker.driver = MPQ_DRIVER_MEMORY;
    f->config.payload_max_bytes = payload_max_bytes;
    f->queue.name = strdup("q");
    f->queue.workers = workers;
    f->config.queues = &f->queue;
    f->config.queue_count = 1;
    f->process.config = &f->config;
    f->lane = calloc(1, sizeof *f->lane);
    f->broker = calloc(1, sizeof *f->broker);
    if (mpq_board_open(&f->config, &f->process.board, &f->err) < 0 ||
        mpq_lane_open(&f->process, 0, f->lane, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
    for (uint32_t i = 0; i < workers; i++) {
        int index = mpq_board_reserve_worker(&f->process.board, 0, 1);
        atomic_store(&f->process.board.file->workers[index].state, MPQ_WORKER_IDLE);
    }
    mpq_batch_init(&f->broker->reserved);
    mpq_batch_init(&f->broker->hinted);
    f->broker->head = (mpq_broker){.ops = &script_ops, .opened_by = (long)getpid()};
    mpq_broker_close(f->lane->broker);
    f->lane->broker = &f->broker->head;
}

static void setup(fixture *f, uint32_t workers)
{
    setup_sized(f, workers, 1 << 20);
}

static void teardown(fixture *f)
{
    mpq_lane_close(f->lane);
    free(f->lane);
    mpq_log_close(f->process.log);
    mpq_board_close(&f->process.board, &f->config, true);
    free(f->queue.name);
    f->config.queues = NULL;
    f->config.queue_count = 0;
    mpq_config_fini(&f->config);
}

static void pump(fixture *f, int times)
{
    while (times-- > 0) {
        mpq_lane_pump(f->lane);
        mpq_lane_woken(f->lane);
    }
}

static mpq_id id_of(uint32_t number)
{
    mpq_id id = {{0}};
    memcpy(id.bytes, &number, sizeof number);
    return id;
}

/* Puts a job of that many payload bytes into a batch. */
static void put(mpq_batch *batch, uint32_t number, size_t bytes)
{
    char *payload = calloc(1, bytes + 1);
    mpq_buf envelope = {0};
    mpq_job job = {.id = id_of(number), .fail_number = 3, .payload = mpq_slice_of(payload, bytes)};
    mpq_codec_encode(&job, &envelope);
    mpq_batch_append(batch, mpq_buf_slice(&envelope));
    mpq_buf_fini(&envelope);
    free(payload);
}

static uint32_t claim(fixture *f)
{
    return mpq_ring_claim(f->lane->ring, 0);
}

static void finish(fixture *f, uint32_t slot, enum mpq_end end)
{
    mpq_ring_slot(f->lane->ring, slot)->end = (uint32_t)end;
    mpq_ring_finish(f->lane->ring, slot, f->process.board.dispatcher_wake_fd);
}

/* In any exchange that is remembered. */
static bool was_settled(const fixture *f, uint32_t number, enum mpq_settle_kind kind)
{
    mpq_id id = id_of(number);
    for (unsigned i = 0; i < f->broker->sent && i < SENDS_KEPT; i++)
        for (size_t j = 0; j < f->broker->sends[i].settles; j++)
            if (mpq_id_equal(&f->broker->sends[i].id[j], &id) && f->broker->sends[i].kind[j] == kind)
                return true;
    return false;
}

/* -- sleeping -------------------------------------------------------------------------------------------------- */

/* The moments at which it would look at the broker pass by while it waits for an answer: it is the answer that wakes
 * it, and a broker that is frozen costs no processor time. */
TEST(lane_sleeps_while_an_answer_is_late)
{
    fixture f;
    setup(&f, 3);
    f.lane->due_at_ms = 0;
    pump(&f, 2);
    f.broker->answers_late = true;
    f.broker->hint = true;
    pump(&f, 2);
    CHECK_INT(f.lane->flight_count, 1);
    f.lane->due_at_ms = 1;
    for (uint64_t late_ms = 0; late_ms < 60000; late_ms += 500) {
        uint64_t now = mpq_clock_monotonic_ms() + late_ms, next;
        CHECK(mpq_lane_sleep(f.lane, now, &next));
        CHECK(next >= now + 200);
        CHECK(next <= now + 1000); /* to ask whether the broker has failed */
        mpq_ring_awake(f.lane->ring);
    }
    f.broker->answers_late = false;
    pump(&f, 2);
    CHECK_INT(f.lane->flight_count, 0);
    teardown(&f);
}

/* -- hints ----------------------------------------------------------------------------------------------------- */

/* The hint is newer than what the broker knew when it wrote the answer that comes after it. */
TEST(lane_remembers_a_hint_that_overtakes_an_answer)
{
    fixture f;
    setup(&f, 1);
    pump(&f, 3);
    CHECK(f.lane->empty && f.lane->waiting);
    f.broker->answers_late = true;
    f.lane->look_at_ms = 1;
    pump(&f, 1);
    CHECK_INT(f.lane->flight_count, 1);
    f.broker->hint = true; /* a new due time, say */
    mpq_lane_woken(f.lane);
    f.broker->reserved.next_due_ms = -1; /* what was known before */
    f.broker->answers_late = false;
    unsigned before = f.broker->sent;
    pump(&f, 1);
    CHECK_INT(f.broker->sent, before + 1);
    CHECK(f.broker->sends[before % SENDS_KEPT].want > 0);
    teardown(&f);
}

/* -- who holds what -------------------------------------------------------------------------------------------- */

/* A job whose lease was lost still runs here when it is reserved again and that answer gets lost: it is in a slot, but
 * not in one that will ever be settled. */
TEST(lane_hands_back_what_only_a_forgotten_slot_has)
{
    fixture f;
    setup(&f, 1);
    put(&f.broker->reserved, 7, 4);
    pump(&f, 2);
    uint32_t slot = claim(&f);
    CHECK(slot != MPQ_SLOT_NONE);
    f.broker->reserved.lost = true;
    f.lane->look_at_ms = 1;
    pump(&f, 1);
    CHECK(mpq_ring_slot(f.lane->ring, slot)->epoch != f.process.board.file->queues[0].epoch);
    mpq_batch_clear(&f.broker->reserved);
    pump(&f, 1);
    CHECK_INT(f.lane->state, MPQ_LANE_UP);
    f.broker->held[f.broker->held_count++] = id_of(7);
    mpq_lane_down(f.lane, &(mpq_error){.text = "an answer was lost"});
    f.lane->retry_at_ms = 0;
    pump(&f, 2);
    CHECK(was_settled(&f, 7, MPQ_SETTLE_RETURN));
    finish(&f, slot, MPQ_END_DONE);
    pump(&f, 2);
    CHECK(!was_settled(&f, 7, MPQ_SETTLE_DONE));
    CHECK_INT(mpq_ring_slot_state(f.lane->ring, slot, NULL), MPQ_SLOT_FREE);
    teardown(&f);
}

/* The claim of what a hint has delivered may have been lost with the connection. */
TEST(lane_tells_what_it_has_given_out_when_it_resumes)
{
    fixture f;
    setup(&f, 1);
    pump(&f, 2);
    put(&f.broker->hinted, 7, 4);
    f.broker->hint = true;
    pump(&f, 2);
    uint32_t slot = claim(&f);
    CHECK(slot != MPQ_SLOT_NONE);
    f.broker->held[f.broker->held_count++] = id_of(7);
    mpq_lane_down(f.lane, &(mpq_error){.text = "the connection broke"});
    f.lane->retry_at_ms = 0;
    pump(&f, 2);
    CHECK_INT(f.broker->given_count, 1);
    mpq_id id = id_of(7);
    CHECK(mpq_id_equal(&f.broker->given[0], &id));
    finish(&f, slot, MPQ_END_DONE);
    pump(&f, 2);
    CHECK(was_settled(&f, 7, MPQ_SETTLE_DONE));
    teardown(&f);
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

/* What there is no memory for is still held under our name: only the next attach can hand it back. */
TEST(lane_attaches_again_when_it_had_no_memory_for_a_job)
{
    fixture f;
    setup(&f, 1);
    pump(&f, 2);
    f.broker->hint = true;
    for (uint32_t i = 0; i < MPQ_RING_SLOTS + 1; i++)
        put(&f.broker->hinted, i, 4);
    f.lane->overflow.bytes.failed = true; /* as if realloc had failed */
    mpq_lane_woken(f.lane);
    mpq_lane_pump(f.lane);
    CHECK_INT(f.lane->state, MPQ_LANE_DOWN);
    f.broker->held[f.broker->held_count++] = id_of(MPQ_RING_SLOTS);
    f.lane->retry_at_ms = 0;
    pump(&f, 1);
    CHECK_INT(f.broker->attaches, 2);
    CHECK(was_settled(&f, MPQ_RING_SLOTS, MPQ_SETTLE_RETURN));
    teardown(&f);
}

/* -- settling --------------------------------------------------------------------------------------------------- */

/* One slot that can't be settled as it should must not hold back the others, nor keep the lane busy. */
TEST(lane_hands_a_job_back_whose_slot_is_damaged)
{
    fixture f;
    setup(&f, 3);
    for (uint32_t i = 0; i < 3; i++)
        put(&f.broker->reserved, i, 4);
    pump(&f, 2);
    uint32_t slots[3];
    for (int i = 0; i < 3; i++)
        slots[i] = claim(&f);
    memset(mpq_ring_slot(f.lane->ring, slots[0])->bytes, 'x', 8);
    finish(&f, slots[0], MPQ_END_EXCEPTION);
    finish(&f, slots[1], MPQ_END_DONE);
    pump(&f, 3);
    finish(&f, slots[2], MPQ_END_DONE);
    pump(&f, 3);
    CHECK(was_settled(&f, 0, MPQ_SETTLE_RETURN));
    CHECK(was_settled(&f, 1, MPQ_SETTLE_DONE));
    CHECK(was_settled(&f, 2, MPQ_SETTLE_DONE));
    CHECK(mpq_lane_settled(f.lane));
    teardown(&f);
}

/* A command of more than a gigabyte ends the connection to Redis, and would do so again and again. */
TEST(lane_settles_large_jobs_in_portions)
{
    enum { JOBS = 24, BYTES = 5 << 20, PORTION_MAX = 48 << 20 };
    fixture f;
    setup_sized(&f, JOBS, 64 << 20);
    for (uint32_t i = 0; i < JOBS; i++)
        put(&f.broker->reserved, i, BYTES);
    pump(&f, 2);
    uint32_t slot, count = 0;
    while ((slot = claim(&f)) != MPQ_SLOT_NONE) {
        finish(&f, slot, MPQ_END_EXCEPTION);
        count++;
    }
    CHECK_INT(count, JOBS);
    unsigned before = f.broker->sent;
    pump(&f, 8);
    CHECK(mpq_lane_settled(f.lane));
    for (unsigned i = before; i < f.broker->sent; i++)
        CHECK(f.broker->sends[i % SENDS_KEPT].bytes <= PORTION_MAX);
    for (uint32_t i = 0; i < JOBS; i++)
        CHECK(was_settled(&f, i, MPQ_SETTLE_RETRY));
    teardown(&f);
}

/* -- outages --------------------------------------------------------------------------------------------------- */

static void open_log(fixture *f)
{
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%ld", test_tmpdir(), (long)getpid());
    if (mpq_log_open(directory, MPQ_LEVEL_DEBUG, false, &f->process.log, &f->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", f->err.text);
}

/* Lines of the log with this text. */
static unsigned logged(const char *text)
{
    char command[256], answer[32] = "0";
    snprintf(command, sizeof command, "cat %s/%ld/mpqueue-*.log | grep -c '%s'", test_tmpdir(), (long)getpid(), text);
    FILE *out = popen(command, "r");
    if (!fgets(answer, sizeof answer, out))
        abort();
    pclose(out);
    return (unsigned)atoi(answer);
}

/* Attaching works, what follows does not: a full disk, a key of the wrong type, too many clients. */
static void fail_often(fixture *f, bool *fault)
{
    *fault = true;
    for (int i = 0; i < 50; i++) {
        f->lane->retry_at_ms = 0;
        pump(f, 2);
    }
}

TEST(lane_complains_once_about_a_broker_that_fails_again_and_again)
{
    fixture f;
    setup(&f, 1);
    open_log(&f);
    fail_often(&f, &f.broker->send_fails);
    fail_often(&f, &f.broker->attach_fails);
    f.broker->send_fails = f.broker->attach_fails = false;
    fail_often(&f, &f.broker->arm_fails);
    CHECK(f.lane->retry_at_ms >= mpq_clock_monotonic_ms() + 200);
    CHECK_INT(logged("running jobs go on"), 1);
    CHECK_INT(logged("connected again"), 1);
    f.lane->complain_at_ms = 1; /* a minute later */
    fail_often(&f, &f.broker->arm_fails);
    CHECK_INT(logged("running jobs go on"), 2);
    f.broker->arm_fails = false;
    f.lane->retry_at_ms = 0;
    pump(&f, 3);
    CHECK_INT(f.lane->state, MPQ_LANE_UP);
    f.lane->up_since_ms -= 10000;
    f.broker->hint = f.broker->send_fails = true;
    pump(&f, 3);
    CHECK_INT(logged("running jobs go on"), 3);
    CHECK(f.lane->retry_at_ms <= mpq_clock_monotonic_ms() + 50);
    teardown(&f);
}

/* However often its settlement has to be sent. */
TEST(lane_reports_a_failed_job_once)
{
    fixture f;
    setup(&f, 1);
    open_log(&f);
    put(&f.broker->reserved, 7, 4);
    pump(&f, 2);
    uint32_t slot = claim(&f);
    mpq_ring_slot(f.lane->ring, slot)->run_us = 1000;
    f.broker->held[f.broker->held_count++] = id_of(7);
    finish(&f, slot, MPQ_END_EXCEPTION);
    fail_often(&f, &f.broker->send_fails);
    f.broker->send_fails = false;
    f.lane->retry_at_ms = 0;
    pump(&f, 2);
    CHECK(was_settled(&f, 7, MPQ_SETTLE_RETRY));
    CHECK_INT(logged("failed, run"), 1);
    put(&f.broker->reserved, 8, 4);
    f.broker->hint = true;
    pump(&f, 3);
    CHECK_INT(claim(&f), slot);
    finish(&f, slot, MPQ_END_EXCEPTION);
    pump(&f, 2);
    CHECK_INT(logged("failed, run"), 2);
    teardown(&f);
}

/* Its connection is gone then, and only another attach makes it possible to try again. */
TEST(lane_attaches_again_when_it_could_not_detach)
{
    fixture f;
    setup(&f, 1);
    pump(&f, 2);
    atomic_store(&f.process.board.shared->stopping, 2);
    pump(&f, 2);
    f.broker->detach_fails = true;
    CHECK_INT(mpq_lane_detach(f.lane, &f.err), -1);
    CHECK_INT(f.lane->state, MPQ_LANE_DOWN);
    f.broker->detach_fails = false;
    f.lane->retry_at_ms = 0;
    pump(&f, 2);
    CHECK(mpq_lane_settled(f.lane));
    CHECK_INT(mpq_lane_detach(f.lane, &f.err), 0);
    CHECK_INT(f.lane->state, MPQ_LANE_CLOSED);
    CHECK_INT(f.broker->attaches, 2);
    teardown(&f);
}

/* The first to come back after an outage of the broker finds everybody's lease ended. */
TEST(lane_lets_others_come_back_before_it_takes_over)
{
    fixture f;
    setup(&f, 1);
    for (int outage = 0; outage < 2; outage++) {
        unsigned before = f.broker->adopted;
        for (int i = 0; i < 5; i++) {
            f.lane->renew_at_ms = 0;
            pump(&f, 2);
        }
        CHECK_INT(f.broker->adopted, before);
        CHECK(f.lane->adopt_at_ms <= mpq_clock_monotonic_ms() + f.config.lease_ms);
        f.lane->adopt_at_ms = f.lane->renew_at_ms = 0;
        pump(&f, 2);
        CHECK(f.broker->adopted > before);
        mpq_lane_down(f.lane, &(mpq_error){.text = "an outage"});
        f.lane->retry_at_ms = 0;
    }
    teardown(&f);
}

/* A lease of many seconds is no reason to let a dead node's jobs wait for seconds after its end. */
TEST(lane_looks_for_dead_nodes_often)
{
    fixture f;
    setup(&f, 1);
    f.config.lease_ms = 600000;
    f.lane->adopt_at_ms = f.lane->renew_at_ms = 0;
    pump(&f, 2);
    CHECK(f.lane->renew_at_ms <= mpq_clock_monotonic_ms() + 500);
    teardown(&f);
}

/* -- workers --------------------------------------------------------------------------------------------------- */

/* Its result may be in the ring without anybody knowing, and what waited for it is to be handed back. */
TEST(death_of_a_worker_wakes_the_dispatcher)
{
    fixture f;
    mpq_id id;
    uint64_t wakes = 0;
    setup(&f, 1);
    mpq_death death = {.status_known = true};
    CHECK(!mpq_death_settle(&f.process, &death, &id));
    CHECK_INT(read(f.process.board.dispatcher_wake_fd, &wakes, sizeof wakes), sizeof wakes);
    teardown(&f);
}

/* Every one of the most workers that can be configured has a job at the same time. */
TEST(lane_keeps_the_most_workers_busy)
{
    fixture f;
    setup(&f, MPQ_WORKERS_MAX);
    uint32_t claimed = 0, number = 0;
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 200; j++)
            put(&f.broker->reserved, number++, 4);
        f.broker->hint = true;
        mpq_lane_woken(f.lane);
        pump(&f, 2);
        for (uint32_t slot; claimed < MPQ_WORKERS_MAX && (slot = claim(&f)) != MPQ_SLOT_NONE; claimed++) {
            mpq_board_worker *worker = &f.process.board.file->workers[claimed];
            atomic_store(&worker->state, MPQ_WORKER_BUSY);
            atomic_store(&worker->run_token, 1);
        }
    }
    CHECK_INT(claimed, MPQ_WORKERS_MAX);
    teardown(&f);
}

/* However large the jobs are. */
TEST(lane_keeps_all_workers_busy_with_large_jobs)
{
    enum { WORKERS = 80, BYTES = 1 << 20 };
    fixture f;
    setup_sized(&f, WORKERS, BYTES);
    uint32_t claimed = 0, number = 0;
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < WORKERS / 5; j++)
            put(&f.broker->reserved, number++, BYTES);
        f.broker->hint = true;
        mpq_lane_woken(f.lane);
        pump(&f, 2);
        for (uint32_t slot; claimed < WORKERS && (slot = claim(&f)) != MPQ_SLOT_NONE; claimed++) {
            mpq_board_worker *worker = &f.process.board.file->workers[claimed];
            atomic_store(&worker->state, MPQ_WORKER_BUSY);
            atomic_store(&worker->run_token, 1);
        }
    }
    CHECK_INT(claimed, WORKERS);
    teardown(&f);
}
