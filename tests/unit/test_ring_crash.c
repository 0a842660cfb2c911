/* The ring under SIGKILL: step by step, after every single instruction of every operation, and at random under load. */
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"
#include "test.h"

enum { ARENA_BYTES = 8 << 20, DEAD_WORKER = 7, FOREVER_MS = 3600000 };

typedef struct shared_ring {
    mpq_ring *ring;
    char *arena;
} shared_ring;

static int wake_fd;

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static shared_ring new_ring(void)
{
    shared_ring shared;
    shared.arena = map_shared(ARENA_BYTES);
    shared.ring = mpq_ring_init(map_shared(mpq_ring_bytes()), shared.arena, ARENA_BYTES);
    return shared;
}

/* Envelope of a job: its length and bytes follow from its number; every fourth lies in the arena. */
static size_t length_of(uint64_t number)
{
    return number % 4 == 3 ? 1025 + number % 7919 : 32 + number % 200;
}

static void fill(char *to, uint64_t number)
{
    size_t len = length_of(number);
    memset(to, (int)(number % 251), len);
    memset(to + MPQ_ENVELOPE_ID_OFFSET, 0, MPQ_ID_BYTES);
    memcpy(to + MPQ_ENVELOPE_ID_OFFSET, &number, sizeof number);
}

static uint64_t number_of(mpq_ring *ring, uint32_t slot)
{
    uint64_t number;
    memcpy(&number, mpq_ring_slot(ring, slot)->id.bytes, sizeof number);
    return number;
}

static bool is_intact(mpq_ring *ring, uint32_t slot)
{
    char expected[16384];
    uint64_t number = number_of(ring, slot);
    mpq_slice envelope = mpq_ring_envelope(ring, slot);
    fill(expected, number);
    return envelope.len == length_of(number) && memcmp(expected, envelope.data, envelope.len) == 0;
}

static int post(mpq_ring_feeder *feeder, uint64_t number)
{
    char bytes[16384];
    fill(bytes, number);
    return mpq_ring_post(feeder, mpq_slice_of(bytes, length_of(number)), 1, 1);
}

static void finish(mpq_ring *ring, uint32_t slot, enum mpq_end end)
{
    mpq_ring_slot(ring, slot)->end = end;
    mpq_ring_finish(ring, slot, wake_fd);
}

/* -- step by step --------------------------------------------------------------------------------------------- */

/* Before the operation: job 1 finished and announced, 2 claimed by the worker that will die, 3 to 6 ready (3 in the
 * arena). The operation is one of a dispatcher's or of worker DEAD_WORKER's. */
typedef struct operation {
    void (*run)(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots);
    bool posts;       /* job 7 may be there or not */
    bool frees;       /* job 1 may be gone */
    bool claims;      /* the dead worker has not claimed 2, but perhaps 3 */
    uint32_t readies; /* how many of 3 to 6 it may take out of the ready ones */
} operation;

static void run_post(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    post(feeder, 7);
}

static void run_free(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring;
    mpq_ring_free(feeder, slots[0]);
}

static void run_take(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    uint32_t taken[4];
    mpq_ring_take_finished(feeder, taken, 4);
}

static void run_withdraw(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)ring, (void)slots;
    uint32_t taken[3];
    mpq_ring_withdraw(feeder, taken, 3);
}

static void run_open(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_feeder *other;
    mpq_ring_feeder_open(ring, &other, NULL);
}

static void run_sleep(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_sleep(ring, 100);
    mpq_ring_awake(ring);
}

static void run_claim(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder, (void)slots;
    mpq_ring_claim(ring, DEAD_WORKER);
}

static void run_finish(mpq_ring *ring, mpq_ring_feeder *feeder, uint32_t *slots)
{
    (void)feeder;
    finish(ring, slots[1], MPQ_END_DONE);
}

static void prepare(mpq_ring *ring, mpq_ring_feeder **feeder, uint32_t *slots, const operation *op)
{
    CHECK_INT(mpq_ring_feeder_open(ring, feeder, NULL), 0);
    for (uint64_t number = op->claims ? 2 : 1; number <= 6; number++)
        CHECK_INT(post(*feeder, op->claims && number == 2 ? 1 : number), 0);
    slots[0] = mpq_ring_claim(ring, 1);
    finish(ring, slots[0], MPQ_END_DONE);
    if (op->claims)
        return;
    slots[1] = mpq_ring_claim(ring, DEAD_WORKER);
    CHECK(number_of(ring, slots[1]) == 2);
}

static void expect_end(enum mpq_end end, uint64_t number, const operation *op)
{
    bool was_withdrawn = number >= 3 && number < 3 + op->readies;
    if (number == 1)
        CHECK_INT(end, MPQ_END_DONE);
    if (number == 2)
        CHECK(end == MPQ_END_SIGNAL || (op->run == run_finish && end == MPQ_END_DONE));
    if (number == 3 && op->claims)
        CHECK(end == MPQ_END_SIGNAL || end == MPQ_END_EXIT);
    else if (was_withdrawn)
        CHECK(end == MPQ_END_INTERRUPTED || end == MPQ_END_EXIT);
    else if (number >= 3)
        CHECK_INT(end, MPQ_END_EXIT);
}

/* Takes everything; each job must be there once, intact, and end as it must. Returns a bit for each job. */
static void take_all(mpq_ring *ring, mpq_ring_feeder *feeder, const operation *op, unsigned *jobs)
{
    uint32_t slots[16], count = mpq_ring_take_finished(feeder, slots, 16);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = number_of(ring, slots[i]);
        CHECK(number >= 1 && number <= 8);
        CHECK(!(*jobs & 1u << number));
        CHECK(is_intact(ring, slots[i]));
        expect_end((enum mpq_end)mpq_ring_slot(ring, slots[i])->end, number, op);
        if (test_failed())
            return;
        *jobs |= 1u << number;
        mpq_ring_free(feeder, slots[i]);
    }
}

/* What the manager, the next dispatcher and another worker do after the death; `feeder` is the old dispatcher's when
 * it was a worker that died. */
static void recover(mpq_ring *ring, const operation *op)
{
    mpq_ring_feeder *feeder = NULL;
    unsigned jobs = 0;
    uint64_t last = 0;
    uint32_t held = mpq_ring_claimed_by(ring, DEAD_WORKER);
    if (held != MPQ_SLOT_NONE)
        finish(ring, held, MPQ_END_SIGNAL);
    CHECK(mpq_ring_claimed_by(ring, DEAD_WORKER) == MPQ_SLOT_NONE);
    CHECK_INT(mpq_ring_feeder_open(ring, &feeder, NULL), 0);
    CHECK_INT(post(feeder, 8), 0);
    for (uint32_t slot; (slot = mpq_ring_claim(ring, 2)) != MPQ_SLOT_NONE;) {
        CHECK(number_of(ring, slot) > last);
        last = number_of(ring, slot);
        finish(ring, slot, MPQ_END_EXIT);
    }
    CHECK_INT(mpq_ring_ready(ring), 0);
    take_all(ring, feeder, op, &jobs);
    if (test_failed())
        return;
    unsigned optional = (op->posts ? 1u << 7 : 0) | (op->frees ? 1u << 1 : 0);
    unsigned expected = op->claims ? 0x17a : 0x17e;
    CHECK_INT(jobs & ~optional, expected & ~optional);
    CHECK_INT(mpq_ring_free_slots(feeder), MPQ_RING_SLOTS);
    mpq_ring_feeder_close(feeder);
}

/* The slots in use are the first ones; comparing and copying more of the ring would only take time. */
static size_t watched_bytes(mpq_ring *ring)
{
    return (size_t)((char *)mpq_ring_slot(ring, 12) - (char *)ring);
}

/* A copy of the ring as a death right now would leave it. */
static void recover_copy(shared_ring *live, const operation *op)
{
    shared_ring copy = new_ring();
    memcpy(copy.ring, live->ring, watched_bytes(live->ring));
    memcpy(copy.arena, live->arena, 64 << 10);
    mpq_ring_init(copy.ring, copy.arena, ARENA_BYTES);
    recover(copy.ring, op);
    munmap(copy.ring, mpq_ring_bytes());
    munmap(copy.arena, ARENA_BYTES);
}

static void be_traced(shared_ring *live, const operation *op)
{
    mpq_ring_feeder *feeder = NULL;
    uint32_t slots[2] = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    prepare(live->ring, &feeder, slots, op);
    if (test_failed())
        _exit(1);
    raise(SIGSTOP);
    op->run(live->ring, feeder, slots);
    raise(SIGUSR1);
    _exit(0);
}

/* Lets the child take one instruction after the other; whenever that has changed the ring, recovery is tried. */
static void step_through(const operation *op, unsigned *states)
{
    shared_ring live = new_ring();
    size_t bytes = watched_bytes(live.ring);
    char *before = malloc(bytes);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        be_traced(&live, op);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        SKIP("processes can't be traced here");
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    memcpy(before, live.ring, bytes);
    recover_copy(&live, op);
    for (*states = 1; !test_failed();) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK(WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGUSR1)
            break;
        if (memcmp(before, live.ring, bytes) == 0)
            continue;
        memcpy(before, live.ring, bytes);
        recover_copy(&live, op);
        ++*states;
    }
    recover_copy(&live, op);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    free(before);
}

static void survive(operation op, unsigned least_states)
{
    unsigned states = 0;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    step_through(&op, &states);
    if (!test_failed() && states > 0)
        CHECK(states >= least_states);
}

TEST(ring_survives_death_anywhere_in_post)
{
    survive((operation){.run = run_post, .posts = true}, 8);
}

TEST(ring_survives_death_anywhere_in_free)
{
    survive((operation){.run = run_free, .frees = true}, 2);
}

TEST(ring_survives_death_anywhere_in_take_finished)
{
    survive((operation){.run = run_take}, 2);
}

TEST(ring_survives_death_anywhere_in_withdraw)
{
    survive((operation){.run = run_withdraw, .readies = 3}, 7);
}

TEST(ring_survives_death_anywhere_in_feeder_open)
{
    survive((operation){.run = run_open}, 2);
}

TEST(ring_survives_death_anywhere_in_sleep)
{
    survive((operation){.run = run_sleep}, 3);
}

TEST(ring_survives_death_anywhere_in_claim)
{
    survive((operation){.run = run_claim, .claims = true}, 3);
}

TEST(ring_survives_death_anywhere_in_finish)
{
    survive((operation){.run = run_finish}, 4);
}

/* -- at random ------------------------------------------------------------------------------------------------ */

enum { WORKERS = 4, JOBS = 2000000, LOAD_MS = 3000 };

enum { WAITING, HELD, SETTLED };

/* A broker in shared memory: the state of each job is the truth, and changes in one step. */
typedef struct broker {
    _Atomic uint32_t limit; /* reserve no jobs from here on */
    _Atomic uint32_t next;  /* jobs below were reserved at least once */
    _Atomic bool is_empty;
    _Atomic uint32_t refused; /* settled again by a dispatcher whose predecessor died before it freed the slot */
    _Atomic uint32_t damaged;
    _Atomic uint32_t returned;
    _Atomic unsigned char state[JOBS];
    _Atomic unsigned char runs[JOBS];
} broker;

static shared_ring load;
static broker *store;

static void work(uint32_t worker)
{
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(load.ring);
        uint32_t slot = mpq_ring_claim(load.ring, worker);
        if (slot == MPQ_SLOT_NONE) {
            mpq_ring_wait(load.ring, kicks, FOREVER_MS);
            continue;
        }
        if (!is_intact(load.ring, slot))
            store->damaged++;
        store->runs[number_of(load.ring, slot)]++;
        finish(load.ring, slot, MPQ_END_DONE);
    }
}

typedef struct dispatcher {
    mpq_ring_feeder *feeder;
    uint32_t again_count;
    uint32_t again[JOBS]; /* waiting, to be posted again */
    bool there[JOBS];
} dispatcher;

/* Settles one taken slot: a job whose worker died or that was withdrawn waits again. */
static void settle(dispatcher *self, uint32_t slot)
{
    uint64_t number = number_of(load.ring, slot);
    bool done = mpq_ring_slot(load.ring, slot)->end == MPQ_END_DONE;
    if (store->state[number] != HELD)
        store->refused++;
    else if (!done)
        store->returned++;
    if (store->state[number] == HELD)
        store->state[number] = done ? SETTLED : WAITING;
    if (store->state[number] == WAITING)
        self->again[self->again_count++] = (uint32_t)number;
    mpq_ring_free(self->feeder, slot);
}

/* What the broker says this owner holds and the ring does not, its predecessor lost. */
static void find_lost(dispatcher *self)
{
    uint32_t slots[MPQ_RING_SLOTS], occupied = mpq_ring_occupied(load.ring, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < occupied; i++)
        self->there[number_of(load.ring, slots[i])] = true;
    for (uint32_t number = 0; number < store->next; number++)
        if (store->state[number] != SETTLED && !self->there[number])
            self->again[self->again_count++] = number;
}

static bool post_next(dispatcher *self)
{
    bool is_new = self->again_count == 0;
    uint32_t number = is_new ? store->next : self->again[self->again_count - 1];
    if ((is_new && number >= store->limit) || mpq_ring_free_slots(self->feeder) < MPQ_RING_SLOTS / 2)
        return false;
    store->state[number] = HELD;
    if (is_new)
        store->next++;
    else
        self->again_count--;
    if (post(self->feeder, number) != 0)
        _exit(4);
    return true;
}

static void sleep_until_woken(void)
{
    uint64_t wake_ups;
    if (mpq_ring_sleep(load.ring, UINT32_MAX) && read(wake_fd, &wake_ups, sizeof wake_ups) != sizeof wake_ups)
        _exit(5);
    mpq_ring_awake(load.ring);
}

static bool is_everything_settled(const dispatcher *self)
{
    return store->next >= store->limit && self->again_count == 0 && mpq_ring_free_slots(self->feeder) == MPQ_RING_SLOTS;
}

static void dispatch(uint32_t unused)
{
    static dispatcher self;
    uint32_t slots[64];
    (void)unused;
    if (mpq_ring_feeder_open(load.ring, &self.feeder, NULL) != 0)
        _exit(3);
    find_lost(&self);
    for (unsigned round = 0; !is_everything_settled(&self); round++) {
        bool posted = false;
        for (int i = 0; i < 32 && post_next(&self); i++)
            posted = true;
        uint32_t count = round % 64 == 63 ? mpq_ring_withdraw(self.feeder, slots, 5) : 0;
        count += mpq_ring_take_finished(self.feeder, slots + count, 64 - count);
        for (uint32_t i = 0; i < count; i++)
            settle(&self, slots[i]);
        if (!posted && count == 0)
            sleep_until_woken();
    }
    store->is_empty = true;
    for (;;)
        pause();
}

static pid_t spawn(void (*body)(uint32_t worker), uint32_t worker)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body(worker);
        _exit(0);
    }
    return pid;
}

/* The manager's part after a worker has died. */
static void bury(uint32_t worker)
{
    uint64_t one = 1;
    uint32_t slot = mpq_ring_claimed_by(load.ring, worker);
    if (slot != MPQ_SLOT_NONE)
        finish(load.ring, slot, MPQ_END_SIGNAL);
    if (write(wake_fd, &one, sizeof one) != sizeof one)
        abort();
}

static void kill_and_replace(pid_t *pid, void (*body)(uint32_t worker), uint32_t worker)
{
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    if (body == work)
        bury(worker);
    *pid = spawn(body, worker);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

typedef struct deaths {
    uint32_t workers;
    uint32_t dispatchers;
} deaths;

static void kill_at_random(pid_t *workers, pid_t *boss, deaths *counts)
{
    uint64_t until = now_ms() + LOAD_MS;
    while (now_ms() < until) {
        uint32_t victim = (uint32_t)rand() % (WORKERS + 1);
        usleep((useconds_t)(rand() % 1500));
        if (victim < WORKERS) {
            kill_and_replace(&workers[victim], work, victim);
            counts->workers++;
        } else {
            kill_and_replace(boss, dispatch, 0);
            counts->dispatchers++;
        }
    }
}

static void check_books(const deaths *counts)
{
    uint32_t repeated = 0;
    for (uint32_t i = 0; i < store->next; i++) {
        CHECK_INT(store->state[i], SETTLED);
        CHECK(store->runs[i] >= 1);
        repeated += store->runs[i] - 1u;
    }
    CHECK_INT(store->damaged, 0);
    /* Only a worker that died after its run and before it had reported makes a job run again, and only a dispatcher
     * that died between settling and freeing makes a slot be settled twice. */
    CHECK(repeated <= counts->workers);
    CHECK(store->refused <= counts->dispatchers);
    printf("  %u jobs; %u workers and %u dispatchers killed; %u came back, %u ran again, %u settled again\n",
           store->next, counts->workers, counts->dispatchers, store->returned, repeated, store->refused);
}

TEST(ring_loses_nothing_under_random_kills)
{
    pid_t workers[WORKERS];
    deaths counts = {0};
    load = new_ring();
    store = map_shared(sizeof *store);
    store->limit = JOBS;
    wake_fd = eventfd(0, EFD_CLOEXEC);
    srand((unsigned)getpid());
    for (uint32_t i = 0; i < WORKERS; i++)
        workers[i] = spawn(work, i);
    pid_t boss = spawn(dispatch, 0);
    kill_at_random(workers, &boss, &counts);
    CHECK(counts.workers > 10 && counts.dispatchers > 2);
    store->limit = store->next;
    kill_and_replace(&boss, dispatch, 0);
    for (uint64_t until = now_ms() + 20000; !store->is_empty && now_ms() < until;)
        usleep(1000);
    CHECK(store->is_empty);
    for (uint32_t i = 0; i < WORKERS; i++) {
        kill(workers[i], SIGKILL);
        waitpid(workers[i], NULL, 0);
    }
    check_books(&counts);
}
