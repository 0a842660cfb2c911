/*
 * Handing jobs to the workers of one queue and results back, in shared memory, without a system call per job.
 *
 * A fixed number of slots. The dispatcher fills a free slot and posts it; any worker of the queue claims it, in the
 * order of posting, runs it and finishes it; the dispatcher takes finished slots, settles them with the broker and
 * frees them. A slot always names who is responsible for it, and no lock is ever held, so any process may be killed
 * between any two instructions:
 *  - FREE: the dispatcher's;
 *  - READY: posted, not claimed; the dispatcher may withdraw it;
 *  - RUNNING: claimed by the worker named in the state word. When it dies the manager finishes the slot for it;
 *  - FINISHED: the outcome is in the slot, which is the dispatcher's again. It stays so until the broker has confirmed
 *    the settlement, so that a new dispatcher finds it.
 *
 * Job bytes lie in the slot when they are small, else in the arena, which the dispatcher alone allocates from.
 * Memory must be a MAP_SHARED mapping inherited by every process, zero-filled.
 */
#ifndef MPQ_RING_H
#define MPQ_RING_H

#include <stdatomic.h>

#include "codec.h"
#include "job.h"

#define MPQ_RING_SLOTS 2048 /* for the most workers, what is prefetched and what is not settled yet */
#define MPQ_SLOT_INLINE_BYTES 1024
#define MPQ_SLOT_NONE UINT32_MAX

enum mpq_slot_state { MPQ_SLOT_FREE, MPQ_SLOT_READY, MPQ_SLOT_RUNNING, MPQ_SLOT_FINISHED };

/* All but `state` is written by whoever the state names as responsible. */
typedef struct mpq_slot {
    _Alignas(64) _Atomic uint64_t state; /* private to ring.c */
    mpq_id id;
    uint32_t epoch;          /* which owner name of the queue reserved it, see board.h */
    uint64_t reserved_at_ms; /* wall clock */
    uint64_t envelope_len;
    uint64_t arena_offset; /* valid when envelope_len > MPQ_SLOT_INLINE_BYTES */
    /* outcome, written before finish; posting sets INTERRUPTED and no report, so that what nobody ran goes back */
    uint32_t end;        /* enum mpq_end */
    uint32_t run_us;     /* how long it ran, saturating; 0 when not known */
    uint32_t report_len; /* encoded cause, see mpq_codec_encode_cause */
    char bytes[MPQ_SLOT_INLINE_BYTES];
    char report[MPQ_CAUSE_MAX_BYTES];
} mpq_slot;

typedef struct mpq_ring mpq_ring; /* lives in the shared memory */

size_t mpq_ring_bytes(void);
/* Formats zero-filled shared memory. `arena` of arena_bytes is shared memory too, reserved but untouched pages cost
 * nothing. */
mpq_ring *mpq_ring_init(void *memory, void *arena, uint64_t arena_bytes);

/* -- the dispatcher's side: one process at a time ------------------------------------------------------------- */

/* Private view of the dispatcher: free lists of slots and arena, rebuilt from the shared state after a restart. */
typedef struct mpq_ring_feeder mpq_ring_feeder;
int mpq_ring_feeder_open(mpq_ring *ring, mpq_ring_feeder **out, mpq_error *err);
void mpq_ring_feeder_close(mpq_ring_feeder *feeder);

uint32_t mpq_ring_free_slots(const mpq_ring_feeder *feeder);
uint32_t mpq_ring_ready(const mpq_ring *ring); /* posted and unclaimed */

/* How often a worker has gone to sleep. */
uint64_t mpq_ring_naps(const mpq_ring *ring);
bool mpq_ring_is_asleep(const mpq_ring *ring, uint32_t worker);
/* From now on postings wake nobody while `limit` workers are awake, UINT32_MAX (as at first) = wake as long as anyone
 * sleeps. `awake` is how many are not asleep nor busy with something long; `naps` was read before they were counted.
 * Whoever is needed is woken at once, also when nothing gets on although `limit` seem to be awake. */
void mpq_ring_pace(mpq_ring_feeder *feeder, uint64_t naps, uint32_t awake, uint32_t limit, uint64_t now_us);
/* Nobody was woken for something that is ready: pace again within a millisecond or so. */
bool mpq_ring_holds_back(const mpq_ring_feeder *feeder);
/* Copies the envelope into a free slot and posts it, waking a worker that sleeps. 0, or 1 when there is no slot or no
 * arena space for it now (never will be when it is longer than mpq_ring_largest). */
int mpq_ring_post(mpq_ring_feeder *feeder, mpq_slice envelope, uint32_t epoch, uint64_t reserved_at_ms);

/* Finished slots that were not taken yet, in no particular order; each is returned once per feeder. */
uint32_t mpq_ring_take_finished(mpq_ring_feeder *feeder, uint32_t *slots, uint32_t max);
/* Takes back up to `max` READY slots nobody has claimed, oldest first; they are FINISHED afterwards with end
 * INTERRUPTED and returned here (not again by take_finished of this feeder). */
uint32_t mpq_ring_withdraw(mpq_ring_feeder *feeder, uint32_t *slots, uint32_t max);
/* After the broker has confirmed: the slot and its arena space can be used again. */
void mpq_ring_free(mpq_ring_feeder *feeder, uint32_t slot);
/* READY, RUNNING or FINISHED slots, for a new dispatcher that has to match them with what the broker says it holds. */
uint32_t mpq_ring_occupied(const mpq_ring *ring, uint32_t *slots, uint32_t max);
enum mpq_slot_state mpq_ring_slot_state(const mpq_ring *ring, uint32_t slot, uint32_t *worker);
mpq_slot *mpq_ring_slot(mpq_ring *ring, uint32_t slot);
mpq_slice mpq_ring_envelope(const mpq_ring *ring, uint32_t slot);
/* The largest envelope that can ever be posted. */
uint64_t mpq_ring_largest(const mpq_ring *ring);

/* About to sleep in the event loop: returns true when it may. Workers write one 8-byte 1 to `wake_fd` (an eventfd),
 * once for each sleep, when a finish leaves at most `low_water` jobs ready; false when such a finish has already
 * happened: take what is finished, then ask again. While more jobs are ready results may wait in the ring without a
 * wake-up (that makes large batches), so a caller with a finite low_water limits its sleep with a timer of a few ms;
 * UINT32_MAX asks for a wake-up at every finish. Call mpq_ring_awake when the loop returns. */
bool mpq_ring_sleep(mpq_ring *ring, uint32_t low_water);
void mpq_ring_awake(mpq_ring *ring);

/* -- a worker's side ------------------------------------------------------------------------------------------ */

/* The oldest ready job, or MPQ_SLOT_NONE. `worker` is its index on the board. */
uint32_t mpq_ring_claim(mpq_ring *ring, uint32_t worker);
/* Sleeps until something may be ready, a kick, a signal, or the time is over. Spurious returns are normal. `kicks` is
 * the value of mpq_ring_kicks read before the caller last looked for reasons not to sleep. `worker` as for claim. */
void mpq_ring_wait(mpq_ring *ring, uint32_t worker, uint32_t kicks, uint32_t timeout_ms);
uint32_t mpq_ring_kicks(const mpq_ring *ring);
/* For a worker that looks no more: a wake-up that was meant for it goes to another. */
void mpq_ring_pass_on(mpq_ring *ring);
/* Publishes the outcome in the slot. Wakes the dispatcher if it sleeps and wants to know; false when that can't be done
 * because `wake_fd` is not what it was. Harmless on a slot that is not RUNNING (any more). */
bool mpq_ring_finish(mpq_ring *ring, uint32_t slot, int wake_fd);

/* -- the manager's side --------------------------------------------------------------------------------------- */

/* Wakes every sleeping worker of the queue (to make it look at the board's flags). */
void mpq_ring_kick(mpq_ring *ring);
/* The slot a dead worker had claimed, or MPQ_SLOT_NONE. To be called for every worker that has died, before its index
 * is used again: it also announces what the worker had finished but died before announcing, and passes a wake-up on
 * that it may have died with. The manager wakes the dispatcher afterwards. */
uint32_t mpq_ring_claimed_by(mpq_ring *ring, uint32_t worker);

#endif
