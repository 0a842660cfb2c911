#include "arena.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Giving pages back costs a system call and the faults of the next use: worth it for bodies that are large, or when
 * many smaller ones have left the arena empty. */
enum { TRIM_ALLOCATION_BYTES = 256 << 10, TRIM_EMPTY_BYTES = 1 << 20 };

static uint64_t page_size(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (uint64_t)size : 4096;
}

static uint64_t round_up(const mpq_arena *arena, uint64_t bytes)
{
    uint64_t pages = bytes / arena->page_bytes + (bytes % arena->page_bytes != 0);
    return (pages ? pages : 1) * arena->page_bytes;
}

uint64_t mpq_arena_capacity(uint64_t bytes)
{
    return bytes - bytes % page_size();
}

void mpq_arena_init(mpq_arena *arena, void *base, uint64_t bytes)
{
    memset(arena, 0, sizeof *arena);
    arena->base = base;
    arena->page_bytes = page_size();
    arena->touched_bytes = mpq_arena_capacity(bytes);
    if (arena->touched_bytes > 0)
        arena->free[arena->count++] = (mpq_arena_extent){0, arena->touched_bytes};
}

/* Failure is harmless: the pages stay allocated until they are used again. */
static void give_back(mpq_arena *arena, uint64_t offset, uint64_t bytes)
{
    if (bytes > 0)
        (void)madvise(arena->base + offset, bytes, MADV_REMOVE);
}

static void drop_extent(mpq_arena *arena, uint32_t at)
{
    arena->count--;
    memmove(&arena->free[at], &arena->free[at + 1], (arena->count - at) * sizeof arena->free[0]);
}

static void insert_extent(mpq_arena *arena, uint32_t at, mpq_arena_extent extent)
{
    memmove(&arena->free[at + 1], &arena->free[at], (arena->count - at) * sizeof arena->free[0]);
    arena->free[at] = extent;
    arena->count++;
}

static void count_taken(mpq_arena *arena, uint64_t offset, uint64_t bytes)
{
    arena->allocations++;
    arena->used_bytes += bytes;
    if (arena->touched_bytes < offset + bytes)
        arena->touched_bytes = offset + bytes;
}

uint64_t mpq_arena_take(mpq_arena *arena, uint64_t bytes)
{
    uint32_t best = UINT32_MAX;
    if (arena->allocations == MPQ_ARENA_ALLOCATIONS || bytes > UINT64_MAX - arena->page_bytes)
        return MPQ_ARENA_NONE;
    bytes = round_up(arena, bytes);
    for (uint32_t i = 0; i < arena->count; i++) {
        uint64_t size = arena->free[i].bytes;
        if (size >= bytes && (best == UINT32_MAX || size < arena->free[best].bytes))
            best = i;
    }
    if (best == UINT32_MAX)
        return MPQ_ARENA_NONE;
    uint64_t offset = arena->free[best].offset;
    arena->free[best].offset += bytes;
    arena->free[best].bytes -= bytes;
    if (arena->free[best].bytes == 0)
        drop_extent(arena, best);
    count_taken(arena, offset, bytes);
    return offset;
}

int mpq_arena_restore(mpq_arena *arena, uint64_t offset, uint64_t bytes)
{
    uint32_t at = 0;
    if (arena->allocations == MPQ_ARENA_ALLOCATIONS || offset % arena->page_bytes != 0 || bytes > UINT64_MAX / 2)
        return 1;
    bytes = round_up(arena, bytes);
    while (at < arena->count && arena->free[at].offset + arena->free[at].bytes <= offset)
        at++;
    if (at == arena->count)
        return 1;
    mpq_arena_extent before = arena->free[at];
    if (offset < before.offset || bytes > before.bytes - (offset - before.offset))
        return 1;
    mpq_arena_extent after = {offset + bytes, before.offset + before.bytes - offset - bytes};
    drop_extent(arena, at);
    if (after.bytes > 0)
        insert_extent(arena, at, after);
    if (offset > before.offset)
        insert_extent(arena, at, (mpq_arena_extent){before.offset, offset - before.offset});
    count_taken(arena, offset, bytes);
    return 0;
}

static void return_extent(mpq_arena *arena, mpq_arena_extent extent)
{
    uint32_t at = 0;
    while (at < arena->count && arena->free[at].offset < extent.offset)
        at++;
    if (at < arena->count && extent.offset + extent.bytes == arena->free[at].offset) {
        extent.bytes += arena->free[at].bytes;
        drop_extent(arena, at);
    }
    if (at > 0 && arena->free[at - 1].offset + arena->free[at - 1].bytes == extent.offset) {
        arena->free[at - 1].bytes += extent.bytes;
        return;
    }
    insert_extent(arena, at, extent);
}

void mpq_arena_release(mpq_arena *arena, uint64_t offset, uint64_t bytes)
{
    bytes = round_up(arena, bytes);
    return_extent(arena, (mpq_arena_extent){offset, bytes});
    arena->allocations--;
    arena->used_bytes -= bytes;
    if (arena->allocations == 0 && arena->touched_bytes >= TRIM_EMPTY_BYTES)
        mpq_arena_trim(arena);
    else if (bytes >= TRIM_ALLOCATION_BYTES)
        give_back(arena, offset, bytes);
}

void mpq_arena_trim(mpq_arena *arena)
{
    uint64_t end = arena->touched_bytes;
    for (uint32_t i = 0; i < arena->count && arena->free[i].offset < end; i++) {
        mpq_arena_extent extent = arena->free[i];
        uint64_t stop = end - extent.offset < extent.bytes ? end : extent.offset + extent.bytes;
        give_back(arena, extent.offset, stop - extent.offset);
        if (stop == end)
            arena->touched_bytes = extent.offset;
    }
}
