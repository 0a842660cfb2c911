#include "fork_mark.h"

#include <sys/mman.h>
#include <unistd.h>

/* Linux 4.14 wipes such a page in every process that is forked, whichever call has forked it. */
static unsigned char *map_wiped_page(void)
{
#ifdef MADV_WIPEONFORK
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, bytes, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, bytes);
#endif
    return NULL;
}

void mpq_fork_mark_set(mpq_fork_mark *mark)
{
    mark->pid = getpid();
    if (!mark->page)
        mark->page = map_wiped_page();
    if (mark->page)
        *mark->page = 1;
}

void mpq_fork_mark_clear(mpq_fork_mark *mark)
{
    if (mark->page)
        munmap(mark->page, (size_t)sysconf(_SC_PAGESIZE));
    mark->page = NULL;
}

bool mpq_fork_mark_is_copy(const mpq_fork_mark *mark)
{
    return mark->page ? *(volatile unsigned char *)mark->page == 0 : getpid() != mark->pid;
}
