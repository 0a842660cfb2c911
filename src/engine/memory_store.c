#include "memory_store.h"

#include "clock.h"
#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SENDER_KEPT_MS = 3600 * 1000 };

struct mpq_memory_store {
    mpq_memory_store *next;
    mpq_memory_queue *queues;
    char *path; /* NULL is a name, too */
};

/* The one mutable global of the engine: being found by every handle of the process is what this store is. */
static struct {
    mpq_memory_store *stores;
    long pid;
} registry;

mpq_memory_entry *mpq_memory_entry_new(mpq_slice bytes)
{
    mpq_memory_entry *entry = malloc(sizeof *entry + bytes.len);
    if (!entry)
        return NULL;
    memset(entry, 0, sizeof *entry);
    entry->len = bytes.len;
    if (bytes.len > 0)
        memcpy(entry->data, bytes.data, bytes.len);
    return entry;
}

mpq_slice mpq_memory_entry_bytes(const mpq_memory_entry *entry)
{
    return mpq_slice_of(entry->data, entry->len);
}

/* Inserts behind `before`, at the head when that is NULL. */
static void insert_after(mpq_memory_list *list, mpq_memory_entry *before, mpq_memory_entry *entry)
{
    entry->prev = before;
    entry->next = before ? before->next : list->head;
    *(before ? &before->next : &list->head) = entry;
    *(entry->next ? &entry->next->prev : &list->tail) = entry;
    list->count++;
}

void mpq_memory_list_append(mpq_memory_list *list, mpq_memory_entry *entry)
{
    insert_after(list, list->tail, entry);
}

void mpq_memory_list_remove(mpq_memory_list *list, mpq_memory_entry *entry)
{
    *(entry->prev ? &entry->prev->next : &list->head) = entry->next;
    *(entry->next ? &entry->next->prev : &list->tail) = entry->prev;
    list->count--;
}

mpq_memory_entry *mpq_memory_list_pop(mpq_memory_list *list)
{
    mpq_memory_entry *entry = list->head;
    if (entry)
        mpq_memory_list_remove(list, entry);
    return entry;
}

void mpq_memory_list_put_first(mpq_memory_list *to, mpq_memory_list *from)
{
    while (from->tail) {
        mpq_memory_entry *entry = from->tail;
        mpq_memory_list_remove(from, entry);
        insert_after(to, NULL, entry);
    }
}

void mpq_memory_list_clear(mpq_memory_list *list)
{
    for (mpq_memory_entry *entry; (entry = mpq_memory_list_pop(list)) != NULL;)
        free(entry);
}

mpq_memory_entry *mpq_memory_list_find(const mpq_memory_list *list, const mpq_id *id)
{
    for (mpq_memory_entry *entry = list->head; entry; entry = entry->next)
        if (memcmp(entry->data + MPQ_ENVELOPE_ID_OFFSET, id->bytes, MPQ_ID_BYTES) == 0)
            return entry;
    return NULL;
}

static void free_queue(mpq_memory_queue *queue)
{
    mpq_memory_list_clear(&queue->ready);
    mpq_memory_list_clear(&queue->delayed);
    mpq_memory_list_clear(&queue->failed);
    while (queue->owners)
        mpq_memory_queue_remove_owner(queue, queue->owners);
    for (mpq_memory_sender *sender; (sender = queue->senders) != NULL;) {
        queue->senders = sender->next;
        free(sender);
    }
    free(queue);
}

/* Handles that a child inherited are never used there, so nobody misses what they point to. */
static void forget_stores(void)
{
    for (mpq_memory_store *store; (store = registry.stores) != NULL;) {
        registry.stores = store->next;
        for (mpq_memory_queue *queue; (queue = store->queues) != NULL;) {
            store->queues = queue->next;
            free_queue(queue);
        }
        free(store->path);
        free(store);
    }
}

static bool same_path(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

mpq_memory_store *mpq_memory_store_get(const char *path)
{
    if (registry.pid != (long)getpid())
        forget_stores();
    registry.pid = (long)getpid();
    for (mpq_memory_store *store = registry.stores; store; store = store->next)
        if (same_path(store->path, path))
            return store;
    mpq_memory_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->path = path ? strdup(path) : NULL;
    if (path && !store->path) {
        free(store);
        return NULL;
    }
    store->next = registry.stores;
    registry.stores = store;
    return store;
}

mpq_memory_queue *mpq_memory_store_queue(mpq_memory_store *store, const char *name, bool create)
{
    for (mpq_memory_queue *queue = store->queues; queue; queue = queue->next)
        if (strcmp(queue->name, name) == 0)
            return queue;
    size_t len = strlen(name);
    mpq_memory_queue *queue = create && len <= MPQ_QUEUE_NAME_MAX ? calloc(1, sizeof *queue) : NULL;
    if (!queue)
        return NULL;
    memcpy(queue->name, name, len + 1);
    queue->next = store->queues;
    store->queues = queue;
    return queue;
}

/* Finds the producer's record and drops those that nobody can refer to any more. */
static mpq_memory_sender *find_sender(mpq_memory_queue *queue, uint64_t producer, uint64_t now_ms)
{
    mpq_memory_sender *found = NULL;
    for (mpq_memory_sender **at = &queue->senders, *sender; (sender = *at) != NULL;) {
        if (now_ms - sender->pushed_at_ms > SENDER_KEPT_MS) {
            *at = sender->next;
            free(sender);
            continue;
        }
        if (sender->id == producer)
            found = sender;
        at = &sender->next;
    }
    return found;
}

int mpq_memory_queue_admit(mpq_memory_queue *queue, uint64_t producer, uint64_t sequence, uint64_t now_ms)
{
    mpq_memory_sender *sender = find_sender(queue, producer, now_ms);
    if (sender && sequence <= sender->sequence)
        return 0;
    if (!sender) {
        sender = calloc(1, sizeof *sender);
        if (!sender)
            return -1;
        sender->id = producer;
        sender->next = queue->senders;
        queue->senders = sender;
    }
    sender->sequence = sequence;
    sender->pushed_at_ms = now_ms;
    return 1;
}

/* The clock is rounded down, and nothing may be early. Looks from the end: most due times are later than all before. */
void mpq_memory_queue_delay(mpq_memory_queue *queue, mpq_memory_entry *entry, uint64_t now_us, uint64_t delay_ms)
{
    uint64_t latest_us = UINT64_MAX - 1;
    uint64_t due_at_us = delay_ms < (latest_us - now_us - 1) / 1000 ? now_us + 1 + 1000 * delay_ms : latest_us;
    mpq_memory_entry *before = queue->delayed.tail;
    while (before && before->due_at_us > due_at_us)
        before = before->prev;
    entry->due_at_us = due_at_us;
    insert_after(&queue->delayed, before, entry);
}

void mpq_memory_queue_promote(mpq_memory_queue *queue, uint64_t now_us)
{
    while (queue->delayed.head && queue->delayed.head->due_at_us <= now_us)
        mpq_memory_list_append(&queue->ready, mpq_memory_list_pop(&queue->delayed));
}

size_t mpq_memory_queue_due(const mpq_memory_queue *queue, uint64_t now_us)
{
    size_t count = 0;
    for (const mpq_memory_entry *entry = queue->delayed.head; entry && entry->due_at_us <= now_us; entry = entry->next)
        count++;
    return count;
}

uint64_t mpq_memory_queue_earliest(const mpq_memory_queue *queue)
{
    return queue->delayed.head ? queue->delayed.head->due_at_us : UINT64_MAX;
}

void mpq_memory_queue_wake(mpq_memory_queue *queue)
{
    const uint64_t one = 1;
    uint64_t earliest = mpq_memory_queue_earliest(queue);
    for (mpq_memory_watcher *watcher = queue->watchers; watcher; watcher = watcher->next) {
        if (!watcher->armed || (queue->ready.count == 0 && earliest >= watcher->known_due_us))
            continue;
        /* It can only fail when the counter is full, and then the watcher is awake anyway. */
        ssize_t written = write(watcher->fd, &one, sizeof one);
        (void)written;
    }
}

void mpq_memory_queue_watch(mpq_memory_queue *queue, mpq_memory_watcher *watcher)
{
    watcher->next = queue->watchers;
    queue->watchers = watcher;
}

void mpq_memory_queue_unwatch(mpq_memory_queue *queue, mpq_memory_watcher *watcher)
{
    for (mpq_memory_watcher **at = &queue->watchers; *at; at = &(*at)->next) {
        if (*at != watcher)
            continue;
        *at = watcher->next;
        return;
    }
}

mpq_memory_owner *mpq_memory_queue_owner(const mpq_memory_queue *queue, const char *name)
{
    for (mpq_memory_owner *owner = queue->owners; owner; owner = owner->next)
        if (strcmp(owner->name, name) == 0)
            return owner;
    return NULL;
}

mpq_memory_owner *mpq_memory_queue_add_owner(mpq_memory_queue *queue, const char *name)
{
    mpq_memory_owner *owner = calloc(1, sizeof *owner);
    if (!owner)
        return NULL;
    memcpy(owner->name, name, strlen(name) + 1);
    owner->next = queue->owners;
    queue->owners = owner;
    return owner;
}

void mpq_memory_queue_remove_owner(mpq_memory_queue *queue, mpq_memory_owner *owner)
{
    mpq_memory_owner **at = &queue->owners;
    while (*at != owner)
        at = &(*at)->next;
    *at = owner->next;
    mpq_memory_list_clear(&owner->held);
    free(owner);
}

void mpq_memory_queue_clear(mpq_memory_queue *queue)
{
    mpq_memory_list_clear(&queue->ready);
    mpq_memory_list_clear(&queue->delayed);
    mpq_memory_list_clear(&queue->failed);
    for (mpq_memory_owner *owner = queue->owners, *next; owner; owner = next) {
        next = owner->next;
        mpq_memory_list_clear(&owner->held);
        if (owner->retired)
            mpq_memory_queue_remove_owner(queue, owner);
    }
    queue->pushed = 0;
    queue->done = 0;
}

static bool brings_envelope(const mpq_settle *settle)
{
    return settle->kind == MPQ_SETTLE_RETRY || settle->kind == MPQ_SETTLE_FAILED;
}

/* Everything that can fail comes before the first change. */
static int copy_envelopes(const mpq_exchange *exchange, mpq_memory_list *out, mpq_error *err)
{
    for (size_t i = 0; i < exchange->settle_count; i++) {
        if (!brings_envelope(&exchange->settles[i]))
            continue;
        mpq_memory_entry *entry = mpq_memory_entry_new(exchange->settles[i].envelope);
        if (!entry) {
            mpq_memory_list_clear(out);
            return mpq_error_set_memory(err);
        }
        mpq_memory_list_append(out, entry);
    }
    return 0;
}

/* `entry` is the job as it goes on: the stored one (RETURN) or its replacement. */
static void place(mpq_memory_queue *queue, const mpq_settle *settle, mpq_memory_entry *entry, mpq_memory_list *heads,
                  uint64_t now_us)
{
    if (settle->kind == MPQ_SETTLE_FAILED)
        mpq_memory_list_append(&queue->failed, entry);
    else if (settle->kind == MPQ_SETTLE_RETRY && settle->delay_ms > 0)
        mpq_memory_queue_delay(queue, entry, now_us, settle->delay_ms);
    else
        mpq_memory_list_append(heads, entry);
}

int mpq_memory_queue_settle(mpq_memory_queue *queue, mpq_memory_owner *owner, const mpq_exchange *exchange,
                            uint64_t now_us, size_t *refused, mpq_error *err)
{
    mpq_memory_list heads = {0}, envelopes = {0};
    *refused = 0;
    if (copy_envelopes(exchange, &envelopes, err) < 0)
        return -1;
    for (size_t i = 0; i < exchange->settle_count; i++) {
        const mpq_settle *settle = &exchange->settles[i];
        mpq_memory_entry *replacement = brings_envelope(settle) ? mpq_memory_list_pop(&envelopes) : NULL;
        mpq_memory_entry *stored = mpq_memory_list_find(&owner->held, &settle->id);
        if (!stored) {
            ++*refused;
            free(replacement);
            continue;
        }
        mpq_memory_list_remove(&owner->held, stored);
        queue->done += settle->kind == MPQ_SETTLE_DONE;
        if (settle->kind == MPQ_SETTLE_RETURN)
            place(queue, settle, stored, &heads, now_us);
        else
            free(stored);
        if (replacement)
            place(queue, settle, replacement, &heads, now_us);
    }
    mpq_memory_list_put_first(&queue->ready, &heads);
    return 0;
}

void mpq_memory_queue_reserve(mpq_memory_queue *queue, mpq_memory_owner *owner, const mpq_exchange *exchange,
                              mpq_batch *out)
{
    uint64_t bytes = 0;
    while (out->count < exchange->want && !out->bytes.failed) {
        if (exchange->want_bytes > 0 && bytes >= exchange->want_bytes)
            return;
        mpq_memory_entry *entry = mpq_memory_list_pop(&queue->ready);
        if (!entry)
            return;
        if (!mpq_codec_looks_like_envelope(mpq_memory_entry_bytes(entry))) {
            mpq_memory_list_append(&queue->failed, entry);
            out->garbage++;
            continue;
        }
        mpq_memory_list_append(&owner->held, entry);
        mpq_batch_append(out, mpq_memory_entry_bytes(entry));
        bytes += entry->len;
    }
}
