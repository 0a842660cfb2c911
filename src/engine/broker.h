/*
 * The store behind the queues, as a table of functions. One file per driver; every driver passes tests/contract.
 *
 * A handle serves two kinds of callers:
 *  - producers and administration: push, counts, failed, clear. Blocking, bounded by connect_timeout_ms plus
 *    read_timeout_ms. The handle connects by itself and again after a lost connection.
 *  - one consumer: attach binds the handle to a queue and an *owner*, then exchange settles and reserves.
 *
 * Owner: a name (at most MPQ_OWNER_MAX bytes) that belongs to one node epoch. While its lease runs, the jobs it has
 * reserved are its own. Everything an owner asks is refused once its lease was taken from it: exchange then reports
 * `lost` and does nothing else.
 *
 * All times are the broker's clock; callers only pass durations.
 *
 * Order: FIFO by the time a job became ready. RETRY with delay 0 and RETURN go to the head.
 */
#ifndef MPQ_BROKER_H
#define MPQ_BROKER_H

#include "buf.h"
#include "config.h"
#include "error.h"
#include "job.h"

#define MPQ_OWNER_MAX 160
#define MPQ_EXCHANGE_MAX 256 /* settles, and jobs wanted, in one exchange */
#define MPQ_ADOPT_MAX 100    /* jobs taken over in one call */
#define MPQ_LOOK_MS 5000     /* who waits and is told of everything looks this often all the same */

typedef struct mpq_broker mpq_broker;

typedef struct mpq_push_item {
    mpq_slice envelope;
    uint64_t delay_ms; /* 0 = ready at once */
} mpq_push_item;

/* One push: accepted whole or not at all, and once only for a given (producer, sequence, queue): a repetition
 * answers success without adding anything. Sequences of a producer must grow; one that is not greater than the last
 * accepted for this queue counts as a repetition. Remembered for an hour after the producer's last push. */
typedef struct mpq_push {
    const char *queue;
    uint64_t producer;
    uint64_t sequence;
    const mpq_push_item *items;
    size_t count; /* 1 to 1000 */
} mpq_push;

enum mpq_settle_kind {
    MPQ_SETTLE_DONE,   /* forget the job; counts as done */
    MPQ_SETTLE_RETRY,  /* replace it by `envelope`, ready after delay_ms */
    MPQ_SETTLE_FAILED, /* move it to the failed records as `envelope`; counts as failed */
    MPQ_SETTLE_RETURN  /* back to the head of the queue, unchanged */
};

typedef struct mpq_settle {
    enum mpq_settle_kind kind;
    mpq_id id;
    uint64_t delay_ms;
    mpq_slice envelope; /* RETRY and FAILED only */
} mpq_settle;

typedef struct mpq_exchange {
    const mpq_settle *settles;
    size_t settle_count; /* 0 to MPQ_EXCHANGE_MAX */
    const char *dead;    /* the settles are of jobs that this owner held, which adopt has retired; NULL = of our own */
    uint32_t want;       /* 0 to MPQ_EXCHANGE_MAX */
    uint64_t want_bytes; /* stop reserving once this much was taken (the job that passes it is still taken);
                            drivers may overshoot by one chunk of small jobs. 0 = no limit */
} mpq_exchange;

/* What an exchange, wait_collect or adopt brought. Reusable: init once, fini once; filling it clears it. */
typedef struct mpq_batch {
    mpq_buf bytes;   /* owned: all envelopes, each of which looks like one: it has an id */
    size_t *offsets; /* owned: start of each; see mpq_batch_envelope */
    size_t count;
    size_t capacity;
    bool lost;           /* the owner's lease was taken: nothing was settled or reserved */
    size_t refused;      /* settles that were not ours any more */
    size_t garbage;      /* stored bytes that are no envelope, moved to the failed records as they are */
    int64_t next_due_us; /* until the earliest delayed job is due, in microseconds; 0 = more is due or ready already, -1
                            = none known */
    uint64_t ready;      /* jobs still waiting in `ready` after this call, as far as known */
    char from[MPQ_OWNER_MAX + 1]; /* adopt: whose jobs these are */
    bool ended;                   /* adopt: our own lease has, so nobody was looked for */
    int64_t look_in_ms;           /* adopt found nobody: another look may find somebody then; -1 = not known */
} mpq_batch;

void mpq_batch_init(mpq_batch *batch);
void mpq_batch_fini(mpq_batch *batch);
void mpq_batch_clear(mpq_batch *batch);
void mpq_batch_append(mpq_batch *batch, mpq_slice envelope);  /* bytes.failed on out of memory */
void mpq_batch_prepend(mpq_batch *batch, mpq_slice envelope); /* the same; not a slice of its own */
mpq_slice mpq_batch_envelope(const mpq_batch *batch, size_t index);

typedef struct mpq_counts {
    uint64_t pushed; /* ever */
    uint64_t ready;
    uint64_t delayed; /* not yet due, retries included */
    uint64_t running; /* reserved by somebody */
    uint64_t failed;  /* records kept */
    uint64_t done;    /* ever */
} mpq_counts;

/* Called for each failed record; `envelope` may be garbage. Return non-zero to stop. */
typedef int (*mpq_failed_fn)(void *arg, mpq_slice envelope);

enum mpq_attach { MPQ_ATTACH_FRESH, MPQ_ATTACH_RESUME };

typedef struct mpq_broker_ops {
    const char *name;

    /* Checks the configuration, allocates; does not connect. */
    int (*open)(const mpq_broker_config *config, mpq_broker **out, mpq_error *err);
    void (*close)(mpq_broker *broker);
    /* After fork, in the child: drop the inherited connection without a word on it. Frees the handle. */
    void (*forget)(mpq_broker *broker);

    /* Connects now if not connected. For fast failing at start-up and for tests. */
    int (*ping)(mpq_broker *broker, mpq_error *err);

    /* One attempt. After -1 with CONNECT or TIMEOUT it is not known whether the push took place: repeat it with the
     * same sequence. mpq_producer does that. */
    int (*push)(mpq_broker *broker, const mpq_push *push, mpq_error *err);
    int (*counts)(mpq_broker *broker, const char *queue, mpq_counts *out, mpq_error *err);
    int (*failed)(mpq_broker *broker, const char *queue, mpq_failed_fn fn, void *arg, mpq_error *err);
    /* Deletes everything the queue stores, except what keeps a running service and repeated pushes consistent.
     * What is being run keeps running; its result is refused. */
    int (*clear)(mpq_broker *broker, const char *queue, mpq_error *err);

    /* FRESH registers a name never used before. RESUME takes up a name again after a lost connection or a restart of
     * the dispatcher: requests that an earlier connection of this owner may still have under way are refused from now
     * on, jobs that were staged for it but never delivered go back to the head of the queue, and `held` gets the ids of
     * the jobs it holds (concatenated mpq_id). Before, `held` names the jobs that the caller has given out: those of
     * them that are still staged are held from now on. 1 = the name's lease was taken: choose a new one. Drops any
     * connection state of before. `lease_ms` is used for every renewal through this handle. */
    int (*attach)(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                  mpq_buf *held, mpq_error *err);
    /* Hands back (uncounted, to the head) everything the owner holds and ends its lease. */
    int (*detach)(mpq_broker *broker, mpq_error *err);

    /* Settles, promotes what is due, reserves, renews the lease; all in one step. Answers come in the order of sending;
     * at most 2 may be outstanding. The settles' envelopes are borrowed until send returns. */
    int (*send)(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err);
    /* 0 = `out` holds the answer (while waiting is armed perhaps one job more than wanted: what a hint had delivered
     * before comes first), 1 = none yet (wait for the descriptor), -1 = failed: all outstanding exchanges may or
     * may not have happened; attach with RESUME before anything else. A server that is silent for longer than
     * read_timeout_ms has failed: ask again after that time. */
    int (*receive)(mpq_broker *broker, mpq_batch *out, mpq_error *err);
    /* Readable when receive may have an answer; -1 when answers are there as soon as send has returned. */
    int (*fd)(mpq_broker *broker);

    /* Asks to be told when a job becomes ready or a new earliest due time appears. May reserve the job at once: it is
     * then in wait_collect's batch, held by the owner. Armed until wait_collect returned 0. Only valid
     * with no exchange outstanding that wants jobs. Arming twice is harmless. */
    int (*wait_arm)(mpq_broker *broker, mpq_error *err);
    /* Up to 2 descriptors to watch; returns how many. */
    int (*wait_fds)(mpq_broker *broker, int fds[2]);
    /* 0 = woken: `out` may hold jobs (already reserved, see wait_claim), look for more; 1 = nothing yet; -1 = failed,
     * attach with RESUME. */
    int (*wait_collect)(mpq_broker *broker, mpq_batch *out, mpq_error *err);
    /* Tells the store that the jobs wait_collect has brought are held, as the next exchange does, too: one of the two
     * soon after they were given out, or before where nobody could tell what was running (see adopt). Does not wait for
     * the answer. NULL = there is nothing to tell. -1 = failed, attach with RESUME. */
    int (*wait_claim)(mpq_broker *broker, mpq_error *err);

    /* Extends the lease of other owners (each worker of grab mode is an owner) on the handle's queue. */
    int (*renew)(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err);
    /* Retires one owner, which is refused everything from now on, and lists up to MPQ_ADOPT_MAX of the jobs it held:
     * of `dead` whatever its lease says, or of any other owner whose lease has ended when `dead` is NULL (of none as
     * long as the handle's own lease has ended as well: then the store was away, and that says nothing about others).
     * Retiring an owner by its name does not end its lease: until it ends, only who names it is told of its jobs, and
     * so nobody settles them who knows less about them. A look with `dead` NULL renews the handle's own lease, unless
     * that has ended. 0 = out->from names it (count may be 0), 1 = nobody: see out->look_in_ms and next_due_us. The
     * jobs stay where they are until an exchange with out->from as its `dead` has settled them: whoever dies on the
     * way, or does not hear an answer, leaves nothing half done. Settle what was listed (through this handle, before it
     * attaches again) and call again, until 1. A job that wait_collect may have brought, but that was not claimed, may
     * have begun or not: of `dead` it is listed like what it held, since who names an owner knows what was running.
     * Else it goes back to the head by itself, uncounted, the first time; whoever finds it like that again lists it. */
    int (*adopt)(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err);
} mpq_broker_ops;

/* Common head of every driver's handle. */
struct mpq_broker {
    const mpq_broker_ops *ops;
    long opened_by; /* pid: a handle never crosses a fork, see forget */
    bool blind;     /* armed, but nothing may tell when a job is ready: look now and then */
};

extern const mpq_broker_ops mpq_broker_redis;
extern const mpq_broker_ops mpq_broker_sqlite;
extern const mpq_broker_ops mpq_broker_memory;

const mpq_broker_ops *mpq_broker_ops_for(enum mpq_driver driver);

int mpq_broker_open(const mpq_broker_config *config, mpq_broker **out, mpq_error *err);
/* Closes, or forgets when another process opened it. NULL is harmless. */
void mpq_broker_close(mpq_broker *broker);

/* Sends one exchange and waits for its answer (grab mode, tests). */
int mpq_broker_exchange(mpq_broker *broker, const mpq_exchange *exchange, int timeout_ms, mpq_batch *out,
                        mpq_error *err);

#endif
