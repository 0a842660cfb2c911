/* The ring under load while its processes are killed at random: every job is settled, none twice. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "processes.h"
#include "ring_jobs.h"
#include "test.h"

enum { ARENA_BYTES = 8 << 20, FOREVER_MS = 3600000 };

static mpq_ring *ring;
static int wake_fd;

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

static broker *store;

static void work(uint32_t worker)
{
    for (;;) {
        uint32_t kicks = mpq_ring_kicks(ring);
        uint32_t slot = mpq_ring_claim(ring, worker);
        if (slot == MPQ_SLOT_NONE) {
            mpq_ring_wait(ring, 0, kicks, FOREVER_MS);
            continue;
        }
        if (!ring_job_is_intact(ring, slot))
            store->damaged++;
        store->runs[ring_job_number(ring, slot)]++;
        ring_job_finish(ring, slot, MPQ_END_DONE, wake_fd);
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
    uint64_t number = ring_job_number(ring, slot);
    bool done = mpq_ring_slot(ring, slot)->end == MPQ_END_DONE;
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
    uint32_t slots[MPQ_RING_SLOTS], occupied = mpq_ring_occupied(ring, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < occupied; i++)
        self->there[ring_job_number(ring, slots[i])] = true;
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
    if (ring_job_post(self->feeder, number) != 0)
        _exit(4);
    return true;
}

static void sleep_until_woken(void)
{
    uint64_t wake_ups;
    if (mpq_ring_sleep(ring, UINT32_MAX) && read(wake_fd, &wake_ups, sizeof wake_ups) != sizeof wake_ups)
        _exit(5);
    mpq_ring_awake(ring);
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
    if (mpq_ring_feeder_open(ring, &self.feeder, NULL) != 0)
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

/* The manager's part after a worker has died. */
static void bury(uint32_t worker)
{
    uint64_t one = 1;
    uint32_t slot = mpq_ring_claimed_by(ring, worker);
    if (slot != MPQ_SLOT_NONE)
        ring_job_finish(ring, slot, MPQ_END_SIGNAL, wake_fd);
    if (write(wake_fd, &one, sizeof one) != sizeof one)
        abort();
}

static void kill_and_replace(pid_t *pid, void (*body)(uint32_t worker), uint32_t worker)
{
    process_stop(*pid);
    if (body == work)
        bury(worker);
    *pid = process_spawn(body, worker);
}

typedef struct deaths {
    uint32_t workers;
    uint32_t dispatchers;
} deaths;

static void kill_at_random(pid_t *workers, pid_t *boss, deaths *counts)
{
    uint64_t until = mpq_clock_monotonic_ms() + LOAD_MS;
    while (mpq_clock_monotonic_ms() < until) {
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
    ring = mpq_ring_init(process_shared_memory(mpq_ring_bytes()), process_shared_memory(ARENA_BYTES), ARENA_BYTES);
    store = process_shared_memory(sizeof *store);
    store->limit = JOBS;
    wake_fd = eventfd(0, EFD_CLOEXEC);
    srand((unsigned)getpid());
    for (uint32_t i = 0; i < WORKERS; i++)
        workers[i] = process_spawn(work, i);
    pid_t boss = process_spawn(dispatch, 0);
    kill_at_random(workers, &boss, &counts);
    CHECK(counts.workers > 10 && counts.dispatchers > 2);
    store->limit = store->next;
    kill_and_replace(&boss, dispatch, 0);
    for (uint64_t until = mpq_clock_monotonic_ms() + 20000; !store->is_empty && mpq_clock_monotonic_ms() < until;)
        usleep(1000);
    CHECK(store->is_empty);
    for (uint32_t i = 0; i < WORKERS; i++) {
        process_stop(workers[i]);
    }
    check_books(&counts);
}
