#include "fake_held.h"

#include <string.h>

static fake_chunk chunks[FAKE_CHUNKS_MAX];
static size_t oldest;

void fake_held_begin(void)
{
    memset(chunks, 0, sizeof chunks);
    oldest = 0;
}

static bool is_of(const fake_chunk *chunk, mpq_slice owner)
{
    return chunk->owner[0] && strlen(chunk->owner) == owner.len && memcmp(chunk->owner, owner.data, owner.len) == 0;
}

fake_chunk *fake_held_find(mpq_slice owner, uint64_t number)
{
    for (size_t i = 0; i < FAKE_CHUNKS_MAX; i++)
        if (chunks[i].number == number && is_of(&chunks[i], owner))
            return &chunks[i];
    return NULL;
}

fake_chunk *fake_held_next(mpq_slice owner, uint64_t after)
{
    fake_chunk *best = NULL;
    for (size_t i = 0; i < FAKE_CHUNKS_MAX; i++)
        if (chunks[i].number > after && (!best || chunks[i].number < best->number) && is_of(&chunks[i], owner))
            best = &chunks[i];
    return best;
}

static fake_chunk *room(mpq_slice owner, uint64_t number)
{
    fake_chunk *same = fake_held_find(owner, number);
    if (same)
        return same;
    for (size_t i = 0; i < FAKE_CHUNKS_MAX; i++)
        if (!chunks[i].owner[0])
            return &chunks[i];
    return &chunks[oldest++ % FAKE_CHUNKS_MAX];
}

fake_chunk *fake_held_add(mpq_slice owner, uint64_t number, uint32_t first, uint32_t count)
{
    if (owner.len == 0 || owner.len > FAKE_NAME_MAX)
        return NULL;
    fake_chunk *chunk = room(owner, number);
    memset(chunk, 0, sizeof *chunk);
    memcpy(chunk->owner, owner.data, owner.len);
    chunk->number = number;
    chunk->places = count < FAKE_PLACES_MAX ? count : FAKE_PLACES_MAX;
    for (uint32_t i = 0; i < chunk->places; i++)
        chunk->jobs[i] = first + i;
    return chunk;
}

uint32_t fake_held_left(const fake_chunk *chunk)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < chunk->places; i++)
        left += chunk->jobs[i] != 0;
    return left;
}

static void forget_if_empty(fake_chunk *chunk)
{
    if (fake_held_left(chunk) == 0)
        chunk->owner[0] = '\0';
}

bool fake_held_settle(fake_chunk *chunk, uint64_t place, uint32_t job)
{
    if (!chunk || place >= chunk->places || chunk->jobs[place] == 0 || chunk->jobs[place] != job)
        return false;
    chunk->jobs[place] = 0;
    forget_if_empty(chunk);
    return true;
}

bool fake_held_split(fake_chunk *chunk, uint64_t place, uint64_t places, uint64_t number)
{
    if (!chunk || place >= chunk->places || places > chunk->places - place)
        return false;
    fake_chunk from = *chunk;
    fake_chunk *own = fake_held_add(mpq_slice_of(from.owner, strlen(from.owner)), number, 0, (uint32_t)places);
    if (!own)
        return false;
    memcpy(own->jobs, from.jobs + place, places * sizeof *own->jobs);
    for (uint64_t i = 0; own != chunk && i < places; i++)
        chunk->jobs[place + i] = 0;
    return true;
}

bool fake_held_trim(fake_chunk *chunk, uint64_t places, uint64_t done)
{
    if (!chunk || fake_held_left(chunk) < done || places > chunk->places)
        return false;
    chunk->places -= (uint32_t)places;
    memmove(chunk->jobs, chunk->jobs + places, chunk->places * sizeof *chunk->jobs);
    forget_if_empty(chunk);
    return true;
}
