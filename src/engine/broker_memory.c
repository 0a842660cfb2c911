/* The memory broker: every handle of the process with the same config.path shares one store. */
#include "broker.h"

#include "clock.h"
#include "codec.h"
#include "memory_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef MPQ_HAVE_SUPERVISOR
#include <sys/eventfd.h>
#endif

enum { OUTSTANDING_MAX = 2, PUSH_MAX = 1000 };

typedef struct memory_broker {
    mpq_broker head;
    mpq_memory_store *store;
    mpq_memory_queue *queue; /* NULL = not attached */
    char owner[MPQ_OWNER_MAX + 1];
    uint64_t generation; /* of our attach; a later one of the same name fences us off */
    uint32_t lease_ms;
    mpq_memory_watcher watcher;
    mpq_batch answers[OUTSTANDING_MAX];
    size_t first_answer;
    size_t answer_count;
} memory_broker;

static memory_broker *from(mpq_broker *broker)
{
    return (memory_broker *)broker;
}

static int open_memory(const mpq_broker_config *config, mpq_broker **out, mpq_error *err)
{
    memory_broker *self = calloc(1, sizeof *self);
    if (!self)
        return mpq_error_set_memory(err);
    self->store = mpq_memory_store_get(config->path);
    if (!self->store) {
        free(self);
        return mpq_error_set_memory(err);
    }
    self->watcher.fd = -1;
    for (size_t i = 0; i < OUTSTANDING_MAX; i++)
        mpq_batch_init(&self->answers[i]);
    *out = &self->head;
    return 0;
}

/* Frees the handle without a look at the store, which in a forked child may be gone. */
static void forget_memory(mpq_broker *broker)
{
    memory_broker *self = from(broker);
    if (self->watcher.fd >= 0)
        close(self->watcher.fd);
    for (size_t i = 0; i < OUTSTANDING_MAX; i++)
        mpq_batch_fini(&self->answers[i]);
    free(self);
}

static void leave_queue(memory_broker *self)
{
    if (self->queue)
        mpq_memory_queue_unwatch(self->queue, &self->watcher);
    self->queue = NULL;
    self->watcher.armed = false;
    self->first_answer = self->answer_count = 0;
}

static void close_memory(mpq_broker *broker)
{
    leave_queue(from(broker));
    forget_memory(broker);
}

static int ping(mpq_broker *broker, mpq_error *err)
{
    (void)broker, (void)err;
    return 0;
}

static int find_queue(memory_broker *self, const char *name, mpq_memory_queue **out, mpq_error *err)
{
    const char *problem = mpq_config_queue_name_problem(name, strlen(name));
    if (problem)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the name of a queue %s", problem);
    *out = mpq_memory_store_queue(self->store, name, true);
    return *out ? 0 : mpq_error_set_memory(err);
}

static int copy_items(const mpq_push *push, mpq_memory_list *entries, mpq_error *err)
{
    for (size_t i = 0; i < push->count; i++) {
        mpq_memory_entry *entry = mpq_memory_entry_new(push->items[i].envelope);
        if (!entry) {
            mpq_memory_list_clear(entries);
            return mpq_error_set_memory(err);
        }
        mpq_memory_list_append(entries, entry);
    }
    return 0;
}

static int push(mpq_broker *broker, const mpq_push *push, mpq_error *err)
{
    mpq_memory_queue *queue;
    mpq_memory_list entries = {0};
    uint64_t now_us = mpq_clock_monotonic_us();
    if (push->count == 0 || push->count > PUSH_MAX)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "a push has 1 to %d jobs, not %zu", PUSH_MAX, push->count);
    if (find_queue(from(broker), push->queue, &queue, err) < 0 || copy_items(push, &entries, err) < 0)
        return -1;
    int fresh = mpq_memory_queue_admit(queue, push->producer, push->sequence, now_us / 1000);
    if (fresh <= 0) {
        mpq_memory_list_clear(&entries);
        return fresh == 0 ? 0 : mpq_error_set_memory(err);
    }
    mpq_memory_queue_promote(queue, now_us);
    for (size_t i = 0; i < push->count; i++) {
        mpq_memory_entry *entry = mpq_memory_list_pop(&entries);
        if (push->items[i].delay_ms > 0)
            mpq_memory_queue_delay(queue, entry, now_us, push->items[i].delay_ms);
        else
            mpq_memory_list_append(&queue->ready, entry);
    }
    queue->pushed += push->count;
    mpq_memory_queue_wake(queue);
    return 0;
}

static int counts(mpq_broker *broker, const char *name, mpq_counts *out, mpq_error *err)
{
    (void)err;
    memset(out, 0, sizeof *out);
    const mpq_memory_queue *queue = mpq_memory_store_queue(from(broker)->store, name, false);
    if (!queue)
        return 0;
    size_t due = mpq_memory_queue_due(queue, mpq_clock_monotonic_us());
    out->pushed = queue->pushed;
    out->done = queue->done;
    out->ready = queue->ready.count + due;
    out->delayed = queue->delayed.count - due;
    out->failed = queue->failed.count;
    for (const mpq_memory_owner *owner = queue->owners; owner; owner = owner->next)
        out->running += owner->held.count;
    return 0;
}

static int failed(mpq_broker *broker, const char *name, mpq_failed_fn fn, void *arg, mpq_error *err)
{
    (void)err;
    const mpq_memory_queue *queue = mpq_memory_store_queue(from(broker)->store, name, false);
    if (!queue)
        return 0;
    for (const mpq_memory_entry *entry = queue->failed.head; entry; entry = entry->next)
        if (fn(arg, mpq_memory_entry_bytes(entry)) != 0)
            break;
    return 0;
}

static int clear(mpq_broker *broker, const char *name, mpq_error *err)
{
    (void)err;
    mpq_memory_queue *queue = mpq_memory_store_queue(from(broker)->store, name, false);
    if (queue)
        mpq_memory_queue_clear(queue);
    return 0;
}

/* NULL when our lease was taken or somebody attached under our name after us. */
static mpq_memory_owner *ourselves(const memory_broker *self)
{
    mpq_memory_owner *owner = self->queue ? mpq_memory_queue_owner(self->queue, self->owner) : NULL;
    return owner && !owner->retired && owner->generation == self->generation ? owner : NULL;
}

static int take_name(mpq_memory_queue *queue, const char *name, enum mpq_attach how, mpq_memory_owner **out,
                     mpq_error *err)
{
    mpq_memory_owner *owner = mpq_memory_queue_owner(queue, name);
    if (how == MPQ_ATTACH_FRESH && !owner) {
        owner = mpq_memory_queue_add_owner(queue, name);
        if (!owner)
            return mpq_error_set_memory(err);
    }
    *out = owner;
    return owner && !owner->retired ? 0 : 1;
}

static int attach(mpq_broker *broker, const char *name, const char *owner_name, uint32_t lease_ms, enum mpq_attach how,
                  mpq_buf *held, mpq_error *err)
{
    memory_broker *self = from(broker);
    mpq_memory_queue *queue;
    mpq_memory_owner *owner = NULL;
    size_t len = strlen(owner_name);
    leave_queue(self);
    mpq_buf_clear(held);
    if (len == 0 || len > MPQ_OWNER_MAX)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "the name of an owner must be 1 to %d bytes long", MPQ_OWNER_MAX);
    if (find_queue(self, name, &queue, err) < 0)
        return -1;
    int rc = take_name(queue, owner_name, how, &owner, err);
    if (rc != 0)
        return rc;
    for (const mpq_memory_entry *entry = owner->held.head; entry; entry = entry->next)
        mpq_buf_append(held, entry->data + MPQ_ENVELOPE_ID_OFFSET, MPQ_ID_BYTES);
    if (held->failed)
        return mpq_error_set_memory(err);
    owner->lease_until_ms = mpq_clock_monotonic_ms() + lease_ms;
    self->generation = ++owner->generation;
    self->lease_ms = lease_ms;
    self->queue = queue;
    self->watcher.known_due_us = UINT64_MAX;
    memcpy(self->owner, owner_name, len + 1);
    mpq_memory_queue_watch(queue, &self->watcher);
    return 0;
}

static int require_attached(const memory_broker *self, mpq_error *err)
{
    return self->queue ? 0 : mpq_error_set(err, MPQ_ERROR_STATE, "this handle is not attached to a queue");
}

static int detach(mpq_broker *broker, mpq_error *err)
{
    memory_broker *self = from(broker);
    if (require_attached(self, err) < 0)
        return -1;
    mpq_memory_queue *queue = self->queue;
    mpq_memory_owner *owner = ourselves(self);
    if (owner) {
        mpq_memory_list_put_first(&queue->ready, &owner->held);
        mpq_memory_queue_remove_owner(queue, owner);
    }
    leave_queue(self);
    mpq_memory_queue_wake(queue);
    return 0;
}

/* What is left for later, and the handle's memory of having been told. */
static void report_rest(memory_broker *self, mpq_batch *out, uint64_t now_us)
{
    uint64_t due_us = mpq_memory_queue_earliest(self->queue);
    self->watcher.known_due_us = due_us;
    out->ready = self->queue->ready.count;
    if (out->ready > 0)
        out->next_due_us = 0;
    else if (due_us != UINT64_MAX)
        out->next_due_us = due_us > now_us ? (int64_t)(due_us - now_us) : 0;
}

static int settle(memory_broker *self, mpq_memory_owner *holder, const mpq_exchange *exchange, uint64_t now_us,
                  mpq_batch *out, mpq_error *err)
{
    if (exchange->dead)
        holder = mpq_memory_queue_owner(self->queue, exchange->dead);
    if (exchange->dead && (!holder || !holder->retired)) {
        out->refused = exchange->settle_count;
        return 0;
    }
    int rc = mpq_memory_queue_settle(self->queue, holder, exchange, now_us, &out->refused, err);
    if (rc == 0 && exchange->dead && !holder->held.head)
        mpq_memory_queue_remove_owner(self->queue, holder);
    return rc;
}

static int apply(memory_broker *self, const mpq_exchange *exchange, mpq_batch *out, mpq_error *err)
{
    mpq_memory_owner *owner = ourselves(self);
    uint64_t now_us = mpq_clock_monotonic_us();
    if (!owner) {
        out->lost = true;
        return 0;
    }
    if (settle(self, owner, exchange, now_us, out, err) < 0)
        return -1;
    mpq_memory_queue_promote(self->queue, now_us);
    mpq_memory_queue_reserve(self->queue, owner, exchange, out);
    owner->lease_until_ms = now_us / 1000 + self->lease_ms;
    report_rest(self, out, now_us);
    mpq_memory_queue_wake(self->queue);
    return out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

static int send_exchange(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    memory_broker *self = from(broker);
    if (require_attached(self, err) < 0)
        return -1;
    if (self->answer_count == OUTSTANDING_MAX)
        return mpq_error_set(err, MPQ_ERROR_STATE, "more than %d requests at a time", OUTSTANDING_MAX);
    if (exchange->settle_count > MPQ_EXCHANGE_MAX || exchange->want > MPQ_EXCHANGE_MAX)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "more than %d jobs in one request", MPQ_EXCHANGE_MAX);
    mpq_batch *answer = &self->answers[(self->first_answer + self->answer_count) % OUTSTANDING_MAX];
    mpq_batch_clear(answer);
    if (apply(self, exchange, answer, err) < 0)
        return -1;
    self->answer_count++;
    return 0;
}

static int receive(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    memory_broker *self = from(broker);
    if (require_attached(self, err) < 0)
        return -1;
    if (self->answer_count == 0)
        return 1;
    mpq_batch *answer = &self->answers[self->first_answer], swapped = *out;
    *out = *answer;
    *answer = swapped;
    self->first_answer = (self->first_answer + 1) % OUTSTANDING_MAX;
    self->answer_count--;
    return 0;
}

static int answer_fd(mpq_broker *broker)
{
    (void)broker;
    return -1;
}

static int open_watcher(mpq_memory_watcher *watcher, mpq_error *err)
{
#ifdef MPQ_HAVE_SUPERVISOR
    if (watcher->fd < 0)
        watcher->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return watcher->fd >= 0 ? 0 : mpq_error_set_errno(err, errno, "can't open an eventfd");
#else
    (void)watcher;
    return mpq_error_set(err, MPQ_ERROR_STATE, "this system can only produce jobs");
#endif
}

static void drain(const mpq_memory_watcher *watcher)
{
    uint64_t count;
    ssize_t got = read(watcher->fd, &count, sizeof count);
    (void)got;
}

/* What happened between the last answer and now is told at once. */
static int wait_arm(mpq_broker *broker, mpq_error *err)
{
    memory_broker *self = from(broker);
    if (require_attached(self, err) < 0 || open_watcher(&self->watcher, err) < 0)
        return -1;
    if (!self->watcher.armed)
        drain(&self->watcher);
    self->watcher.armed = true;
    mpq_memory_queue_wake(self->queue);
    return 0;
}

static int wait_fds(mpq_broker *broker, int fds[2])
{
    fds[0] = from(broker)->watcher.fd;
    return fds[0] >= 0 ? 1 : 0;
}

static int wait_collect(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    memory_broker *self = from(broker);
    uint64_t woken;
    mpq_batch_clear(out);
    if (require_attached(self, err) < 0)
        return -1;
    if (!self->watcher.armed || read(self->watcher.fd, &woken, sizeof woken) != (ssize_t)sizeof woken)
        return 1;
    self->watcher.armed = false;
    out->lost = !ourselves(self);
    report_rest(self, out, mpq_clock_monotonic_us());
    return 0;
}

static int renew(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err)
{
    memory_broker *self = from(broker);
    if (require_attached(self, err) < 0)
        return -1;
    uint64_t until_ms = mpq_clock_monotonic_ms() + self->lease_ms;
    for (size_t i = 0; i < count; i++) {
        mpq_memory_owner *owner = mpq_memory_queue_owner(self->queue, owners[i]);
        if (owner && !owner->retired)
            owner->lease_until_ms = until_ms;
    }
    return 0;
}

static mpq_memory_owner *find_dead(const mpq_memory_queue *queue, const mpq_memory_owner *us, const char *dead)
{
    uint64_t now_ms = mpq_clock_monotonic_ms();
    if (dead) {
        mpq_memory_owner *owner = mpq_memory_queue_owner(queue, dead);
        return owner == us ? NULL : owner;
    }
    for (mpq_memory_owner *owner = queue->owners; owner; owner = owner->next)
        if (owner != us && owner->lease_until_ms <= now_ms)
            return owner;
    return NULL;
}

static int64_t until_next_end(const mpq_memory_queue *queue, const mpq_memory_owner *us, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    for (const mpq_memory_owner *owner = queue->owners; owner; owner = owner->next)
        if (owner != us && owner->lease_until_ms < next_ms)
            next_ms = owner->lease_until_ms;
    if (next_ms == UINT64_MAX)
        return -1;
    return next_ms > now_ms ? (int64_t)(next_ms - now_ms) : 0;
}

/* Who looks for nobody by name renews its own lease; 1 = that has ended. */
static int look(memory_broker *self, mpq_memory_owner *us, mpq_batch *out)
{
    uint64_t now_ms = mpq_clock_monotonic_ms();
    out->ended = us->lease_until_ms <= now_ms;
    if (out->ended)
        return 1;
    us->lease_until_ms = now_ms + self->lease_ms;
    out->look_in_ms = until_next_end(self->queue, us, now_ms);
    return 0;
}

static int adopt(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    memory_broker *self = from(broker);
    mpq_batch_clear(out);
    if (require_attached(self, err) < 0)
        return -1;
    mpq_memory_owner *us = ourselves(self);
    out->lost = !us;
    if (us && !dead && look(self, us, out) > 0)
        return 1;
    mpq_memory_owner *owner = us ? find_dead(self->queue, us, dead) : NULL;
    if (!owner)
        return 1;
    owner->retired = true;
    if (!dead)
        owner->lease_until_ms = 0;
    memcpy(out->from, owner->name, sizeof out->from);
    for (const mpq_memory_entry *entry = owner->held.head; entry && out->count < MPQ_ADOPT_MAX; entry = entry->next)
        mpq_batch_append(out, mpq_memory_entry_bytes(entry));
    if (!owner->held.head)
        mpq_memory_queue_remove_owner(self->queue, owner);
    return out->bytes.failed ? mpq_error_set_memory(err) : 0;
}

/* For tests: puts bytes that need not be an envelope where ready jobs are. */
int mpq_broker_memory_inject(const char *path, const char *queue, mpq_slice bytes);
int mpq_broker_memory_inject(const char *path, const char *queue, mpq_slice bytes)
{
    mpq_memory_store *store = mpq_memory_store_get(path);
    mpq_memory_queue *found = store ? mpq_memory_store_queue(store, queue, true) : NULL;
    mpq_memory_entry *entry = found ? mpq_memory_entry_new(bytes) : NULL;
    if (!entry)
        return -1;
    mpq_memory_list_append(&found->ready, entry);
    mpq_memory_queue_wake(found);
    return 0;
}

const mpq_broker_ops mpq_broker_memory = {
    .name = "memory",
    .open = open_memory,
    .close = close_memory,
    .forget = forget_memory,
    .ping = ping,
    .push = push,
    .counts = counts,
    .failed = failed,
    .clear = clear,
    .attach = attach,
    .detach = detach,
    .send = send_exchange,
    .receive = receive,
    .fd = answer_fd,
    .wait_arm = wait_arm,
    .wait_fds = wait_fds,
    .wait_collect = wait_collect,
    .renew = renew,
    .adopt = adopt,
};
