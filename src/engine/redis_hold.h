/*
 * Which of the jobs that an owner holds lies where in Redis.
 *
 * What is reserved at once stays together as one list, a chunk: taking it and forgetting it whole costs the server next
 * to nothing, however many jobs it has. A job is found by its chunk's number and its place there. What has ended at the
 * front is trimmed away; what has ended further on leaves an empty place.
 *
 * Bookkeeping only: nothing here talks to the server, and a connection that breaks off makes all of it void.
 */
#ifndef MPQ_REDIS_HOLD_H
#define MPQ_REDIS_HOLD_H

#include "broker.h"

typedef struct mpq_redis_chunk {
    uint64_t number;
    uint32_t places;  /* it had in the beginning */
    uint32_t trimmed; /* of them gone: the server counts from here */
    uint32_t left;    /* jobs that are held */
    mpq_id *ids;      /* of each place; they and the states lie behind the chunk */
    uint8_t *states;
} mpq_redis_chunk;

typedef struct mpq_redis_hold {
    mpq_redis_chunk **chunks; /* owned, in the order of their numbers */
    size_t count;
    size_t capacity;
    size_t latest; /* the one in which a job was found last */
} mpq_redis_hold;

/* Zero-initialised memory is an empty one. */
void mpq_redis_hold_clear(mpq_redis_hold *hold);
/* A chunk without jobs; it stays in the hold. NULL when out of memory. */
mpq_redis_chunk *mpq_redis_hold_add(mpq_redis_hold *hold, uint64_t number, uint32_t places);
void mpq_redis_chunk_put(mpq_redis_chunk *chunk, uint32_t place, const mpq_id *id);

/* One job that is settled by itself. */
typedef struct mpq_redis_single {
    const mpq_settle *settle; /* NULL = done */
    const mpq_id *id;         /* good until the next change of the hold */
    uint64_t chunk;
    uint32_t place; /* as the server counts before any trim */
} mpq_redis_single;

/* Places at the front of a chunk that are over; `done` of them by this plan. */
typedef struct mpq_redis_trim {
    uint64_t chunk;
    uint32_t places;
    uint32_t done;
} mpq_redis_trim;

/* Places that others have overtaken: they become a chunk of their own, so that what is done behind them can be trimmed
 * away with the rest. */
typedef struct mpq_redis_split {
    uint64_t chunk;
    uint32_t place; /* as the server counts before any trim */
    uint32_t places;
    uint32_t left;
} mpq_redis_split;

/* How an exchange's settlements are put to the server: first the singles, then the splits, then the trims. */
typedef struct mpq_redis_plan {
    mpq_redis_single singles[MPQ_EXCHANGE_MAX];
    size_t single_count;
    mpq_redis_split splits[MPQ_EXCHANGE_MAX];
    size_t split_count;
    mpq_redis_trim trims[MPQ_EXCHANGE_MAX];
    size_t trim_count;
    size_t refused; /* of jobs that are not in the hold */
} mpq_redis_plan;

/* From then on the hold is without them. `next_chunk`: the number of the first split, advanced by their count; NULL
 * when others may be settling these jobs as well, and each has to be looked for. */
void mpq_redis_hold_plan(mpq_redis_hold *hold, const mpq_exchange *exchange, uint64_t *next_chunk,
                         mpq_redis_plan *plan);
/* Forgets the chunks that hold no job: to be called when the plan has been written. */
void mpq_redis_hold_tidy(mpq_redis_hold *hold);

#endif
