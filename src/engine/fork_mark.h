/* Tells a process from those it has forked, without a system call: asked after every job, since a job may fork and let
 * both processes return. */
#ifndef MPQ_FORK_MARK_H
#define MPQ_FORK_MARK_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct mpq_fork_mark {
    unsigned char *page; /* not zero here, zero in every copy; NULL: the kernel can't do that */
    pid_t pid;
} mpq_fork_mark;

/* Marks the calling process, with a mark that is zero-initialised memory or was set before, here or in a parent. */
void mpq_fork_mark_set(mpq_fork_mark *mark);
/* Gives back what it holds; not needed before the process ends. */
void mpq_fork_mark_clear(mpq_fork_mark *mark);
/* The caller is another process than the one that has set the mark. */
bool mpq_fork_mark_is_copy(const mpq_fork_mark *mark);

#endif
