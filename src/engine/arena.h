/*
 * An allocator over memory it never touches: the book-keeping is the owner's private memory, the bytes are shared.
 * Allocations are whole pages, so that each can be given back to the system; at most MPQ_ARENA_ALLOCATIONS at a time.
 */
#ifndef MPQ_ARENA_H
#define MPQ_ARENA_H

#include "base.h"

#define MPQ_ARENA_ALLOCATIONS 2048
#define MPQ_ARENA_NONE UINT64_MAX

typedef struct mpq_arena_extent {
    uint64_t offset;
    uint64_t bytes;
} mpq_arena_extent;

typedef struct mpq_arena {
    char *base; /* borrowed, a shared mapping on a page boundary */
    uint64_t page_bytes;
    uint64_t used_bytes;
    uint64_t touched_bytes; /* behind this nothing was written since the memory was last given back */
    uint32_t allocations;
    uint32_t count;
    mpq_arena_extent free[MPQ_ARENA_ALLOCATIONS + 1]; /* by offset, never adjacent */
} mpq_arena;

/* What the arena can hold at most; the rest of its last page is not used. */
uint64_t mpq_arena_capacity(uint64_t bytes);

void mpq_arena_init(mpq_arena *arena, void *base, uint64_t bytes);
/* Offset of the smallest free extent that is large enough, or MPQ_ARENA_NONE. */
uint64_t mpq_arena_take(mpq_arena *arena, uint64_t bytes);
/* Marks as taken what a predecessor had allocated: 0, or 1 when it is not free or not an allocation of this arena. */
int mpq_arena_restore(mpq_arena *arena, uint64_t offset, uint64_t bytes);
/* `bytes` as given to take or restore. The pages of large allocations go back to the system. */
void mpq_arena_release(mpq_arena *arena, uint64_t offset, uint64_t bytes);
/* Gives the pages of everything that is free back to the system. */
void mpq_arena_trim(mpq_arena *arena);

#endif
