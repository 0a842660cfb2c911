/*
 * One lane between a real ring and the memory store, with a connection in between that does at random what networks do:
 * requests and answers get lost, answers come late. Workers die, the dispatcher is replaced, other nodes take what is
 * held. In the end every job has ended once, and nothing is held or in a slot any more.
 *
 *   LANE_SEEDS=n   so many rounds (200)      LANE_SEED=n   this round only
 */
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "lane_rig.h"
#include "test.h"

enum { WORKERS = 4, JOBS = 40, STEPS = 400 };

/* -- the connection -------------------------------------------------------------------------------------------- */

typedef struct wire {
    mpq_broker head;
    mpq_broker *store;
} wire;

static unsigned faults; /* in a thousand */

static bool happens(unsigned in_a_thousand)
{
    return (unsigned)rand() % 1000 < in_a_thousand;
}

static int fault(mpq_error *err)
{
    return happens(faults) ? mpq_error_set(err, MPQ_ERROR_CONNECT, "as the test wants") : 0;
}

static mpq_broker *store_of(mpq_broker *broker)
{
    return ((wire *)broker)->store;
}

static void close_wire(mpq_broker *broker)
{
    mpq_broker_close(store_of(broker));
    free(broker);
}

static int attach_wire(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                       mpq_buf *held, mpq_error *err)
{
    if (fault(err) < 0)
        return -1;
    int rc = store_of(broker)->ops->attach(store_of(broker), queue, owner, lease_ms, how, held, err);
    return fault(err) < 0 ? -1 : rc;
}

static int detach_wire(mpq_broker *broker, mpq_error *err)
{
    return fault(err) < 0 ? -1 : store_of(broker)->ops->detach(store_of(broker), err);
}

static int send_wire(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    if (fault(err) < 0)
        return -1;
    int rc = store_of(broker)->ops->send(store_of(broker), exchange, err);
    return fault(err) < 0 ? -1 : rc;
}

static int receive_wire(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    if (faults && happens(300))
        return 1;
    return fault(err) < 0 ? -1 : store_of(broker)->ops->receive(store_of(broker), out, err);
}

static int fd_of_wire(mpq_broker *broker)
{
    return store_of(broker)->ops->fd(store_of(broker));
}

static int arm_wire(mpq_broker *broker, mpq_error *err)
{
    return fault(err) < 0 ? -1 : store_of(broker)->ops->wait_arm(store_of(broker), err);
}

static int fds_of_wire(mpq_broker *broker, int fds[2])
{
    return store_of(broker)->ops->wait_fds(store_of(broker), fds);
}

static int collect_wire(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    return fault(err) < 0 ? -1 : store_of(broker)->ops->wait_collect(store_of(broker), out, err);
}

/* The store itself needs none. */
static int claim_wire(mpq_broker *broker, mpq_error *err)
{
    (void)broker;
    return fault(err);
}

static int renew_wire(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err)
{
    return store_of(broker)->ops->renew(store_of(broker), owners, count, err);
}

static int adopt_wire(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    if (fault(err) < 0)
        return -1;
    int rc = store_of(broker)->ops->adopt(store_of(broker), dead, out, err);
    return fault(err) < 0 ? -1 : rc;
}

static const mpq_broker_ops wire_ops = {
    .name = "wire",
    .close = close_wire,
    .attach = attach_wire,
    .detach = detach_wire,
    .send = send_wire,
    .receive = receive_wire,
    .fd = fd_of_wire,
    .wait_arm = arm_wire,
    .wait_fds = fds_of_wire,
    .wait_collect = collect_wire,
    .wait_claim = claim_wire,
    .renew = renew_wire,
    .adopt = adopt_wire,
};

/* -- one round ------------------------------------------------------------------------------------------------- */

static struct {
    lane_rig rig;
    uint32_t running[WORKERS]; /* the slot of each */
    unsigned pushed, thieves;
} self;

static void wire_lane(void)
{
    wire *broker = calloc(1, sizeof *broker);
    broker->head = (mpq_broker){.ops = &wire_ops, .opened_by = (long)getpid()};
    broker->store = self.rig.lane->broker;
    self.rig.lane->broker = &broker->head;
}

/* As if the process had been killed. */
static void replace_dispatcher(void)
{
    lane_rig_kill_lane(&self.rig);
    lane_rig_open_lane(&self.rig);
    wire_lane();
}

static void push(unsigned count)
{
    for (; count > 0 && self.pushed < JOBS; count--) {
        char payload[3000];
        memset(payload, 'p', sizeof payload);
        mpq_new_job job = {.payload = mpq_slice_of(payload, happens(500) ? 10 : sizeof payload), .fail_number = 2};
        mpq_id id;
        size_t accepted;
        if (mpq_producer_push(self.rig.producer, "q", &job, 1, &id, &accepted, &self.rig.err) < 0)
            test_fail(__FILE__, __LINE__, "%s", self.rig.err.text);
        self.pushed++;
    }
}

static mpq_board_worker *worker_at(uint32_t index)
{
    return &self.rig.process.board.file->workers[index];
}

static void begin(uint32_t index)
{
    if (self.running[index] != MPQ_SLOT_NONE)
        return;
    self.running[index] = mpq_ring_claim(self.rig.lane->ring, index);
    if (self.running[index] == MPQ_SLOT_NONE)
        return;
    atomic_store(&worker_at(index)->run_started_at_ms, mpq_clock_monotonic_ms() - (happens(200) ? 1000 : 0));
    atomic_store(&worker_at(index)->state, MPQ_WORKER_BUSY);
    atomic_fetch_add(&worker_at(index)->run_token, 1);
}

static void end(uint32_t index, enum mpq_end how)
{
    uint32_t slot = self.running[index];
    if (slot == MPQ_SLOT_NONE)
        return;
    mpq_ring_slot(self.rig.lane->ring, slot)->end = (uint32_t)how;
    mpq_ring_slot(self.rig.lane->ring, slot)->run_us = 1 + (uint32_t)rand() % 2000;
    atomic_fetch_add(&worker_at(index)->run_token, 1);
    atomic_store(&worker_at(index)->state, MPQ_WORKER_IDLE);
    mpq_ring_finish(self.rig.lane->ring, slot, self.rig.process.board.dispatcher_wake_fd);
    self.running[index] = MPQ_SLOT_NONE;
}

static void lose_lease(void)
{
    char name[32];
    snprintf(name, sizeof name, "thief-%u", self.thieves++);
    lane_rig_steal(&self.rig, name);
}

static void stop_or_go(void)
{
    _Atomic uint32_t *stopping = &self.rig.process.board.shared->stopping;
    atomic_store(stopping, happens(300) ? 1 : 0);
}

static void pump(void)
{
    self.rig.lane->retry_at_ms = 0;
    if (happens(50))
        self.rig.lane->renew_at_ms = self.rig.lane->adopt_at_ms = 0;
    if (happens(100))
        self.rig.lane->look_at_ms = self.rig.lane->relieve_at_ms = 0;
    mpq_lane_pump(self.rig.lane);
    if (happens(500))
        mpq_lane_woken(self.rig.lane);
}

static void step(void)
{
    static const enum mpq_end ends[] = {MPQ_END_DONE,   MPQ_END_DONE,    MPQ_END_DONE,       MPQ_END_EXCEPTION,
                                        MPQ_END_SIGNAL, MPQ_END_TIMEOUT, MPQ_END_INTERRUPTED};
    uint32_t index = (uint32_t)rand() % WORKERS;
    unsigned what = (unsigned)rand() % 100;
    if (what < 50)
        pump();
    else if (what < 70)
        begin(index);
    else if (what < 87)
        end(index, ends[(unsigned)rand() % (sizeof ends / sizeof *ends)]);
    else if (what < 93)
        push(1 + (unsigned)rand() % 6);
    else if (what < 95)
        replace_dispatcher();
    else if (what < 97)
        lose_lease();
    else
        stop_or_go();
}

static bool drained(void)
{
    mpq_counts c = lane_rig_counts(&self.rig);
    return c.ready + c.delayed + c.running == 0;
}

/* Without faults everything ends soon, by nothing but what really wakes a dispatcher. */
static void finish(unsigned seed)
{
    uint64_t at;
    faults = 0;
    atomic_store(&self.rig.process.board.shared->stopping, 0);
    push(JOBS);
    for (int i = 0; i < 4000 && !drained(); i++) {
        self.rig.lane->retry_at_ms = 0;
        mpq_lane_pump(self.rig.lane);
        mpq_lane_woken(self.rig.lane);
        for (uint32_t index = 0; index < WORKERS; index++) {
            end(index, MPQ_END_DONE);
            begin(index);
        }
    }
    for (int i = 0; i < 3; i++)
        mpq_lane_pump(self.rig.lane);
    mpq_counts c = lane_rig_counts(&self.rig);
    if (c.done + c.failed != JOBS || c.ready + c.delayed + c.running != 0)
        test_fail(__FILE__, __LINE__, "LANE_SEED=%u: of %d jobs %d done, %d failed, %d ready, %d running", seed, JOBS,
                  (int)c.done, (int)c.failed, (int)c.ready, (int)c.running);
    if (mpq_ring_free_slots(self.rig.lane->feeder) != MPQ_RING_SLOTS || !mpq_lane_settled(self.rig.lane))
        test_fail(__FILE__, __LINE__, "LANE_SEED=%u: %u of %u slots are free", seed,
                  mpq_ring_free_slots(self.rig.lane->feeder), MPQ_RING_SLOTS);
    if (!mpq_lane_sleep(self.rig.lane, mpq_clock_monotonic_us(), &at))
        test_fail(__FILE__, __LINE__, "LANE_SEED=%u: the lane does not come to rest", seed);
}

static void run_round(unsigned seed)
{
    memset(&self, 0, sizeof self);
    srand(seed);
    lane_rig_init(&self.rig, WORKERS);
    self.rig.config.broker.connect_timeout_ms = self.rig.config.broker.read_timeout_ms = 1; /* for a silent broker */
    self.rig.config.broker.path = malloc(32);
    snprintf(self.rig.config.broker.path, 32, "round-%u", seed);
    self.rig.config.lease_ms = 60000;
    lane_rig_open(&self.rig);
    wire_lane();
    for (uint32_t i = 0; i < WORKERS; i++)
        self.running[i] = MPQ_SLOT_NONE;
    faults = (unsigned)rand() % 100;
    for (int i = 0; i < STEPS; i++)
        step();
    finish(seed);
    lane_rig_close(&self.rig);
}

static unsigned number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)atol(text) : otherwise;
}

TEST(lane_ends_every_job_once_whatever_fails)
{
    unsigned first = number("LANE_SEED", 1);
    unsigned count = getenv("LANE_SEED") ? 1 : number("LANE_SEEDS", 200);
    for (unsigned seed = first; seed < first + count && !test_failed(); seed++)
        run_round(seed);
}
