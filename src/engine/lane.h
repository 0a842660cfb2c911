/*
 * One queue of a service as the dispatcher sees it: jobs flow from the broker through the ring to the workers, results
 * flow back. A lane keeps nothing that can't be rebuilt from the ring and the broker, so a dispatcher may die at any
 * moment and its successor goes on:
 *   - a finished job stays in its ring slot until the broker has confirmed its settlement;
 *   - a reserved job that is in no slot yet is still held under our owner name at the broker, and returned on attach.
 *
 *            send (settle + reserve)                    post
 *   broker <========================== lane ------------------------> ring -> workers
 *            receive (jobs)                 <------------------------
 *                                                take_finished
 */
#ifndef MPQ_LANE_H
#define MPQ_LANE_H

#include "loop.h"
#include "prefetch.h"
#include "process.h"
#include "retry.h"

enum mpq_lane_state {
    MPQ_LANE_DOWN, /* no usable connection: attach again at retry_at_ms */
    MPQ_LANE_UP,
    MPQ_LANE_CLOSED /* detached */
};

/* A settlement that does not come from a ring slot (jobs taken over, damaged envelopes); owns its bytes. */
typedef struct mpq_extra {
    struct mpq_extra *next;
    mpq_settle settle;
    mpq_buf bytes;
} mpq_extra;

typedef struct mpq_extra_list {
    mpq_extra *head;
    mpq_extra **tail;
} mpq_extra_list;

#define MPQ_LANE_FLIGHTS 2

/* One exchange under way. */
typedef struct mpq_flight {
    uint32_t slots[MPQ_EXCHANGE_MAX]; /* to free once confirmed */
    uint32_t slot_count;
    mpq_extra_list extras; /* to free once confirmed */
    uint32_t want;
    bool outdated; /* a hint has come since it was sent */
    uint64_t sent_at_ms;
} mpq_flight;

typedef struct mpq_lane {
    mpq_process *process;
    const mpq_queue_config *config;
    uint32_t index;
    mpq_board_queue *board; /* owner name and epoch, shared */
    mpq_ring *ring;
    mpq_ring_feeder *feeder;
    mpq_broker *broker;
    enum mpq_lane_state state;
    bool attached_once;

    mpq_flight flights[MPQ_LANE_FLIGHTS]; /* the oldest is flights[first_flight] */
    uint32_t first_flight, flight_count;

    uint32_t pending[MPQ_RING_SLOTS]; /* finished slots not yet sent, oldest first */
    uint32_t pending_count;
    mpq_extra_list extras; /* not yet sent */
    mpq_batch overflow;    /* reserved, but the ring had no room: posted as soon as it has */
    size_t overflow_at;
    bool forgetful; /* there was no memory for what we hold: only the next attach tells what it is */
    mpq_batch batch;

    mpq_prefetch prefetch;
    uint32_t workers, idle; /* started workers of this queue, as of the last pump */
    uint64_t youngest_running_us;
    uint32_t processors;        /* that this process may use */
    uint32_t target;            /* see mpq_prefetch_target */
    bool empty;                 /* the broker had nothing more to give when last asked */
    bool waiting;               /* wait_arm is in force */
    uint64_t due_at_us;         /* monotonic; look again then; 0 = nothing known */
    uint64_t quiet_until_us;    /* monotonic; 0 = nothing that a hint has brought is still to be claimed */
    uint64_t hinted_at_us;      /* monotonic; when a hint brought a job last */
    bool hint_is_new;           /* it has brought a job, and no answer has told yet whether there are more */
    bool comes_alone;           /* what the last hint has brought was all there was */
    uint64_t flush_at_ms;       /* pending results wait for company until then */
    uint64_t look_at_ms;        /* look again then in any case (sleep_seconds) */
    uint64_t renewed_at_ms;     /* when the last renewal of the lease was asked for */
    uint64_t renew_at_ms;       /* maintenance in any case: look for the dead, go on with what was begun */
    uint64_t adopt_at_ms;       /* not before: others may need as long as a lease to come back, too */
    uint64_t take_until_ms;     /* no longer: this round of taking over, so that all else goes on meanwhile */
    uint64_t dead_at_ms;        /* not before: dead workers that could not be taken over */
    uint64_t retry_at_ms;       /* DOWN: next attempt */
    uint64_t relieve_at_ms;     /* not before: give back what waits behind long jobs */
    uint32_t failures;          /* how often it went down without having been up for long */
    uint64_t up_since_ms;       /* UP: since when */
    uint64_t complain_at_ms;    /* not before: say again in the log that it is DOWN */
    bool complained;            /* and it was not said yet that it is UP again */
    bool unregistered;          /* the broker has not confirmed our owner name yet */
    bool known[MPQ_RING_SLOTS]; /* finished slots whose result was logged and measured, though not confirmed yet */
    mpq_error error;            /* why it is DOWN */

    /* scratch for building an exchange */
    mpq_settle settles[MPQ_EXCHANGE_MAX];
    mpq_buf settle_bytes[MPQ_EXCHANGE_MAX];
} mpq_lane;

int mpq_lane_open(mpq_process *process, uint32_t index, mpq_lane *lane, mpq_error *err);
/* Frees everything without a word to the broker. */
void mpq_lane_close(mpq_lane *lane);

/* Does whatever can be done now: connects, collects, settles, reserves, posts, maintains. Never blocks for longer than
 * the broker's timeouts. Call it after every event. */
void mpq_lane_pump(mpq_lane *lane);

/* What no worker has claimed yet will be handed back, in its order, with the next exchange. */
void mpq_lane_withdraw(mpq_lane *lane);

/* A descriptor of wait_fds is readable. */
void mpq_lane_woken(mpq_lane *lane);

/* True when the lane may sleep until next_at_us (monotonic, out) or an event. */
bool mpq_lane_sleep(mpq_lane *lane, uint64_t now_us, uint64_t *next_at_us);

/* Nothing finished is unsettled, nor what the dead have left that nobody knows more of: after stopping == 2 the lane
 * can be closed. */
bool mpq_lane_settled(const mpq_lane *lane);
/* Hands everything back and gives the lease up. -1 when the broker can't be reached. */
int mpq_lane_detach(mpq_lane *lane, mpq_error *err);

/* -- lane_workers.c ------------------------------------------------------------------------------------------------ */

/* That this process may use, at least 1; UINT32_MAX = more than can be counted. */
uint32_t mpq_lane_count_processors(void);
/* Counts the workers, wakes some if need be, and sets how many jobs are wanted in the ring. */
void mpq_lane_look_at_workers(mpq_lane *lane, uint64_t now_us);

/* -- lane_post.c: jobs into the ring ------------------------------------------------------------------------------ */

/* The service stops: nothing is reserved any more, and what no worker has yet goes back. */
bool mpq_lane_is_stopping(const mpq_lane *lane);
/* The jobs of lane->batch; those that find no room wait in lane->overflow. */
void mpq_lane_post_batch(mpq_lane *lane);
/* As many of lane->overflow as there is room for now. */
void mpq_lane_post_overflow(mpq_lane *lane);

/* -- lane_attach.c: who owns what --------------------------------------------------------------------------------- */

/* Connects and registers the owner name of the board's epoch, or resumes it; matches the ring with what the broker says
 * we hold. */
int mpq_lane_attach(mpq_lane *lane, mpq_error *err);
/* The broker has renewed the lease when asked at that time: until it ends workers may begin jobs. */
void mpq_lane_renewed(mpq_lane *lane, uint64_t asked_at_ms);
/* The lease was taken from us: give up what is not running, forget the results of what is, take a new name. */
void mpq_lane_lost(mpq_lane *lane);
/* The connection broke: what was under way has to be sent again. */
void mpq_lane_down(mpq_lane *lane, const mpq_error *why);

/* -- lane_adopt.c: the jobs of the dead --------------------------------------------------------------------------- */

enum {
    MPQ_ROUND_MAX_MS = 500,      /* from one renewal to the next, while we hold something */
    MPQ_IDLE_ROUND_MAX_MS = 2000 /* the same with nothing to lose, and from one look for the dead to the next */
};
/* The same for the lane's lease: at least five times in each. */
uint64_t mpq_lane_round_ms(const mpq_lane *lane, uint32_t max_ms);
/* Renews the leases of grab workers and settles the jobs of dead owners: at once of those known to be dead, and of
 * those whose lease has ended when we have been attached for as long as a lease. Only with no exchange under way. Our
 * own lease is renewed by that look; 1 = there was none. Sets renew_at_ms. */
int mpq_lane_maintain(mpq_lane *lane, mpq_error *err);
/* There are grab workers that died, or jobs of a service that was killed, and they are not settled yet. */
bool mpq_lane_has_dead_worker(const mpq_lane *lane);
bool mpq_lane_has_inherited(const mpq_lane *lane);

/* -- lane_settle.c: from outcomes to settlements ---------------------------------------------------------------------
 */

/* The settlement of a finished slot; bytes it needs go to `bytes`. 1 = the slot belongs to an epoch that was lost:
 * free it, there is nothing to settle. */
int mpq_lane_settle_slot(mpq_lane *lane, uint32_t slot, mpq_buf *bytes, mpq_settle *out);
/* What large results have left in the scratch. */
void mpq_lane_free_large_buffers(mpq_lane *lane);
/* Its settlement is confirmed, or there is none. */
void mpq_lane_free_slot(mpq_lane *lane, uint32_t slot);
/* The settlement of a job that a dead owner held; bytes it needs go to `bytes`. `cause` NULL: hand it back, uncounted.
 * -1 only when out of memory. */
int mpq_lane_settle_job(mpq_lane *lane, mpq_slice envelope, const mpq_cause *cause, mpq_buf *bytes, mpq_settle *out,
                        mpq_error *err);
/* Queues: hand back the job with this id. */
void mpq_lane_return(mpq_lane *lane, const mpq_id *id);
/* Queues: bytes that look like an envelope but can't be decoded go to the failed records, with the reason. */
void mpq_lane_fail_damaged(mpq_lane *lane, mpq_slice envelope, const char *reason);

void mpq_extra_list_init(mpq_extra_list *list);
void mpq_extra_list_append(mpq_extra_list *list, mpq_extra *extra);
mpq_extra *mpq_extra_list_pop(mpq_extra_list *list); /* NULL when empty */
void mpq_extra_free(mpq_extra *extra);

#endif
