#include "broker.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const mpq_broker_ops *mpq_broker_ops_for(enum mpq_driver driver)
{
    switch (driver) {
    case MPQ_DRIVER_REDIS:
        return &mpq_broker_redis;
    case MPQ_DRIVER_SQLITE:
        return &mpq_broker_sqlite;
    case MPQ_DRIVER_MEMORY:
        return &mpq_broker_memory;
    }
    return NULL;
}

int mpq_broker_open(const mpq_broker_config *config, mpq_broker **out, mpq_error *err)
{
    const mpq_broker_ops *ops = mpq_broker_ops_for(config->driver);
    if (!ops)
        return mpq_error_set(err, MPQ_ERROR_CONFIG, "there is no driver number %d", (int)config->driver);
    if (ops->open(config, out, err) < 0)
        return -1;
    (*out)->ops = ops;
    (*out)->opened_by = (long)getpid();
    return 0;
}

void mpq_broker_close(mpq_broker *broker)
{
    if (!broker)
        return;
    if (broker->opened_by == (long)getpid())
        broker->ops->close(broker);
    else
        broker->ops->forget(broker);
}

void mpq_batch_init(mpq_batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->next_due_us = batch->look_in_ms = -1;
}

void mpq_batch_fini(mpq_batch *batch)
{
    mpq_buf_fini(&batch->bytes);
    free(batch->offsets);
    mpq_batch_init(batch);
}

void mpq_batch_clear(mpq_batch *batch)
{
    mpq_buf_clear(&batch->bytes);
    batch->count = 0;
    batch->lost = false;
    batch->refused = 0;
    batch->garbage = 0;
    batch->next_due_us = -1;
    batch->ready = 0;
    batch->from[0] = '\0';
    batch->ended = false;
    batch->look_in_ms = -1;
}

static bool grow_offsets(mpq_batch *batch)
{
    size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
    size_t *offsets = realloc(batch->offsets, capacity * sizeof *offsets);
    if (!offsets)
        return false;
    batch->offsets = offsets;
    batch->capacity = capacity;
    return true;
}

void mpq_batch_append(mpq_batch *batch, mpq_slice envelope)
{
    if (batch->count == batch->capacity && !grow_offsets(batch))
        batch->bytes.failed = true;
    size_t offset = batch->bytes.len;
    mpq_buf_append_slice(&batch->bytes, envelope);
    if (!batch->bytes.failed)
        batch->offsets[batch->count++] = offset;
}

void mpq_batch_prepend(mpq_batch *batch, mpq_slice envelope)
{
    mpq_batch_append(batch, envelope);
    if (batch->bytes.failed)
        return;
    memmove(batch->bytes.data + envelope.len, batch->bytes.data, batch->bytes.len - envelope.len);
    memcpy(batch->bytes.data, envelope.data, envelope.len);
    for (size_t i = batch->count - 1; i > 0; i--)
        batch->offsets[i] = batch->offsets[i - 1] + envelope.len;
    batch->offsets[0] = 0;
}

mpq_slice mpq_batch_envelope(const mpq_batch *batch, size_t index)
{
    size_t start = batch->offsets[index];
    size_t end = index + 1 < batch->count ? batch->offsets[index + 1] : batch->bytes.len;
    return mpq_slice_of(batch->bytes.data + start, end - start);
}

/* 0 = readable or interrupted, look again; 1 = the deadline has passed. */
static int wait_readable(int fd, uint64_t deadline_ms, mpq_error *err)
{
    uint64_t now = mpq_clock_monotonic_ms();
    if (now >= deadline_ms)
        return 1;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    if (poll(&entry, 1, (int)(deadline_ms - now)) < 0 && errno != EINTR)
        return mpq_error_set_errno(err, errno, "waiting for the broker failed");
    return 0;
}

int mpq_broker_exchange(mpq_broker *broker, const mpq_exchange *exchange, int timeout_ms, mpq_batch *out,
                        mpq_error *err)
{
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
    if (broker->ops->send(broker, exchange, err) < 0)
        return -1;
    for (;;) {
        int rc = broker->ops->receive(broker, out, err);
        if (rc <= 0)
            return rc;
        rc = wait_readable(broker->ops->fd(broker), deadline_ms, err);
        if (rc < 0)
            return -1;
        if (rc > 0)
            return mpq_error_set(err, MPQ_ERROR_TIMEOUT, "%s did not answer within %d ms", broker->ops->name,
                                 timeout_ms);
    }
}
