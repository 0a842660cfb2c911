#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "crashpoint.h"
#include "lane.h"

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 250,
    WELL_MS = 10000, /* a connection that has lasted so long was a good one */
    COMPLAIN_EVERY_MS = 60000,
    RENEW_MAX = 256
};

/* Never used before on any host, and readable in the store and in the causes of lost jobs. */
static void choose_owner(mpq_lane *lane)
{
    uint32_t salt = 0;
    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        salt = (uint32_t)(mpq_clock_monotonic_us() ^ (uint64_t)getpid() << 16);
    snprintf(lane->board->owner, sizeof lane->board->owner, "%s@%.60s:%d.%08x", lane->process->config->name,
             lane->process->board.file->node, (int)getpid(), salt);
}

static bool contains(const mpq_buf *ids, const mpq_id *id)
{
    for (size_t at = 0; at + MPQ_ID_BYTES <= ids->len; at += MPQ_ID_BYTES)
        if (memcmp(ids->data + at, id->bytes, MPQ_ID_BYTES) == 0)
            return true;
    return false;
}

/* READY slots go back to the broker, whatever it says of them; FINISHED ones are settled (again); the result of a
 * running job that is not ours any more is dropped when it comes. */
static void match_slots(mpq_lane *lane, const mpq_buf *held)
{
    uint32_t slots[MPQ_RING_SLOTS];
    uint32_t epoch = atomic_load(&lane->board->epoch);
    mpq_lane_withdraw(lane);
    uint32_t count = mpq_ring_occupied(lane->ring, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        mpq_slot *slot = mpq_ring_slot(lane->ring, slots[i]);
        if (slot->epoch == epoch && !contains(held, &slot->id))
            slot->epoch = epoch - 1;
    }
}

/* A slot of a former epoch will be dropped, so it holds nothing. */
static bool in_slot(const mpq_lane *lane, const mpq_id *id, const uint32_t *slots, uint32_t count)
{
    uint32_t epoch = atomic_load(&lane->board->epoch);
    for (uint32_t i = 0; i < count; i++) {
        const mpq_slot *slot = mpq_ring_slot(lane->ring, slots[i]);
        if (slot->epoch == epoch && mpq_id_equal(&slot->id, id))
            return true;
    }
    return false;
}

/* What we hold but never gave to a worker: its answer was lost, or a dispatcher died with it. Extras that wait to be
 * sent hold jobs too. */
static void return_unknown(mpq_lane *lane, const mpq_buf *held)
{
    uint32_t slots[MPQ_RING_SLOTS];
    uint32_t count = mpq_ring_occupied(lane->ring, slots, MPQ_RING_SLOTS);
    for (size_t at = 0; at + MPQ_ID_BYTES <= held->len; at += MPQ_ID_BYTES) {
        mpq_id id;
        memcpy(id.bytes, held->data + at, MPQ_ID_BYTES);
        if (in_slot(lane, &id, slots, count))
            continue;
        bool queued = false;
        for (mpq_extra *extra = lane->extras.head; extra && !queued; extra = extra->next)
            queued = mpq_id_equal(&extra->settle.id, &id);
        if (!queued)
            mpq_lane_return(lane, &id);
    }
}

/* What a hint has delivered may be running without the broker having heard of our claim. */
static void list_given(const mpq_lane *lane, mpq_buf *given)
{
    uint32_t slots[MPQ_RING_SLOTS];
    uint32_t epoch = atomic_load(&lane->board->epoch);
    uint32_t count = mpq_ring_occupied(lane->ring, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        const mpq_slot *slot = mpq_ring_slot(lane->ring, slots[i]);
        if (slot->epoch == epoch)
            mpq_buf_append(given, slot->id.bytes, MPQ_ID_BYTES);
    }
}

static int register_owner(mpq_lane *lane, mpq_buf *held, mpq_error *err)
{
    uint32_t lease_ms = lane->process->config->lease_ms;
    if (lane->board->owner[0]) {
        list_given(lane, held);
        MPQ_CRASH_POINT("dispatcher.attach.before_resume");
        int rc = lane->broker->ops->attach(lane->broker, lane->config->name, lane->board->owner, lease_ms,
                                           MPQ_ATTACH_RESUME, held, err);
        if (rc <= 0)
            return rc;
        if (!lane->unregistered)
            mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING,
                          "the lease of queue \"%s\" was lost: others run what was held here", lane->config->name);
        mpq_lane_lost(lane);
    }
    choose_owner(lane);
    lane->unregistered = true;
    mpq_buf_clear(held);
    MPQ_CRASH_POINT("dispatcher.attach.named");
    return lane->broker->ops->attach(lane->broker, lane->config->name, lane->board->owner, lease_ms, MPQ_ATTACH_FRESH,
                                     held, err);
}

void mpq_lane_renewed(mpq_lane *lane, uint64_t asked_at_ms)
{
    atomic_store(&lane->process->board.shared->lease_until_ms[lane->index],
                 asked_at_ms + lane->process->config->lease_ms);
}

int mpq_lane_attach(mpq_lane *lane, mpq_error *err)
{
    mpq_buf held;
    uint64_t asked_at_ms = mpq_clock_monotonic_ms();
    mpq_buf_init(&held);
    int rc = register_owner(lane, &held, err);
    if (rc == 0 && held.failed)
        rc = mpq_error_set_memory(err);
    if (rc == 0) {
        MPQ_CRASH_POINT("dispatcher.attach.registered");
        lane->forgetful = lane->unregistered = false;
        match_slots(lane, &held);
        MPQ_CRASH_POINT("dispatcher.attach.matched");
        return_unknown(lane, &held);
        mpq_lane_renewed(lane, asked_at_ms);
        uint64_t now = mpq_clock_monotonic_ms();
        lane->state = MPQ_LANE_UP;
        lane->attached_once = true;
        lane->up_since_ms = now;
        if (lane->complained)
            mpq_log_write(lane->process->log, MPQ_LEVEL_NOTICE, "queue \"%s\": connected again", lane->config->name);
        lane->complained = false;
        lane->empty = lane->waiting = false;
        lane->renew_at_ms = now;
        lane->adopt_at_ms = now + lane->process->config->lease_ms;
        lane->look_at_ms = now + lane->config->sleep_ms;
    }
    mpq_buf_fini(&held);
    return rc;
}

/* What was being sent becomes pending again, in its old order, before what is pending already. */
static void recall_flights(mpq_lane *lane)
{
    uint32_t slots[MPQ_RING_SLOTS];
    uint32_t count = 0;
    mpq_extra_list extras;
    mpq_extra_list_init(&extras);
    for (uint32_t i = 0; i < lane->flight_count; i++) {
        mpq_flight *flight = &lane->flights[(lane->first_flight + i) % MPQ_LANE_FLIGHTS];
        memcpy(slots + count, flight->slots, flight->slot_count * sizeof *slots);
        count += flight->slot_count;
        for (mpq_extra *extra; (extra = mpq_extra_list_pop(&flight->extras));)
            mpq_extra_list_append(&extras, extra);
        flight->slot_count = flight->want = 0;
    }
    lane->flight_count = 0;
    memmove(lane->pending + count, lane->pending, lane->pending_count * sizeof *slots);
    memcpy(lane->pending, slots, count * sizeof *slots);
    lane->pending_count += count;
    for (mpq_extra *extra; (extra = mpq_extra_list_pop(&lane->extras));)
        mpq_extra_list_append(&extras, extra);
    lane->extras = extras;
    if (!extras.head)
        mpq_extra_list_init(&lane->extras);
}

/* Jobs that found no room yet are still held under our name: a resumed attach returns them. */
static void drop_overflow(mpq_lane *lane)
{
    mpq_batch_clear(&lane->overflow);
    lane->overflow_at = 0;
}

/* One line for each outage, and one a minute as long as it goes on or comes back at once. */
static void complain(mpq_lane *lane, const mpq_error *why, uint64_t now)
{
    if (lane->failures > 0 && now < lane->complain_at_ms)
        return;
    mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING, "queue \"%s\": %s; running jobs go on, connecting again",
                  lane->config->name, why->text);
    lane->complained = true;
    lane->complain_at_ms = now + COMPLAIN_EVERY_MS;
}

void mpq_lane_down(mpq_lane *lane, const mpq_error *why)
{
    uint64_t now = mpq_clock_monotonic_ms();
    MPQ_CRASH_POINT("dispatcher.down.before");
    recall_flights(lane);
    drop_overflow(lane);
    if (lane->state == MPQ_LANE_UP && now - lane->up_since_ms >= WELL_MS)
        lane->failures = 0;
    complain(lane, why, now);
    lane->state = MPQ_LANE_DOWN;
    lane->error = *why;
    lane->waiting = false;
    uint32_t pause = RETRY_FIRST_MS << (lane->failures < 3 ? lane->failures : 3);
    lane->failures++;
    lane->retry_at_ms = now + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
}

void mpq_lane_lost(mpq_lane *lane)
{
    uint32_t slots[MPQ_RING_SLOTS];
    MPQ_CRASH_POINT("dispatcher.lost.before");
    recall_flights(lane);
    drop_overflow(lane);
    uint32_t withdrawn = mpq_ring_withdraw(lane->feeder, slots, MPQ_RING_SLOTS);
    for (uint32_t i = 0; i < withdrawn; i++)
        mpq_lane_free_slot(lane, slots[i]);
    for (uint32_t i = 0; i < lane->pending_count; i++)
        mpq_lane_free_slot(lane, lane->pending[i]);
    lane->pending_count = 0;
    for (mpq_extra *extra; (extra = mpq_extra_list_pop(&lane->extras));)
        mpq_extra_free(extra);
    MPQ_CRASH_POINT("dispatcher.lost.slots_freed");
    atomic_fetch_add(&lane->board->epoch, 1);
    MPQ_CRASH_POINT("dispatcher.lost.epoch_changed");
    lane->board->owner[0] = '\0';
    lane->state = MPQ_LANE_DOWN;
    lane->retry_at_ms = 0;
}

/* -- taking over ---------------------------------------------------------------------------------------------- */

/* What is known of the jobs of a dead owner. */
typedef struct takeover {
    const char *owner; /* NULL: whoever's lease has ended */
    bool all_counted;  /* nobody can tell what was running: every job may have been */
    const mpq_id *running;
    size_t running_count;
    bool reported; /* the cause is complete: the manager has seen the death */
    mpq_cause cause;
} takeover;

static bool was_running(const takeover *from, mpq_slice envelope)
{
    if (from->all_counted)
        return true;
    mpq_id id = mpq_codec_id(envelope);
    for (size_t i = 0; i < from->running_count; i++)
        if (mpq_id_equal(&from->running[i], &id))
            return true;
    return false;
}

/* 0 when nothing is left to take, -1. */
static int take_over(mpq_lane *lane, takeover *from, mpq_error *err)
{
    int rc;
    while ((rc = lane->broker->ops->adopt(lane->broker, from->owner, &lane->batch, err)) == 0) {
        mpq_batch *batch = &lane->batch;
        MPQ_CRASH_POINT("dispatcher.adopt.moved");
        if (!from->reported) {
            from->cause.at_ms = mpq_clock_wall_ms();
            from->cause.worker = mpq_slice_of(batch->from, strlen(batch->from));
        }
        for (size_t i = 0; i < batch->count; i++) {
            mpq_slice envelope = mpq_batch_envelope(batch, i);
            mpq_lane_settle_job(lane, envelope, was_running(from, envelope) ? &from->cause : NULL);
        }
        if (batch->count)
            mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING, "took over %zu jobs of queue \"%s\" from %s",
                          batch->count, lane->config->name, batch->from);
        MPQ_CRASH_POINT("dispatcher.adopt.decided");
        lane->empty = false;
    }
    return rc < 0 ? -1 : 0;
}

static mpq_cause lost_cause(mpq_lane *lane, enum mpq_end end, const char *message)
{
    const char *node = lane->process->board.file->node;
    mpq_cause cause = {.end = end};
    cause.message = mpq_slice_of(message, strlen(message));
    cause.node = mpq_slice_of(node, strlen(node));
    return cause;
}

static bool is_running(const mpq_board_worker *worker)
{
    return atomic_load(&worker->run_token) & 1;
}

/* Everything a killed service on this host held for this queue: what its board says was running has failed once, the
 * rest was only waiting. */
static int take_legacy(mpq_lane *lane, mpq_error *err)
{
    const mpq_board_file *old = lane->process->board.legacy->file;
    takeover from = {.cause = lost_cause(lane, MPQ_END_SERVICE_LOST, "the whole service was killed under the job")};
    uint32_t queue = 0;
    while (queue < old->queue_count && strcmp(old->queues[queue].name, lane->config->name) != 0)
        queue++;
    if (queue == old->queue_count)
        return 0;
    mpq_id *running = calloc(old->worker_capacity + 1, sizeof *running);
    if (!running)
        return mpq_error_set_memory(err);
    from.running = running;
    for (uint32_t i = 0; i < old->worker_capacity; i++)
        if (old->workers[i].queue == queue && is_running(&old->workers[i]))
            running[from.running_count++] = old->workers[i].job;
    MPQ_CRASH_POINT("dispatcher.legacy.read");
    int rc = 0;
    if (old->queues[queue].owner[0]) {
        from.owner = old->queues[queue].owner;
        rc = take_over(lane, &from, err);
    }
    for (uint32_t i = 0; rc == 0 && i < old->worker_capacity; i++) {
        if (old->workers[i].queue != queue || !old->workers[i].owner[0])
            continue;
        from.owner = old->workers[i].owner;
        rc = take_over(lane, &from, err);
    }
    free(running);
    return rc;
}

/* A grab worker that died: the manager has left the cause of its job on the board. */
static int take_dead_worker(mpq_lane *lane, mpq_board_worker *worker, mpq_error *err)
{
    takeover from = {.owner = worker->owner, .running = &worker->job};
    if (worker->report_end) {
        uint32_t len = worker->report_len <= sizeof worker->report ? worker->report_len : 0;
        from.reported = mpq_codec_decode_cause(mpq_slice_of(worker->report, len), &from.cause, NULL) == 0;
        if (!from.reported)
            from.cause = lost_cause(lane, MPQ_END_DIED, "the worker died");
        from.cause.end = (enum mpq_end)worker->report_end;
        from.running_count = worker->report_end == MPQ_END_INTERRUPTED ? 0 : 1;
    }
    if (worker->owner[0] && take_over(lane, &from, err) < 0)
        return -1;
    MPQ_CRASH_POINT("dispatcher.dead_worker.taken");
    worker->owner[0] = '\0';
    worker->report_end = worker->report_len = 0;
    MPQ_CRASH_POINT("dispatcher.dead_worker.forgotten");
    atomic_store(&worker->state, MPQ_WORKER_EMPTY);
    return 0;
}

static int renew(mpq_lane *lane, const char *const *owners, size_t count, mpq_error *err)
{
    return count > 0 ? lane->broker->ops->renew(lane->broker, owners, count, err) : 0;
}

static int maintain_grab_workers(mpq_lane *lane, mpq_error *err)
{
    mpq_board_file *board = lane->process->board.file;
    const char *owners[RENEW_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < board->worker_capacity; i++) {
        mpq_board_worker *worker = &board->workers[i];
        int32_t state = atomic_load(&worker->state);
        if (worker->queue != lane->index || state == MPQ_WORKER_EMPTY)
            continue;
        if (state == MPQ_WORKER_DEAD && take_dead_worker(lane, worker, err) < 0)
            return -1;
        if (state != MPQ_WORKER_DEAD && worker->owner[0])
            owners[count++] = worker->owner;
        if (count == RENEW_MAX) {
            if (renew(lane, owners, count, err) < 0)
                return -1;
            count = 0;
        }
    }
    return renew(lane, owners, count, err);
}

int mpq_lane_maintain(mpq_lane *lane, mpq_error *err)
{
    if (!lane->legacy_taken && lane->process->board.legacy && take_legacy(lane, err) < 0)
        return -1;
    MPQ_CRASH_POINT("dispatcher.maintain.legacy_done");
    lane->legacy_taken = true;
    if (lane->config->mode == MPQ_MODE_GRAB && maintain_grab_workers(lane, err) < 0)
        return -1;
    if (mpq_clock_monotonic_ms() < lane->adopt_at_ms)
        return 0;
    takeover from = {.all_counted = true};
    from.cause =
        lost_cause(lane, MPQ_END_NODE_LOST, "the node that ran the job lost its lease (dead, frozen or cut off)");
    return take_over(lane, &from, err);
}
