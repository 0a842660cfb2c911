/*
 * What the fake server has reserved: chunks of jobs, each known by a number. It does what exchange.lua does with
 * places, so that what a proper answer lists can be settled. Chunks that are forgotten too early only make answers
 * shorter.
 */
#ifndef MPQ_FAKE_HELD_H
#define MPQ_FAKE_HELD_H

#include "base.h"

enum { FAKE_PLACES_MAX = 32, FAKE_CHUNKS_MAX = 64, FAKE_NAME_MAX = 255 };

typedef struct fake_chunk {
    char owner[FAKE_NAME_MAX + 1]; /* empty = not used */
    uint64_t number;
    uint32_t jobs[FAKE_PLACES_MAX]; /* 0 = an empty place */
    uint32_t places;
} fake_chunk;

void fake_held_begin(void);
/* With jobs first, first + 1, ...; instead of one of that name. NULL when the owner's name is too long. */
fake_chunk *fake_held_add(mpq_slice owner, uint64_t number, uint32_t first, uint32_t count);
fake_chunk *fake_held_find(mpq_slice owner, uint64_t number);
/* The chunk of that owner with the lowest number greater than `after`. */
fake_chunk *fake_held_next(mpq_slice owner, uint64_t after);
uint32_t fake_held_left(const fake_chunk *chunk);

/* False: refused. They end a chunk that holds nothing any more. */
bool fake_held_settle(fake_chunk *chunk, uint64_t place, uint32_t job);
bool fake_held_split(fake_chunk *chunk, uint64_t place, uint64_t places, uint64_t number);
bool fake_held_trim(fake_chunk *chunk, uint64_t places, uint64_t done);

#endif
