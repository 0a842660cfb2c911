/* What /proc knows of processes, for recognising a dead service's leftovers. */
#ifndef MPQ_PROCFS_H
#define MPQ_PROCFS_H

#include <sys/types.h>

#include "base.h"

#define MPQ_BOOT_ID_BYTES 40

/* When the process started, in the kernel's ticks since boot: together with the pid and the boot id it names one
 * process for ever. 0 when there is no such process (a zombie counts as none). */
uint64_t mpq_procfs_born(pid_t pid);
/* Living children and zombies of `parent`; returns how many there are, of which at most `max` are stored. */
size_t mpq_procfs_children(pid_t parent, pid_t *pids, size_t max);
/* The same for the living members of a process group. */
size_t mpq_procfs_group(pid_t group, pid_t *pids, size_t max);
/* Empty when it can't be read. */
void mpq_procfs_boot_id(char out[MPQ_BOOT_ID_BYTES]);

#endif
