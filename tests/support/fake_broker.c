#include "fake_broker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec.h"

static fake_broker *fake_of(mpq_broker *broker)
{
    return (fake_broker *)broker;
}

static int fail_if(bool fails, mpq_error *err)
{
    return fails ? mpq_error_set(err, MPQ_ERROR_CONNECT, "as the test wants") : 0;
}

static void close_fake(mpq_broker *broker)
{
    fake_broker *self = fake_of(broker);
    mpq_batch_fini(&self->reserved);
    mpq_batch_fini(&self->hinted);
    free(self);
}

static int attach_fake(mpq_broker *broker, const char *queue, const char *owner, uint32_t lease_ms, enum mpq_attach how,
                       mpq_buf *held, mpq_error *err)
{
    fake_broker *self = fake_of(broker);
    (void)queue, (void)owner, (void)lease_ms;
    self->attaches++;
    self->outstanding = 0;
    self->unclaimed = false;
    self->given_count = held->len / MPQ_ID_BYTES;
    for (size_t i = 0; i < self->given_count && i < FAKE_BROKER_HELD_MAX; i++)
        memcpy(self->given[i].bytes, held->data + i * MPQ_ID_BYTES, MPQ_ID_BYTES);
    mpq_buf_clear(held);
    if (fail_if(self->attach_fails, err) < 0)
        return -1;
    for (size_t i = 0; how == MPQ_ATTACH_RESUME && i < self->held_count; i++)
        mpq_buf_append(held, self->held[i].bytes, MPQ_ID_BYTES);
    return 0;
}

static int detach_fake(mpq_broker *broker, mpq_error *err)
{
    fake_of(broker)->detached++;
    return fail_if(fake_of(broker)->detach_fails, err);
}

static int send_fake(mpq_broker *broker, const mpq_exchange *exchange, mpq_error *err)
{
    fake_broker *self = fake_of(broker);
    fake_broker_sent *note = &self->sends[self->sent++ % FAKE_BROKER_SENDS_KEPT];
    *note = (fake_broker_sent){.want = exchange->want, .settles = exchange->settle_count};
    for (size_t i = 0; i < exchange->settle_count; i++) {
        note->kind[i] = exchange->settles[i].kind;
        note->id[i] = exchange->settles[i].id;
        note->bytes += exchange->settles[i].envelope.len;
    }
    if (fail_if(self->send_fails || self->outstanding == 2, err) < 0)
        return -1;
    self->unclaimed = false;
    self->wants[self->outstanding++] = exchange->want > 0;
    return 0;
}

static void move_batch(mpq_batch *to, mpq_batch *from)
{
    mpq_batch_clear(to);
    for (size_t i = 0; i < from->count; i++)
        mpq_batch_append(to, mpq_batch_envelope(from, i));
    to->lost = from->lost;
    to->ready = from->ready;
    to->next_due_us = from->next_due_us;
    mpq_batch_clear(from);
}

static int receive_fake(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    fake_broker *self = fake_of(broker);
    (void)err;
    if (self->outstanding == 0 || self->answers_late)
        return 1;
    mpq_batch_clear(out);
    if (self->wants[0])
        move_batch(out, &self->reserved);
    self->wants[0] = self->wants[1];
    self->outstanding--;
    self->answered++;
    return 0;
}

static int no_fd(mpq_broker *broker)
{
    (void)broker;
    return -1;
}

static int arm_fake(mpq_broker *broker, mpq_error *err)
{
    fake_of(broker)->armed++;
    return fail_if(fake_of(broker)->arm_fails, err);
}

static int no_fds(mpq_broker *broker, int fds[2])
{
    (void)broker, (void)fds;
    return 0;
}

static int collect_fake(mpq_broker *broker, mpq_batch *out, mpq_error *err)
{
    fake_broker *self = fake_of(broker);
    (void)err;
    if (!self->hint)
        return 1;
    self->hint = false;
    move_batch(out, &self->hinted);
    self->unclaimed |= out->count > 0;
    return 0;
}

static int claim_fake(mpq_broker *broker, mpq_error *err)
{
    fake_broker *self = fake_of(broker);
    if (!self->unclaimed)
        return 0;
    self->unclaimed = false;
    self->claimed++;
    return fail_if(self->claim_fails, err);
}

static int renew_fake(mpq_broker *broker, const char *const *owners, size_t count, mpq_error *err)
{
    (void)broker, (void)owners, (void)count, (void)err;
    return 0;
}

static int adopt_fake(mpq_broker *broker, const char *dead, mpq_batch *out, mpq_error *err)
{
    (void)dead;
    fake_of(broker)->adopted++;
    mpq_batch_clear(out);
    out->look_in_ms = fake_of(broker)->look_in_ms;
    out->ended = fake_of(broker)->ended;
    return fail_if(fake_of(broker)->adopt_fails, err) < 0 ? -1 : 1;
}

static const mpq_broker_ops fake_ops = {
    .name = "fake",
    .close = close_fake,
    .attach = attach_fake,
    .detach = detach_fake,
    .send = send_fake,
    .receive = receive_fake,
    .fd = no_fd,
    .wait_arm = arm_fake,
    .wait_fds = no_fds,
    .wait_collect = collect_fake,
    .wait_claim = claim_fake,
    .renew = renew_fake,
    .adopt = adopt_fake,
};

fake_broker *fake_broker_open(void)
{
    fake_broker *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    mpq_batch_init(&self->reserved);
    mpq_batch_init(&self->hinted);
    self->look_in_ms = -1;
    self->head = (mpq_broker){.ops = &fake_ops, .opened_by = (long)getpid()};
    return self;
}

mpq_id fake_broker_id(uint32_t number)
{
    mpq_id id = {{0}};
    memcpy(id.bytes, &number, sizeof number);
    return id;
}

void fake_broker_put(mpq_batch *batch, uint32_t number, size_t bytes)
{
    char *payload = calloc(1, bytes + 1);
    mpq_buf envelope = {0};
    mpq_job job = {.id = fake_broker_id(number), .fail_number = 3, .payload = mpq_slice_of(payload, bytes)};
    mpq_codec_encode(&job, &envelope);
    mpq_batch_append(batch, mpq_buf_slice(&envelope));
    mpq_buf_fini(&envelope);
    free(payload);
}

void fake_broker_hold(fake_broker *broker, uint32_t number)
{
    if (broker->held_count == FAKE_BROKER_HELD_MAX)
        abort();
    broker->held[broker->held_count++] = fake_broker_id(number);
}

bool fake_broker_settled(const fake_broker *broker, uint32_t number, enum mpq_settle_kind kind)
{
    mpq_id id = fake_broker_id(number);
    for (unsigned i = 0; i < broker->sent && i < FAKE_BROKER_SENDS_KEPT; i++)
        for (size_t j = 0; j < broker->sends[i].settles; j++)
            if (mpq_id_equal(&broker->sends[i].id[j], &id) && broker->sends[i].kind[j] == kind)
                return true;
    return false;
}
