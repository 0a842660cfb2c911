/*
 * The shared board: what every process of a service knows of the others. In shared memory, written without locks; each
 * field says who writes it.
 *
 * The worker table lies in a file (<pid_path>/mpQueue-<name>.board, mode 0600), so that a service that starts after its
 * predecessor was killed finds out which jobs were really being run. What it finds goes into its own file at once, and
 * stays there until it is settled: it may be killed as well. Rings and arenas are anonymous memory.
 */
#ifndef MPQ_BOARD_H
#define MPQ_BOARD_H

#include <stdatomic.h>
#include <sys/types.h>

#include "broker.h"
#include "config.h"
#include "ring.h"

enum mpq_worker_state {
    MPQ_WORKER_EMPTY,    /* the entry is free */
    MPQ_WORKER_SPAWNING, /* asked of the template */
    MPQ_WORKER_STARTING, /* runs worker_start */
    MPQ_WORKER_IDLE,
    MPQ_WORKER_BUSY,
    MPQ_WORKER_DEAD /* grab mode: gone, but what it held is not settled yet; the dispatcher makes it EMPTY */
};

/* Asked by the manager with the private signal; see mpq_board_worker.interrupt. */
enum mpq_interrupt { MPQ_INTERRUPT_NONE, MPQ_INTERRUPT_TIMEOUT };

typedef struct mpq_board_worker {
    _Atomic int32_t state;          /* manager: EMPTY, SPAWNING, DEAD; worker: the others; dispatcher: DEAD to EMPTY */
    _Atomic int32_t pid;            /* manager, while SPAWNING: minus the pid of the template it has asked; then changed
                                       from that to the worker's pid (compare-and-swap) by the template right after the
                                       fork and by the worker itself first thing: a worker that can't is not wanted any
                                       more. Only a positive value is a worker's pid */
    _Atomic uint64_t pid_born;      /* worker: when the kernel started that pid, see procfs.h: tells a reused pid */
    _Atomic uint32_t retire;        /* manager: leave after the current job */
    uint32_t queue;                 /* manager, while SPAWNING */
    uint32_t generation;            /* manager, while SPAWNING */
    _Atomic uint64_t started_at_ms; /* worker: wall clock of its start */
    _Atomic uint64_t leaving_at_ms; /* worker: monotonic, when it has begun to end by itself; 0 = not yet */
    _Atomic uint64_t aside_since_ms; /* worker: monotonic, since when it runs user code that belongs to no job
                                        (destructors of what jobs have left behind); 0 = it does not */
    /* current job; worker writes run_token last when it begins (odd = running) and first when it ends (even) */
    _Atomic uint32_t run_token;
    _Atomic uint32_t slot;               /* ring slot it works on, MPQ_SLOT_NONE when none */
    _Atomic uint64_t run_started_at_ms;  /* monotonic */
    _Atomic uint64_t run_deadline_at_ms; /* monotonic; 0 = no limit */
    mpq_id job;
    uint32_t in_handler;           /* the failure handler is being run, not the job */
    _Atomic uint64_t interrupt;    /* manager: run_token << 8 | enum mpq_interrupt: for that run only */
    _Atomic uint64_t jobs;         /* jobs run by this process */
    _Atomic uint64_t memory_bytes; /* as reported after the last job */
    /* grab mode: its own owner name and, after its death, the encoded cause of the job's end */
    char owner[MPQ_OWNER_MAX + 1];
    uint32_t report_len; /* grab mode: manager (or the dying worker itself) */
    uint32_t report_end; /* enum mpq_end; 0 = no report */
    char report[MPQ_CAUSE_MAX_BYTES];
} mpq_board_worker;

typedef struct mpq_board_queue {
    char name[MPQ_QUEUE_NAME_MAX + 1];
    char owner[MPQ_OWNER_MAX + 1]; /* dispatcher: owner name of the current epoch, empty before the first attach */
    _Atomic uint32_t epoch;        /* dispatcher: grows when a lease was lost */
} mpq_board_queue;

/* What a service that was killed held, as far as it is not settled yet: jobs in the hands of an owner, a job that was
 * being run, or both (grab mode). */
typedef struct mpq_board_inherited {
    char queue[MPQ_QUEUE_NAME_MAX + 1]; /* dispatcher: empty once it is settled */
    char owner[MPQ_OWNER_MAX + 1];
    uint32_t running;
    mpq_id job; /* when running */
} mpq_board_inherited;

enum { MPQ_INHERITED_MAX = 4096 }; /* more are forgotten: they come back when their leases have ended */

/* The part that lies in the file. */
typedef struct mpq_board_file {
    char magic[8];
    uint32_t version;
    uint32_t size;
    uint32_t worker_capacity;
    uint32_t queue_count;
    uint32_t inherited_count;
    _Atomic int32_t manager_pid;
    _Atomic int32_t dispatcher_pid;
    _Atomic int32_t template_pid;
    _Atomic uint64_t dispatcher_born; /* as pid_born */
    _Atomic uint64_t template_born;
    char boot[40]; /* the kernel's boot id: pids and their births mean nothing after another boot */
    char node[65]; /* host name */
    mpq_board_queue queues[MPQ_QUEUES_MAX];
    mpq_board_worker workers[]; /* worker_capacity; then inherited_count of mpq_board_inherited */
} mpq_board_file;

/* What a service that died left behind; see mpq_board_open. */
typedef struct mpq_board_legacy mpq_board_legacy;

typedef struct mpq_board {
    mpq_board_file *file;
    mpq_ring **rings;                         /* one for each queue */
    int dispatcher_wake_fd;                   /* eventfd: workers (finish), manager (worker died, stopping) */
    int manager_wake_fd;                      /* eventfd: a worker whose deadline is earlier than manager_wakes_at_ms */
    struct mpq_board_shared {                 /* anonymous */
        _Atomic uint64_t manager_wakes_at_ms; /* manager: monotonic, when it next looks at deadlines by itself */
        _Atomic uint32_t stopping;            /* manager: 1 = reserve nothing more, workers leave after their job;
                                                 2 = every worker is gone: settle what is left, detach, exit */
        _Atomic uint32_t dispatcher_ready;    /* dispatcher: pid of the one that has attached to every queue */
        _Atomic uint64_t settled;             /* dispatcher: jobs settled since start, for status */
        /* dispatcher, by queue: monotonic; until then nobody else has what is in the ring, later nothing is begun */
        _Atomic uint64_t lease_until_ms[MPQ_QUEUES_MAX];
        char start_error[1024]; /* dispatcher: why it ended before it was ever ready */
    } * shared;
    char **arenas;            /* one for each queue; the rings use them */
    uint64_t *arena_bytes;    /* of each: address space, not memory */
    mpq_board_legacy *legacy; /* NULL when there was none */
} mpq_board;

struct mpq_board_legacy {
    mpq_board_file *file; /* private copy of the dead service's table; counts and lengths are checked, texts end */
    size_t bytes;
};

/* Creates everything for `config`; fills in the queues' names, the node and the boot id. What the file held before is
 * copied to board->legacy when it is a board of a dead service (same version), else ignored; the new board inherits
 * what that one held, and replaces it in one step. The caller holds the pid file's lock, so no other service lives.
 * Refuses a file that is a symbolic link, no regular file or another user's. */
int mpq_board_open(const mpq_config *config, mpq_board *out, mpq_error *err);
/* Unmaps and closes everything. `remove_file` after a clean stop: there is nothing to take over. */
void mpq_board_close(mpq_board *board, const mpq_config *config, bool remove_file);

mpq_board_inherited *mpq_board_inheritance(mpq_board_file *file); /* inherited_count of them */

/* Index of an EMPTY entry made SPAWNING for the queue, or -1. */
int mpq_board_reserve_worker(mpq_board *board, uint32_t queue, uint32_t generation);
void mpq_board_wake(int event_fd); /* writes to an eventfd */

/* -- board_legacy.c, for board.c ---------------------------------------------------------------------------------- */

enum { MPQ_BOARD_CAPACITY_MAX = 2 * MPQ_WORKERS_MAX };

size_t mpq_board_file_bytes(uint32_t worker_capacity, uint32_t inherited_count);
void mpq_board_stamp(mpq_board_file *file); /* magic and version */
/* `*out` stays as it is when there is no board that is worth reading. */
int mpq_board_legacy_read(const char *path, mpq_board_legacy **out, mpq_error *err);
void mpq_board_legacy_free(mpq_board_legacy *legacy);
/* What is to be inherited from it, at most MPQ_INHERITED_MAX; returns how many. `out` NULL: only counts. */
uint32_t mpq_board_legacy_inherit(const mpq_board_legacy *legacy, mpq_board_inherited *out);

#endif
