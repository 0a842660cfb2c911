/*
 * What the memory broker keeps, for as long as the process lives: for tests and for queues inside one process. Not for
 * several threads. All times are mpq_clock_monotonic_ms or _us.
 */
#ifndef MPQ_MEMORY_STORE_H
#define MPQ_MEMORY_STORE_H

#include "broker.h"

/* One stored envelope (or garbage). It is in exactly one list. */
typedef struct mpq_memory_entry {
    struct mpq_memory_entry *next;
    struct mpq_memory_entry *prev;
    uint64_t due_at_us; /* in `delayed` only */
    size_t len;
    char data[];
} mpq_memory_entry;

typedef struct mpq_memory_list {
    mpq_memory_entry *head;
    mpq_memory_entry *tail;
    size_t count;
} mpq_memory_list;

/* NULL when out of memory. */
mpq_memory_entry *mpq_memory_entry_new(mpq_slice bytes);
mpq_slice mpq_memory_entry_bytes(const mpq_memory_entry *entry);
void mpq_memory_list_append(mpq_memory_list *list, mpq_memory_entry *entry);
void mpq_memory_list_remove(mpq_memory_list *list, mpq_memory_entry *entry);
mpq_memory_entry *mpq_memory_list_pop(mpq_memory_list *list); /* NULL when empty */
/* Moves everything of `from`, in its order, in front of what `to` has. */
void mpq_memory_list_put_first(mpq_memory_list *to, mpq_memory_list *from);
void mpq_memory_list_clear(mpq_memory_list *list);
mpq_memory_entry *mpq_memory_list_find(const mpq_memory_list *list, const mpq_id *id);

typedef struct mpq_memory_owner {
    struct mpq_memory_owner *next;
    mpq_memory_list held;
    uint64_t lease_until_ms;
    uint64_t generation; /* of its latest attach */
    bool retired;        /* its lease was taken; it is forgotten when the last of its jobs is */
    char name[MPQ_OWNER_MAX + 1];
} mpq_memory_owner;

/* Somebody to tell about new work; part of a handle. */
typedef struct mpq_memory_watcher {
    struct mpq_memory_watcher *next;
    int fd; /* eventfd */
    bool armed;
    uint64_t known_due_us; /* the earliest due time it knows, UINT64_MAX = none */
} mpq_memory_watcher;

typedef struct mpq_memory_sender {
    struct mpq_memory_sender *next;
    uint64_t id;
    uint64_t sequence; /* last accepted */
    uint64_t pushed_at_ms;
} mpq_memory_sender;

typedef struct mpq_memory_queue {
    struct mpq_memory_queue *next;
    mpq_memory_list ready;
    mpq_memory_list delayed; /* by due time, equal ones in the order of their arrival */
    mpq_memory_list failed;
    mpq_memory_owner *owners;
    mpq_memory_sender *senders;
    mpq_memory_watcher *watchers;
    uint64_t pushed;
    uint64_t done;
    char name[MPQ_QUEUE_NAME_MAX + 1];
} mpq_memory_queue;

typedef struct mpq_memory_store mpq_memory_store;

/* This process's store of that name (NULL is a name, too), created when needed. A forked child starts without any.
 * NULL when out of memory. */
mpq_memory_store *mpq_memory_store_get(const char *path);
/* NULL when it does not exist and `create` is false, or when out of memory. */
mpq_memory_queue *mpq_memory_store_queue(mpq_memory_store *store, const char *name, bool create);

/* 1: the queue has not seen this push of the producer, and remembers it from now on. 0: a repetition. -1: out of
 * memory. */
int mpq_memory_queue_admit(mpq_memory_queue *queue, uint64_t producer, uint64_t sequence, uint64_t now_ms);
/* Takes over `entry`. */
void mpq_memory_queue_delay(mpq_memory_queue *queue, mpq_memory_entry *entry, uint64_t now_us, uint64_t delay_ms);
void mpq_memory_queue_promote(mpq_memory_queue *queue, uint64_t now_us);
/* How many in `delayed` are due but not promoted yet. */
size_t mpq_memory_queue_due(const mpq_memory_queue *queue, uint64_t now_us);
/* Due time of the earliest delayed job, UINT64_MAX if there is none. */
uint64_t mpq_memory_queue_earliest(const mpq_memory_queue *queue);
/* Call after anything that may have made a job ready or the earliest due time earlier. */
void mpq_memory_queue_wake(mpq_memory_queue *queue);
void mpq_memory_queue_watch(mpq_memory_queue *queue, mpq_memory_watcher *watcher);
void mpq_memory_queue_unwatch(mpq_memory_queue *queue, mpq_memory_watcher *watcher);

mpq_memory_owner *mpq_memory_queue_owner(const mpq_memory_queue *queue, const char *name);
/* NULL when out of memory. */
mpq_memory_owner *mpq_memory_queue_add_owner(mpq_memory_queue *queue, const char *name);
void mpq_memory_queue_remove_owner(mpq_memory_queue *queue, mpq_memory_owner *owner);
/* Settles what the owner holds and counts what it does not hold any more; -1 (out of memory) changes nothing. */
int mpq_memory_queue_settle(mpq_memory_queue *queue, mpq_memory_owner *owner, const mpq_exchange *exchange,
                            uint64_t now_us, size_t *refused, mpq_error *err);
/* Gives the owner what the exchange wants; garbage goes to the failed records. */
void mpq_memory_queue_reserve(mpq_memory_queue *queue, mpq_memory_owner *owner, const mpq_exchange *exchange,
                              mpq_batch *out);
void mpq_memory_queue_clear(mpq_memory_queue *queue);

#endif
