#include "lane.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crashpoint.h"

enum {
    FULL_FLIGHT = 64,         /* worth a second exchange while one is under way */
    RESERVE_BYTES = 32 << 20, /* in one exchange */
    SETTLE_BYTES = 32 << 20,  /* the same the other way */
    KEPT_BYTES = 64 << 10,    /* of one settlement's buffer */
    LONG_JOB_US = 100000,
    RELIEVE_EVERY_MS = 100,
    SELDOM_US = 5000,    /* from one hint to the next */
    QUIET_US = 60,       /* for the first line of a job, or all of a short one */
    HELD_BACK_US = 1000, /* then it is seen whether the workers that are awake get on */
    FLUSH_AFTER_MS = 5   /* results wait at most this long while the ring is full enough not to wake us */
};

int mpq_lane_open(mpq_process *process, uint32_t index, mpq_lane *lane, mpq_error *err)
{
    memset(lane, 0, sizeof *lane);
    lane->process = process;
    lane->index = index;
    lane->config = &process->config->queues[index];
    lane->board = &process->board.file->queues[index];
    lane->ring = process->board.rings[index];
    lane->processors = mpq_lane_count_processors();
    lane->comes_alone = true;
    mpq_extra_list_init(&lane->extras);
    for (int i = 0; i < MPQ_LANE_FLIGHTS; i++)
        mpq_extra_list_init(&lane->flights[i].extras);
    mpq_batch_init(&lane->batch);
    mpq_batch_init(&lane->overflow);
    if (mpq_ring_feeder_open(lane->ring, &lane->feeder, err) < 0)
        return -1;
    return mpq_broker_open(&process->config->broker, &lane->broker, err);
}

static void free_extras(mpq_extra_list *list)
{
    for (mpq_extra *extra; (extra = mpq_extra_list_pop(list));)
        mpq_extra_free(extra);
}

void mpq_lane_close(mpq_lane *lane)
{
    if (lane->broker)
        mpq_broker_close(lane->broker);
    if (lane->feeder)
        mpq_ring_feeder_close(lane->feeder);
    free_extras(&lane->extras);
    for (int i = 0; i < MPQ_LANE_FLIGHTS; i++)
        free_extras(&lane->flights[i].extras);
    for (int i = 0; i < MPQ_EXCHANGE_MAX; i++)
        mpq_buf_fini(&lane->settle_bytes[i]);
    mpq_batch_fini(&lane->batch);
    mpq_batch_fini(&lane->overflow);
}

/* -- what is wanted --------------------------------------------------------------------------------------------- */

static uint32_t coming(const mpq_lane *lane)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < lane->flight_count; i++)
        count += lane->flights[(lane->first_flight + i) % MPQ_LANE_FLIGHTS].want;
    return count;
}

static uint32_t wanted(const mpq_lane *lane)
{
    if (mpq_lane_is_stopping(lane) || lane->config->mode == MPQ_MODE_GRAB || lane->overflow.count > 0)
        return 0;
    uint32_t on_the_way = coming(lane);
    uint32_t have = mpq_ring_ready(lane->ring) + on_the_way;
    uint32_t want = lane->target > have ? lane->target - have : 0;
    uint32_t room = mpq_ring_free_slots(lane->feeder);
    room = room > on_the_way ? room - on_the_way : 0;
    want = want < room ? want : room;
    return want < MPQ_EXCHANGE_MAX ? want : MPQ_EXCHANGE_MAX;
}

/* -- towards the broker --------------------------------------------------------------------------------------- */

static void collect_finished(mpq_lane *lane)
{
    if (lane->pending_count == 0)
        lane->flush_at_ms = mpq_clock_monotonic_ms() + FLUSH_AFTER_MS;
    lane->pending_count +=
        mpq_ring_take_finished(lane->feeder, lane->pending + lane->pending_count, MPQ_RING_SLOTS - lane->pending_count);
}

void mpq_lane_withdraw(mpq_lane *lane)
{
    lane->pending_count +=
        mpq_ring_withdraw(lane->feeder, lane->pending + lane->pending_count, MPQ_RING_SLOTS - lane->pending_count);
}

/* Moves what is to be settled into the flight; returns how many settlements it has. */
static size_t load_flight(mpq_lane *lane, mpq_flight *flight)
{
    size_t count = 0, bytes = 0;
    uint32_t taken = 0;
    while (count < MPQ_EXCHANGE_MAX && bytes < SETTLE_BYTES && lane->extras.head) {
        mpq_extra *extra = mpq_extra_list_pop(&lane->extras);
        bytes += extra->settle.envelope.len;
        lane->settles[count++] = extra->settle;
        mpq_extra_list_append(&flight->extras, extra);
    }
    while (count < MPQ_EXCHANGE_MAX && bytes < SETTLE_BYTES && taken < lane->pending_count) {
        uint32_t slot = lane->pending[taken++];
        mpq_buf_clear(&lane->settle_bytes[count]);
        if (mpq_lane_settle_slot(lane, slot, &lane->settle_bytes[count], &lane->settles[count]) > 0) {
            mpq_lane_free_slot(lane, slot);
            continue;
        }
        bytes += lane->settles[count++].envelope.len;
        flight->slots[flight->slot_count++] = slot;
    }
    lane->pending_count -= taken;
    memmove(lane->pending, lane->pending + taken, lane->pending_count * sizeof *lane->pending);
    return count;
}

void mpq_lane_free_large_buffers(mpq_lane *lane)
{
    for (size_t i = 0; i < MPQ_EXCHANGE_MAX; i++)
        if (lane->settle_bytes[i].capacity > KEPT_BYTES)
            mpq_buf_fini(&lane->settle_bytes[i]);
}

static void send_exchange(mpq_lane *lane)
{
    mpq_flight *flight = &lane->flights[(lane->first_flight + lane->flight_count) % MPQ_LANE_FLIGHTS];
    mpq_error err;
    flight->slot_count = 0;
    mpq_extra_list_init(&flight->extras);
    mpq_exchange exchange = {.settles = lane->settles, .want_bytes = RESERVE_BYTES};
    exchange.settle_count = load_flight(lane, flight);
    exchange.want = flight->want = wanted(lane);
    flight->outdated = false;
    lane->quiet_until_us = 0; /* it claims what there is to be claimed */
    lane->flight_count++;
    uint64_t now = lane->renewed_at_ms = flight->sent_at_ms = mpq_clock_monotonic_ms();
    lane->look_at_ms = now + lane->config->sleep_ms;
    if (exchange.want)
        lane->due_at_us = 0;
    for (size_t i = 0; i < exchange.settle_count; i++)
        if (lane->settles[i].kind == MPQ_SETTLE_RETRY || lane->settles[i].kind == MPQ_SETTLE_RETURN)
            lane->empty = false;
    MPQ_CRASH_POINT("dispatcher.send.before");
    if (exchange.settle_count)
        MPQ_CRASH_POINT("dispatcher.settle.before_send");
    if (lane->broker->ops->send(lane->broker, &exchange, &err) < 0)
        mpq_lane_down(lane, &err);
    MPQ_CRASH_POINT("dispatcher.send.after");
    if (exchange.settle_count)
        MPQ_CRASH_POINT("dispatcher.settle.after_send");
    mpq_lane_free_large_buffers(lane);
}

static void log_oddities(mpq_lane *lane)
{
    mpq_batch *batch = &lane->batch;
    if (batch->refused)
        mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING,
                      "%zu results of queue \"%s\" were refused: the jobs were not held here any more", batch->refused,
                      lane->config->name);
    if (batch->garbage)
        mpq_log_write(lane->process->log, MPQ_LEVEL_ERROR,
                      "%zu entries of queue \"%s\" are no jobs: kept in the failed records as raw bytes",
                      batch->garbage, lane->config->name);
}

static void confirm(mpq_lane *lane, mpq_flight *flight)
{
    if (flight->slot_count)
        MPQ_CRASH_POINT("dispatcher.settle.before_free");
    for (uint32_t i = 0; i < flight->slot_count; i++)
        mpq_lane_free_slot(lane, flight->slots[i]);
    MPQ_CRASH_POINT("dispatcher.receive.freed");
    atomic_fetch_add_explicit(&lane->process->board.shared->settled, flight->slot_count, memory_order_relaxed);
    free_extras(&flight->extras);
}

/* Those who push many at once do it again. */
static void learn_company(mpq_lane *lane, const mpq_flight *flight)
{
    if (!lane->hint_is_new || flight->want == 0 || flight->outdated)
        return;
    lane->comes_alone = lane->batch.count == 0;
    lane->hint_is_new = false;
}

static void accept_answer(mpq_lane *lane)
{
    mpq_batch *batch = &lane->batch;
    mpq_flight *flight = &lane->flights[lane->first_flight];
    MPQ_CRASH_POINT("dispatcher.receive.answered");
    if (batch->lost) {
        mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING,
                      "the lease of queue \"%s\" was lost: others run what was held here", lane->config->name);
        mpq_lane_lost(lane);
        return;
    }
    lane->first_flight = (lane->first_flight + 1) % MPQ_LANE_FLIGHTS;
    lane->flight_count--;
    mpq_lane_renewed(lane, flight->sent_at_ms);
    confirm(lane, flight);
    log_oddities(lane);
    if (flight->want)
        lane->empty = batch->ready == 0 && batch->next_due_us != 0 && !flight->outdated;
    learn_company(lane, flight);
    if (batch->next_due_us > 0)
        lane->due_at_us = mpq_clock_monotonic_us() + (uint64_t)batch->next_due_us;
    MPQ_CRASH_POINT("dispatcher.receive.before_post");
    mpq_lane_post_batch(lane);
}

static void receive_answers(mpq_lane *lane)
{
    mpq_error err;
    while (lane->state == MPQ_LANE_UP && lane->flight_count > 0) {
        int rc = lane->broker->ops->receive(lane->broker, &lane->batch, &err);
        if (rc > 0)
            return;
        if (rc == 0 && lane->batch.bytes.failed)
            rc = mpq_error_set_memory(&err);
        if (rc < 0) {
            mpq_lane_down(lane, &err);
            return;
        }
        accept_answer(lane);
    }
}

/* -- deciding ------------------------------------------------------------------------------------------------- */

/* A lease that ends early costs who holds nothing nothing. A job that comes renews it on its way. */
static bool holds_something(const mpq_lane *lane)
{
    return mpq_ring_free_slots(lane->feeder) < MPQ_RING_SLOTS || lane->idle < lane->workers || lane->extras.head ||
           lane->overflow.count > 0;
}

static uint64_t maintenance_at(const mpq_lane *lane)
{
    uint32_t max_ms = holds_something(lane) ? MPQ_ROUND_MAX_MS : MPQ_IDLE_ROUND_MAX_MS;
    uint64_t at_ms = lane->renewed_at_ms + mpq_lane_round_ms(lane, max_ms);
    return at_ms < lane->renew_at_ms ? at_ms : lane->renew_at_ms;
}

static bool maintenance_due(const mpq_lane *lane, uint64_t now)
{
    return now >= maintenance_at(lane);
}

/* Who is told of every job looks rarely all the same: words get lost. */
static uint64_t look_at(const mpq_lane *lane)
{
    bool told = lane->waiting && !lane->broker->blind && lane->config->sleep_ms < MPQ_LOOK_MS;
    return lane->look_at_ms + (told ? MPQ_LOOK_MS - lane->config->sleep_ms : 0);
}

static bool look_due(const mpq_lane *lane, uint64_t now_us)
{
    return now_us / 1000 >= look_at(lane) || (lane->due_at_us && now_us >= lane->due_at_us);
}

/* As long as more jobs than this are ready, results and wishes can wait for company: a worker that leaves fewer wakes
 * us. While one exchange is under way that is when a second one is worth its while. */
static uint32_t low_water(const mpq_lane *lane)
{
    if (mpq_lane_is_stopping(lane))
        return UINT32_MAX;
    if (lane->flight_count == 0)
        return lane->target / 2;
    uint32_t enough = coming(lane) + FULL_FLIGHT;
    return lane->flight_count < MPQ_LANE_FLIGHTS && lane->target > enough ? lane->target - enough : 0;
}

/* The worker that was woken for what a hint has brought gets the processor only if the server does not: so it is asked
 * for nothing until then. A short job is over before, and one request tells and asks everything. */
static bool is_quiet(const mpq_lane *lane, uint64_t now_us)
{
    return now_us < lane->quiet_until_us && lane->pending_count == 0 && !lane->extras.head;
}

static bool wants_send(const mpq_lane *lane, uint64_t now_us)
{
    uint64_t now = now_us / 1000;
    if (lane->state != MPQ_LANE_UP || maintenance_due(lane, now))
        return false;
    if (lane->flight_count == MPQ_LANE_FLIGHTS || is_quiet(lane, now_us))
        return false;
    bool overdue = lane->flight_count == 0 && look_due(lane, now_us);
    uint32_t want = !lane->empty || overdue ? wanted(lane) : 0;
    if (lane->pending_count >= FULL_FLIGHT || want >= FULL_FLIGHT)
        return true;
    if (lane->flight_count > 0)
        return false;
    if (lane->extras.head || (overdue && want > 0))
        return true;
    if (mpq_ring_ready(lane->ring) <= low_water(lane))
        return lane->pending_count > 0 || want > 0;
    return lane->pending_count > 0 && now >= lane->flush_at_ms;
}

/* Other nodes may have idle workers while ours are all busy with something longer than expected. */
static void relieve(mpq_lane *lane, uint64_t now)
{
    bool stuck = lane->idle == 0 && lane->workers > 0 && lane->youngest_running_us >= LONG_JOB_US;
    if (mpq_lane_is_stopping(lane) || lane->workers == 0 ||
        (stuck && now >= lane->relieve_at_ms && mpq_ring_ready(lane->ring) > lane->target)) {
        mpq_lane_withdraw(lane);
        lane->relieve_at_ms = now + RELIEVE_EVERY_MS;
    }
}

static void arm_wait(mpq_lane *lane)
{
    mpq_error err;
    if (lane->state != MPQ_LANE_UP || lane->waiting || !lane->empty || lane->flight_count > 0 || wanted(lane) == 0)
        return;
    MPQ_CRASH_POINT("dispatcher.wait.before_arm");
    if (lane->broker->ops->wait_arm(lane->broker, &err) < 0)
        mpq_lane_down(lane, &err);
    else
        lane->waiting = true;
    MPQ_CRASH_POINT("dispatcher.wait.armed");
}

/* What a hint has brought, unless an exchange has said it already. It was posted first: should we die in between, then
 * whoever takes over knows what was running, or the store keeps in mind that it may have been. */
static void claim(mpq_lane *lane, uint64_t now_us)
{
    mpq_error err;
    if (lane->state != MPQ_LANE_UP || is_quiet(lane, now_us))
        return;
    lane->quiet_until_us = 0;
    if (lane->broker->ops->wait_claim && lane->broker->ops->wait_claim(lane->broker, &err) < 0)
        mpq_lane_down(lane, &err);
}

static void maintain(mpq_lane *lane, uint64_t now)
{
    mpq_error err;
    if (now >= lane->dead_at_ms && mpq_lane_has_dead_worker(lane))
        lane->renew_at_ms = now;
    if (lane->state != MPQ_LANE_UP || lane->flight_count > 0 || !maintenance_due(lane, now))
        return;
    int rc = mpq_lane_maintain(lane, &err);
    if (rc < 0)
        mpq_lane_down(lane, &err);
    else if (rc > 0)
        send_exchange(lane); /* renews the lease, whatever it carries */
}

/* The broker knows what we hold. */
static void remember(mpq_lane *lane)
{
    mpq_error err;
    if (lane->state != MPQ_LANE_UP || !lane->forgetful)
        return;
    mpq_error_set_memory(&err);
    mpq_lane_down(lane, &err);
}

void mpq_lane_pump(mpq_lane *lane)
{
    uint64_t now_us = mpq_clock_monotonic_us(), now = now_us / 1000;
    mpq_error err;
    if (lane->state == MPQ_LANE_CLOSED)
        return;
    if (lane->state == MPQ_LANE_DOWN && now >= lane->retry_at_ms && mpq_lane_attach(lane, &err) < 0)
        mpq_lane_down(lane, &err);
    collect_finished(lane);
    receive_answers(lane);
    mpq_lane_post_overflow(lane);
    mpq_lane_look_at_workers(lane, now_us);
    relieve(lane, now);
    maintain(lane, now);
    if (wants_send(lane, now_us))
        send_exchange(lane);
    receive_answers(lane);
    remember(lane);
    claim(lane, now_us);
    arm_wait(lane);
}

/* Sleeping and waking once more is worth it only where there is nothing else to do anyway; and where jobs do not come
 * alone, the others would wait. */
static void be_quiet(mpq_lane *lane)
{
    uint64_t now_us = mpq_clock_monotonic_us();
    bool seldom = now_us >= lane->hinted_at_us + SELDOM_US;
    lane->hinted_at_us = now_us;
    lane->quiet_until_us = now_us + (seldom && lane->comes_alone ? QUIET_US : 0);
}

void mpq_lane_woken(mpq_lane *lane)
{
    mpq_error err;
    if (lane->state != MPQ_LANE_UP)
        return;
    int rc = lane->broker->ops->wait_collect(lane->broker, &lane->batch, &err);
    if (rc < 0) {
        mpq_lane_down(lane, &err);
        return;
    }
    if (rc > 0)
        return;
    MPQ_CRASH_POINT("dispatcher.wait.collected");
    lane->waiting = false;
    lane->empty = false;
    for (int i = 0; i < MPQ_LANE_FLIGHTS; i++)
        lane->flights[i].outdated = true;
    lane->hint_is_new = lane->batch.count > 0;
    if (lane->hint_is_new)
        be_quiet(lane);
    mpq_lane_post_batch(lane);
    MPQ_CRASH_POINT("dispatcher.wait.posted");
}

static void earlier(uint64_t *at, uint64_t candidate)
{
    if (candidate < *at)
        *at = candidate;
}

/* When there is something to do again if no event comes before. While an answer is due most of it can't be done: the
 * answer wakes us, or the look whether it still comes. */
static uint64_t next_timer_us(const mpq_lane *lane, uint64_t now)
{
    uint32_t ready = mpq_ring_ready(lane->ring);
    uint64_t at_ms = now + 1000, due_at_us = UINT64_MAX;
    if (lane->flight_count == 0) {
        earlier(&at_ms, maintenance_at(lane));
        if (wanted(lane) > 0) {
            earlier(&at_ms, look_at(lane));
            due_at_us = lane->due_at_us ? lane->due_at_us : UINT64_MAX;
        }
        if (ready > low_water(lane))
            earlier(&at_ms, now + FLUSH_AFTER_MS);
    }
    if (ready > 0 && lane->idle == 0)
        earlier(&at_ms, now + RELIEVE_EVERY_MS);
    return due_at_us < 1000 * at_ms ? due_at_us : 1000 * at_ms;
}

bool mpq_lane_sleep(mpq_lane *lane, uint64_t now_us, uint64_t *next_at_us)
{
    uint64_t now = now_us / 1000;
    *next_at_us = 1000 * (now + 1000);
    if (!mpq_ring_sleep(lane->ring, low_water(lane)))
        return false;
    if (lane->state == MPQ_LANE_CLOSED)
        return true;
    if (mpq_ring_holds_back(lane->feeder))
        *next_at_us = now_us + HELD_BACK_US;
    if (lane->state == MPQ_LANE_DOWN) {
        earlier(next_at_us, 1000 * lane->retry_at_ms);
        return lane->retry_at_ms > now;
    }
    if (wants_send(lane, now_us) || (maintenance_due(lane, now) && lane->flight_count == 0))
        return false;
    if (lane->quiet_until_us) { /* then there is a claim to be sent; what is overdue can wait for that */
        *next_at_us = lane->quiet_until_us;
        return lane->quiet_until_us > now_us;
    }
    earlier(next_at_us, next_timer_us(lane, now));
    return true;
}

bool mpq_lane_settled(const mpq_lane *lane)
{
    return lane->state == MPQ_LANE_CLOSED ||
           (lane->pending_count == 0 && !lane->extras.head && lane->flight_count == 0 &&
            !mpq_lane_has_dead_worker(lane) && !mpq_lane_has_inherited(lane));
}

int mpq_lane_detach(mpq_lane *lane, mpq_error *err)
{
    if (lane->state != MPQ_LANE_UP)
        return mpq_error_set(err, lane->error.kind ? lane->error.kind : MPQ_ERROR_CONNECT, "%s", lane->error.text);
    MPQ_CRASH_POINT("dispatcher.detach.before");
    if (lane->broker->ops->detach(lane->broker, err) < 0) {
        mpq_lane_down(lane, err);
        return -1;
    }
    MPQ_CRASH_POINT("dispatcher.detach.done");
    lane->board->owner[0] = '\0';
    lane->state = MPQ_LANE_CLOSED;
    MPQ_CRASH_POINT("dispatcher.detach.forgotten");
    return 0;
}
