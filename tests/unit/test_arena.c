#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "test.h"

enum { PAGE = 4096, PAGES = 4096 };

static char *memory;

static void open_arena(mpq_arena *arena)
{
    memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    mpq_arena_init(arena, memory, (size_t)PAGES * PAGE);
}

static int resident_pages(void)
{
    unsigned char map[PAGES];
    int count = 0;
    if (mincore(memory, (size_t)PAGES * PAGE, map) != 0)
        return -1;
    for (int i = 0; i < PAGES; i++)
        count += map[i] & 1;
    return count;
}

TEST(arena_gives_whole_pages_and_joins_what_comes_back)
{
    mpq_arena arena;
    open_arena(&arena);
    uint64_t a = mpq_arena_take(&arena, 1);
    uint64_t b = mpq_arena_take(&arena, PAGE + 1);
    uint64_t c = mpq_arena_take(&arena, PAGE);
    CHECK_INT(a, 0);
    CHECK_INT(b, PAGE);
    CHECK_INT(c, 3 * PAGE);
    CHECK_INT(arena.used_bytes, 4 * PAGE);
    mpq_arena_release(&arena, a, 1);
    mpq_arena_release(&arena, c, PAGE);
    CHECK_INT(arena.count, 2);
    mpq_arena_release(&arena, b, PAGE + 1);
    CHECK_INT(arena.count, 1);
    CHECK_INT(arena.used_bytes, 0);
    CHECK_INT(mpq_arena_take(&arena, (uint64_t)PAGES * PAGE), 0);
}

TEST(arena_refuses_what_does_not_fit)
{
    mpq_arena arena;
    open_arena(&arena);
    CHECK(mpq_arena_take(&arena, (uint64_t)PAGES * PAGE + 1) == MPQ_ARENA_NONE);
    CHECK(mpq_arena_take(&arena, UINT64_MAX) == MPQ_ARENA_NONE);
    CHECK_INT(mpq_arena_take(&arena, (uint64_t)(PAGES - 1) * PAGE), 0);
    CHECK(mpq_arena_take(&arena, PAGE + 1) == MPQ_ARENA_NONE);
    CHECK_INT(mpq_arena_take(&arena, 0), (PAGES - 1) * PAGE);
    CHECK(mpq_arena_take(&arena, 1) == MPQ_ARENA_NONE);
}

TEST(arena_fills_the_smallest_hole)
{
    mpq_arena arena;
    open_arena(&arena);
    uint64_t large = mpq_arena_take(&arena, 8 * PAGE);
    mpq_arena_take(&arena, PAGE);
    uint64_t small = mpq_arena_take(&arena, 2 * PAGE);
    mpq_arena_take(&arena, PAGE);
    mpq_arena_release(&arena, large, 8 * PAGE);
    mpq_arena_release(&arena, small, 2 * PAGE);
    CHECK_INT(mpq_arena_take(&arena, 2 * PAGE), small);
    CHECK_INT(mpq_arena_take(&arena, 3 * PAGE), large);
}

TEST(arena_restores_a_predecessors_allocations)
{
    mpq_arena arena;
    open_arena(&arena);
    CHECK_INT(mpq_arena_restore(&arena, 4 * PAGE, 2 * PAGE), 0);
    CHECK_INT(mpq_arena_restore(&arena, 0, 1), 0);
    CHECK_INT(mpq_arena_restore(&arena, (uint64_t)(PAGES - 1) * PAGE, PAGE), 0);
    CHECK_INT(mpq_arena_restore(&arena, 5 * PAGE, PAGE), 1);
    CHECK_INT(mpq_arena_restore(&arena, 3 * PAGE, 2 * PAGE), 1);
    CHECK_INT(mpq_arena_restore(&arena, 8 * PAGE + 1, 1), 1);
    CHECK_INT(mpq_arena_restore(&arena, (uint64_t)PAGES * PAGE, PAGE), 1);
    CHECK_INT(mpq_arena_restore(&arena, UINT64_MAX - PAGE + 1, PAGE), 1);
    CHECK_INT(mpq_arena_restore(&arena, 8 * PAGE, UINT64_MAX), 1);
    CHECK_INT(arena.allocations, 3);
    CHECK_INT(arena.count, 2);
    CHECK_INT(mpq_arena_take(&arena, 3 * PAGE), PAGE);
    mpq_arena_release(&arena, 0, 1);
    mpq_arena_release(&arena, PAGE, 3 * PAGE);
    mpq_arena_release(&arena, 4 * PAGE, 2 * PAGE);
    mpq_arena_release(&arena, (uint64_t)(PAGES - 1) * PAGE, PAGE);
    CHECK_INT(arena.count, 1);
    CHECK_INT(arena.free[0].bytes, PAGES * PAGE);
}

TEST(arena_returns_memory_to_the_system)
{
    mpq_arena arena;
    open_arena(&arena);
    uint64_t small = mpq_arena_take(&arena, 3 * PAGE);
    uint64_t large = mpq_arena_take(&arena, 200 * PAGE);
    memset(memory, 'x', 203 * PAGE);
    CHECK_INT(resident_pages(), 203);
    mpq_arena_release(&arena, large, 200 * PAGE);
    CHECK_INT(resident_pages(), 3);
    CHECK(memory[small] == 'x');
    uint64_t offsets[300];
    for (int i = 0; i < 300; i++) {
        offsets[i] = mpq_arena_take(&arena, PAGE);
        memory[offsets[i]] = 'y';
    }
    CHECK_INT(resident_pages(), 303);
    for (int i = 0; i < 300; i++)
        mpq_arena_release(&arena, offsets[i], PAGE);
    mpq_arena_release(&arena, small, 3 * PAGE);
    CHECK_INT(resident_pages(), 0);
}

/* Against a map of pages: no two allocations overlap, the free extents are exactly the rest. */
TEST(arena_agrees_with_a_map_of_pages)
{
    static struct {
        uint64_t offset, bytes;
    } held[MPQ_ARENA_ALLOCATIONS];
    static unsigned char map[PAGES];
    unsigned count = 0, refused = 0;
    mpq_arena arena;
    open_arena(&arena);
    srand(7);
    for (int round = 0; round < 40000; round++) {
        if (count > 0 && rand() % 100 < 48) {
            unsigned i = (unsigned)rand() % count;
            memset(map + held[i].offset / PAGE, 0, (held[i].bytes + PAGE - 1) / PAGE);
            mpq_arena_release(&arena, held[i].offset, held[i].bytes);
            held[i] = held[--count];
            continue;
        }
        uint64_t bytes = (uint64_t)(rand() % 6 == 0 ? rand() % (60 * PAGE) : rand() % (3 * PAGE)) + 1;
        uint64_t offset = mpq_arena_take(&arena, bytes);
        if (offset == MPQ_ARENA_NONE) {
            refused++;
            continue;
        }
        for (uint64_t page = offset / PAGE; page * PAGE < offset + bytes; page++) {
            CHECK(page < PAGES && !map[page]);
            map[page] = 1;
        }
        held[count].offset = offset;
        held[count++].bytes = bytes;
    }
    CHECK(refused > 0);
    uint64_t free_pages = 0;
    for (uint32_t i = 0; i < arena.count; i++) {
        for (uint64_t page = arena.free[i].offset / PAGE; page * PAGE < arena.free[i].offset + arena.free[i].bytes;
             page++)
            CHECK(!map[page]);
        free_pages += arena.free[i].bytes / PAGE;
    }
    uint64_t used_pages = 0;
    for (int i = 0; i < PAGES; i++)
        used_pages += map[i];
    CHECK_INT(free_pages + used_pages, PAGES);
    CHECK_INT(arena.used_bytes, used_pages * PAGE);
    CHECK_INT(arena.allocations, count);
}

TEST(arena_limits_the_number_of_allocations)
{
    mpq_arena arena;
    open_arena(&arena);
    for (int i = 0; i < MPQ_ARENA_ALLOCATIONS; i++)
        CHECK(mpq_arena_take(&arena, 1) != MPQ_ARENA_NONE);
    CHECK(mpq_arena_take(&arena, 1) == MPQ_ARENA_NONE);
    for (uint64_t i = 0; i < MPQ_ARENA_ALLOCATIONS; i += 2)
        mpq_arena_release(&arena, i * PAGE, 1);
    CHECK_INT(arena.count, MPQ_ARENA_ALLOCATIONS / 2 + 1);
}
