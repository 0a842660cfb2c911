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
    COMPLAIN_EVERY_MS = 60000
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

/* What we hold but never gave to a worker: its answer was lost, or a dispatcher died with it. So it never ran, and is
 * not counted. Extras that wait to be sent hold jobs too. */
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
        lane->renewed_at_ms = asked_at_ms;
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
