/*
 * What the files of the Redis driver share.
 *
 * Keys, for prefix p and queue q (the braces keep a queue in one slot of a cluster):
 *   p:{q}:ready            list of envelopes
 *   p:{q}:delayed          sorted set, envelope by due time in ms, with three decimals
 *   p:{q}:run:<owner>      hash, number of a chunk -> how many jobs of it are held; the field _meta is the owner's
 * token (its generation). Whoever removes it has taken the lease: requests that show no valid token are refused
 *   p:{q}:held:<owner>:<n> list, a chunk: envelopes reserved at once, MPQ_EXCHANGE_MAX at most. Places of jobs that
 * were settled are empty
 *   p:{q}:stage:<owner>:<generation>  list, where a blocked BLMOVE puts the job it delivers
 *   p:{q}:nodes            sorted set, owner by the end of its lease; 0 = taken, jobs are being moved
 *   p:{q}:retired          sorted set, <owner>:<generation> of stages that a late BLMOVE may still fill, by when
 *   p:{q}:failed           hash, id -> envelope
 *   p:{q}:stats            hash: pushed (without what has passed the gates), done, failed, retried
 *   p:{q}:seq:<producer>   the last accepted sequence as the script knows it, in 20 digits; then the name of the gate.
 * Without a gate it expires
 *   p:{q}:seq:<producer>:<gate>  list, the sequences accepted since: see broker_redis_gate.c
 *   p:{q}:seq:gates        sorted set, <producer>:<gate> by the second when it was opened
 *   p:{q}:wake             channel: a new earliest due time
 *
 * Connections, each opened when first needed: `calls` for everything that waits for its answer, `work` for exchanges,
 * `news` subscribed to the channel, `wait` for BLMOVE.
 */
#ifndef MPQ_BROKER_REDIS_H
#define MPQ_BROKER_REDIS_H

#include "broker.h"
#include "redis_conn.h"
#include "redis_hold.h"
#include "redis_scripts.h"

enum {
    MPQ_REDIS_EXCHANGES = 2, /* the caller's */
    MPQ_REDIS_FLIGHTS = 4,   /* and our own claims */
    MPQ_REDIS_GATES = 8,     /* kept by a handle */
    MPQ_REDIS_GATE_NAME_BYTES = 17,
    MPQ_REDIS_GATE_AGE_MAX_S =
        900, /* with its gate a record lives so much longer: it may be as much older than the last push */
    MPQ_REDIS_SEQUENCE_DIGITS = 20
};

/* An exchange under way. */
typedef struct mpq_redis_flight {
    mpq_redis_cmd cmd; /* kept until answered: it is sent again when the server has forgotten the script */
    uint64_t sent_at_ms;
    redisReply *reply; /* owned: the script's, NULL = not read yet */
    redisReply *jobs;  /* owned: the chunk that it has reserved; read behind it, unless nothing was wanted */
    uint64_t chunk;    /* its number, 0 = nothing was wanted */
    size_t refused;    /* settles that were not put to the server: we don't hold those jobs */
    bool claim;        /* ours: nobody waits for the answer */
} mpq_redis_flight;

typedef struct mpq_redis_consumer {
    bool attached;
    char *keys; /* owned: prefix of the queue's keys */
    char owner[MPQ_OWNER_MAX + 1];
    char stage[MPQ_OWNER_MAX + 24]; /* <owner>:<generation> */
    char token[96];
    size_t token_len;
    uint32_t lease_ms;
    uint64_t renewed_at_ms; /* when the last renewal that is known to have succeeded was asked for */

    mpq_redis_conn work;
    mpq_redis_flight flights[MPQ_REDIS_FLIGHTS];
    size_t first_flight;
    size_t flight_count;
    size_t exchange_count;  /* of them the caller's */
    uint64_t average_bytes; /* of an envelope; 0 = none seen */

    mpq_redis_hold hold; /* what we hold, and what under_way exchanges have not settled yet */
    uint64_t next_chunk;
    mpq_redis_hold listed;             /* what adopt listed last ... */
    char listed_of[MPQ_OWNER_MAX + 1]; /* ... of this owner */

    mpq_redis_conn wait;
    mpq_redis_conn news;
    bool armed;
    bool blocked;          /* a BLMOVE is under way */
    bool delivered_before; /* of the last answer: BLMOVE had delivered a job before what it brought was reserved */
    bool nudged;           /* woken by our own PING */
    uint64_t blocked_at_ms;
    mpq_buf claims;              /* ids given out by wait_collect, to be claimed by what is sent next */
    mpq_buf unstaged;            /* ids (length, bytes) that came too late or are no jobs: they go back */
    int64_t known_due_at_us;     /* as the last answer had it; -1 = none or not known */
    int64_t announced_due_at_us; /* the earliest heard of since; -1 = none */
} mpq_redis_consumer;

/* How one producer pushes to one queue, see broker_redis_gate.c. */
typedef struct mpq_redis_gate {
    char *queue; /* owned; NULL = not in use */
    char *keys;  /* owned: prefix of the queue's keys */
    uint64_t producer;
    uint64_t opened_at_ms;
    uint64_t sequence; /* the last accepted */
    uint32_t pushes;   /* through the open gate, else by the script */
    bool open;
    char name[MPQ_REDIS_GATE_NAME_BYTES];
    mpq_buf key;
    mpq_buf head; /* of a request, before the sequence */
    mpq_buf tail; /* behind the first envelope */
    mpq_buf answer;
} mpq_redis_gate;

typedef struct mpq_redis {
    mpq_broker base;
    mpq_broker_config config; /* owned */
    char where[512];
    mpq_redis_conn calls;
    mpq_redis_cmd cmd; /* of `calls` */
    mpq_redis_gate gates[MPQ_REDIS_GATES];
    size_t next_gate;   /* that gives way to a new one */
    uint64_t gate_name; /* of the last one that was asked for; 0 = none yet */
    bool gates_refused; /* the server does not let us */
    bool many_refused;  /* nor many jobs at once */
    mpq_redis_consumer consumer;
} mpq_redis;

/* "p:{q}:", to be freed; NULL when out of memory. */
char *mpq_redis_keys(const mpq_redis *redis, const char *queue);
uint64_t mpq_redis_deadline(const mpq_redis *redis);
/* Sends redis->cmd, which script_begin began, over `calls` and waits for the answer. `repeatable`: may be done again
 * when a kept connection turns out to be dead. */
int mpq_redis_ask(mpq_redis *redis, enum mpq_redis_script script, bool repeatable, redisReply **out, mpq_error *err);

/* Ends the consumer's connections and everything under way; what was attached needs RESUME. */
void mpq_redis_consumer_drop(mpq_redis *redis);
/* -1 unless attached. */
int mpq_redis_consumer_check(const mpq_redis *redis, mpq_error *err);
int mpq_redis_stale(const mpq_redis *redis, mpq_error *err);
/* Opens `news` and subscribes it. */
int mpq_redis_subscribe(mpq_redis *redis, mpq_error *err);
/* Reads announcements that came while nobody waits, so that they don't pile up in the server. */
int mpq_redis_read_news(mpq_redis *redis, mpq_error *err);
/* Makes the jobs in consumer->claims held ones, without waiting for it. */
int mpq_redis_claim(mpq_redis *redis, mpq_error *err);
/* Sends BLMOVE. */
int mpq_redis_block(mpq_redis *redis, mpq_error *err);
/* What BLMOVE had delivered was ready before what this answer brings, and goes ahead of it. The server may write the
 * two in any order, so this waits; what is delivered and not claimed is always what the BLMOVE under way has brought.
 */
int mpq_redis_put_delivered_first(mpq_redis *redis, mpq_batch *out, mpq_error *err);
bool mpq_redis_has_news(const mpq_redis_consumer *consumer);
/* broker_redis_hold.c */
/* Where the jobs of chunks go, and what else was found. */
typedef struct mpq_redis_taken {
    mpq_redis_hold *hold;
    mpq_batch *out;     /* their envelopes; may be NULL */
    mpq_buf *ids;       /* or their ids; may be NULL */
    size_t room;        /* for so many jobs: further ones are left where they are */
    bool fresh;         /* just reserved: no place can be empty */
    bool lost;          /* our own lease was taken */
    size_t garbage;     /* bytes that are no envelope: moved to the failed records */
    uint64_t enough_ms; /* hold_read: the rest is left for another time; 0 = none */
    uint64_t until_ms;  /* reading that goes on for longer fails; 0 = none */
} mpq_redis_taken;

/* Takes over the elements of a chunk that `owner` holds, as they are now. */
int mpq_redis_hold_take(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, uint64_t number,
                        const redisReply *elements, mpq_redis_taken *taken, mpq_error *err);
/* Asks for chunks over `conn`, which has nothing under way, and takes them over until there is no more room or more
 * than `max_bytes` were taken. Their numbers are the integers of `list` from element `first` on, every `step`-th. */
int mpq_redis_hold_read(mpq_redis *redis, mpq_redis_conn *conn, const char *owner, const redisReply *list, size_t first,
                        size_t step, size_t max_bytes, mpq_redis_taken *taken, mpq_error *err);
/* The name of a chunk's list, as one argument. */
void mpq_redis_cmd_chunk(mpq_redis_cmd *cmd, const mpq_redis *redis, const char *owner, uint64_t number);
mpq_slice mpq_redis_id_bytes(mpq_slice envelope);

/* broker_redis_consume.c: the arguments of exchange.lua, in this order. Settles are of jobs of `settled`. `exchange` is
 * NULL for a request out of turn, which may only settle what none under way refers to. */
void mpq_redis_exchange_begin(mpq_redis *redis, mpq_redis_cmd *cmd, const char *settled, const mpq_exchange *exchange);
void mpq_redis_exchange_counts(mpq_redis_cmd *cmd, size_t claims, size_t unstaged, const mpq_redis_plan *plan);
void mpq_redis_cmd_single(mpq_redis_cmd *cmd, const char *kind, uint64_t chunk, uint32_t place, mpq_slice id,
                          uint64_t delay_ms, mpq_slice envelope);

/* broker_redis_push.c */
int mpq_redis_push(mpq_broker *broker, const mpq_push *push, mpq_error *err);

/* broker_redis_gate.c */
void mpq_redis_gates_fini(mpq_redis *redis);
/* NULL when out of memory. */
mpq_redis_gate *mpq_redis_gate_for(mpq_redis *redis, const mpq_push *push);
bool mpq_redis_gate_may_pass(const mpq_redis *redis, const mpq_redis_gate *gate, const mpq_push *push);
/* 0 = pushed, 1 = the script has to decide, by `*deadline_ms` if that is set. */
int mpq_redis_gate_pass(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t *deadline_ms,
                        mpq_error *err);
/* Each script that is sent asks for another gate, also when it is sent for the second time; or for none. */
void mpq_redis_gate_name(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push);
/* The next push goes to the script. */
void mpq_redis_gate_close(mpq_redis_gate *gate);
/* The script has opened the gate that it was asked for. */
void mpq_redis_gate_open(mpq_redis *redis, mpq_redis_gate *gate, const mpq_push *push, uint64_t asked_at_ms);
/* As text these sort like the numbers. */
const char *mpq_redis_write_sequence(uint64_t sequence, char out[MPQ_REDIS_SEQUENCE_DIGITS]);

/* broker_redis_admin.c */
int mpq_redis_counts(mpq_broker *broker, const char *queue, mpq_counts *out, mpq_error *err);
int mpq_redis_failed(mpq_broker *broker, const char *queue, mpq_failed_fn fn, void *arg, mpq_error *err);
int mpq_redis_clear(mpq_broker *broker, const char *queue, mpq_error *err);
/* broker_redis_lease.c */
int mpq_redis_attach(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                     mpq_buf *held, mpq_error *err);
int mpq_redis_detach(mpq_broker *broker, mpq_error *err);
int mpq_redis_renew(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err);
int mpq_redis_adopt(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err);
/* broker_redis_consume.c */
int mpq_redis_send(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err);
int mpq_redis_receive(mpq_broker *broker, mpq_batch *out, mpq_error *err);
int mpq_redis_fd(mpq_broker *broker);
/* broker_redis_wait.c */
int mpq_redis_wait_arm(mpq_broker *broker, mpq_error *err);
int mpq_redis_wait_fds(mpq_broker *broker, int fds[2]);
int mpq_redis_wait_collect(mpq_broker *broker, mpq_batch *out, mpq_error *err);
int mpq_redis_wait_claim(mpq_broker *broker, mpq_error *err);

#endif
