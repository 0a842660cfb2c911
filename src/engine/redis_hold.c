#include "redis_hold.h"

#include <stdlib.h>
#include <string.h>

enum place_state { PLACE_EMPTY, PLACE_HELD, PLACE_DONE /* by the plan that is being made */ };

void mpq_redis_hold_clear(mpq_redis_hold *hold)
{
    for (size_t i = 0; i < hold->count; i++)
        free(hold->chunks[i]);
    free(hold->chunks);
    memset(hold, 0, sizeof *hold);
}

static bool grow(mpq_redis_hold *hold)
{
    size_t capacity = hold->capacity ? 2 * hold->capacity : 16;
    mpq_redis_chunk **chunks = realloc(hold->chunks, capacity * sizeof *chunks);
    if (!chunks)
        return false;
    hold->chunks = chunks;
    hold->capacity = capacity;
    return true;
}

mpq_redis_chunk *mpq_redis_hold_add(mpq_redis_hold *hold, uint64_t number, uint32_t places)
{
    if (hold->count == hold->capacity && !grow(hold))
        return NULL;
    mpq_redis_chunk *chunk = calloc(1, sizeof *chunk + places * (sizeof *chunk->ids + sizeof *chunk->states));
    if (!chunk)
        return NULL;
    chunk->number = number;
    chunk->places = places;
    chunk->ids = (mpq_id *)(chunk + 1);
    chunk->states = (uint8_t *)(chunk->ids + places);
    return hold->chunks[hold->count++] = chunk;
}

void mpq_redis_chunk_put(mpq_redis_chunk *chunk, uint32_t place, const mpq_id *id)
{
    chunk->ids[place] = *id;
    chunk->states[place] = PLACE_HELD;
    chunk->left++;
}

/* Looked for by the second half first, in which the jobs of one producer differ. */
static bool find_in(const mpq_redis_chunk *chunk, const mpq_id *id, uint32_t *place)
{
    uint64_t wanted[2], seen[2];
    memcpy(wanted, id->bytes, sizeof wanted);
    for (*place = chunk->trimmed; *place < chunk->places; ++*place) {
        memcpy(seen, chunk->ids[*place].bytes, sizeof seen);
        if (seen[1] == wanted[1] && seen[0] == wanted[0] && chunk->states[*place] == PLACE_HELD)
            return true;
    }
    return false;
}

/* Jobs end in about the order in which they were reserved, so the chunk that was looked into last comes first. */
static mpq_redis_chunk *find(mpq_redis_hold *hold, const mpq_id *id, uint32_t *place)
{
    for (size_t i = 0; i < hold->count; i++) {
        size_t at = (hold->latest + i) % hold->count;
        if (hold->chunks[at]->left == 0 || !find_in(hold->chunks[at], id, place))
            continue;
        hold->latest = at;
        return hold->chunks[at];
    }
    return NULL;
}

static void add_single(mpq_redis_plan *plan, mpq_redis_chunk *chunk, uint32_t place, const mpq_settle *settle)
{
    chunk->states[place] = PLACE_EMPTY;
    chunk->left--;
    plan->singles[plan->single_count++] = (mpq_redis_single){
        .settle = settle, .id = &chunk->ids[place], .chunk = chunk->number, .place = place - chunk->trimmed};
}

static void add_trim(mpq_redis_plan *plan, mpq_redis_chunk *chunk, uint32_t end, uint32_t done)
{
    if (done == 0)
        return;
    plan->trims[plan->trim_count++] =
        (mpq_redis_trim){.chunk = chunk->number, .places = end - chunk->trimmed, .done = done};
    chunk->trimmed = end;
    chunk->left -= done;
}

/* Jobs that are held from `place` on, as far as nothing of the plan comes between them; `left` is how many. */
static uint32_t run_end(const mpq_redis_chunk *chunk, uint32_t place, uint32_t *left)
{
    for (*left = 0; place < chunk->places && chunk->states[place] != PLACE_DONE; place++)
        *left += chunk->states[place] == PLACE_HELD;
    return place;
}

/* What it costs to keep the jobs ahead of `end` as chunks of their own: a request each, and a little for each job. */
static uint32_t cost_of_splits(const mpq_redis_chunk *chunk, uint32_t end)
{
    uint32_t cost = 0, left;
    for (uint32_t place = chunk->trimmed; place < end; place++) {
        place = run_end(chunk, place, &left);
        cost += left > 0 ? 1 + left / 8 : 0;
    }
    return cost;
}

/* False when there is no memory for it. */
static bool add_split(mpq_redis_hold *hold, mpq_redis_plan *plan, mpq_redis_chunk *chunk, uint32_t from, uint32_t to,
                      uint64_t number)
{
    mpq_redis_chunk *own = mpq_redis_hold_add(hold, number, to - from);
    if (!own)
        return false;
    for (uint32_t place = from; place < to; place++) {
        if (chunk->states[place] != PLACE_HELD)
            continue;
        mpq_redis_chunk_put(own, place - from, &chunk->ids[place]);
        chunk->states[place] = PLACE_EMPTY;
        chunk->left--;
    }
    plan->splits[plan->split_count++] = (mpq_redis_split){
        .chunk = chunk->number, .place = from - chunk->trimmed, .places = to - from, .left = own->left};
    return true;
}

static void split_ahead_of(mpq_redis_hold *hold, mpq_redis_plan *plan, mpq_redis_chunk *chunk, uint32_t end,
                           uint64_t *next_chunk)
{
    uint32_t left;
    for (uint32_t place = chunk->trimmed; place < end; place++) {
        uint32_t from = place;
        place = run_end(chunk, place, &left);
        if (left > 0 && !add_split(hold, plan, chunk, from, place, *next_chunk))
            return;
        *next_chunk += left > 0;
    }
}

/* Where the last one that is done lies, plus one; `done` is how many. */
static uint32_t done_end(const mpq_redis_chunk *chunk, uint32_t *done)
{
    uint32_t end = chunk->trimmed;
    *done = 0;
    for (uint32_t place = chunk->trimmed; place < chunk->places; place++) {
        if (chunk->states[place] != PLACE_DONE)
            continue;
        end = place + 1;
        ++*done;
    }
    return end;
}

/* What is done is trimmed away from the front, in one request. Of jobs that are still held there, the few become chunks
 * of their own, and the many stay: then it is what is done behind them that is settled one by one. */
static void plan_done(mpq_redis_hold *hold, mpq_redis_plan *plan, mpq_redis_chunk *chunk, uint64_t *next_chunk)
{
    uint32_t done, trimmed = 0, end = done_end(chunk, &done);
    if (done == 0)
        return;
    if (next_chunk && cost_of_splits(chunk, end) < done)
        split_ahead_of(hold, plan, chunk, end, next_chunk);
    for (end = chunk->trimmed; next_chunk && end < chunk->places && chunk->states[end] != PLACE_HELD; end++)
        trimmed += chunk->states[end] == PLACE_DONE;
    for (uint32_t place = end; place < chunk->places; place++)
        if (chunk->states[place] == PLACE_DONE)
            add_single(plan, chunk, place, NULL);
    add_trim(plan, chunk, end, trimmed);
}

void mpq_redis_hold_plan(mpq_redis_hold *hold, const mpq_exchange *exchange, uint64_t *next_chunk, mpq_redis_plan *plan)
{
    plan->single_count = plan->split_count = plan->trim_count = plan->refused = 0;
    for (size_t i = 0; i < exchange->settle_count; i++) {
        const mpq_settle *settle = &exchange->settles[i];
        uint32_t place;
        mpq_redis_chunk *chunk = find(hold, &settle->id, &place);
        if (!chunk)
            plan->refused++;
        else if (settle->kind != MPQ_SETTLE_DONE)
            add_single(plan, chunk, place, settle);
        else
            chunk->states[place] = PLACE_DONE;
    }
    size_t before = hold->count; /* what is split off has nothing that is done */
    for (size_t i = 0; i < before; i++)
        plan_done(hold, plan, hold->chunks[i], next_chunk);
}

void mpq_redis_hold_tidy(mpq_redis_hold *hold)
{
    size_t kept = 0;
    for (size_t i = 0; i < hold->count; i++) {
        if (hold->chunks[i]->left > 0)
            hold->chunks[kept++] = hold->chunks[i];
        else
            free(hold->chunks[i]);
    }
    hold->count = kept;
}
