/* A broker that does what the test says: answers late or never, fails, takes leases away; and remembers what it was
 * told. */
#ifndef MPQ_FAKE_BROKER_H
#define MPQ_FAKE_BROKER_H

#include "broker.h"

enum { FAKE_BROKER_SENDS_KEPT = 64, FAKE_BROKER_HELD_MAX = 16 };

/* What came in one exchange. */
typedef struct fake_broker_sent {
    uint32_t want;
    size_t settles;
    size_t bytes; /* of the settlements' envelopes */
    enum mpq_settle_kind kind[MPQ_EXCHANGE_MAX];
    mpq_id id[MPQ_EXCHANGE_MAX];
} fake_broker_sent;

typedef struct fake_broker {
    mpq_broker head;
    bool answers_late; /* exchanges wait for it to be false */
    bool attach_fails, send_fails, adopt_fails, arm_fails, claim_fails, detach_fails;
    mpq_id held[FAKE_BROKER_HELD_MAX]; /* what attach says */
    size_t held_count;
    mpq_id given[FAKE_BROKER_HELD_MAX]; /* what it was told last */
    size_t given_count;
    mpq_batch reserved; /* what the next answer that may have jobs brings, and says */
    mpq_batch hinted;   /* what the next hint brings */
    bool hint;
    bool unclaimed;                                 /* a hint has brought jobs, and no exchange has been sent since */
    int64_t look_in_ms;                             /* what adopt says */
    bool ended;                                     /* the same */
    fake_broker_sent sends[FAKE_BROKER_SENDS_KEPT]; /* the last ones */
    unsigned attaches, sent, answered, adopted, armed, detached;
    unsigned claimed; /* without an exchange */
    unsigned outstanding;
    bool wants[2]; /* of the outstanding ones, oldest first */
} fake_broker;

/* mpq_broker_close closes it. */
fake_broker *fake_broker_open(void);

mpq_id fake_broker_id(uint32_t number);
/* Puts the job of that number, with that many payload bytes, into a batch. */
void fake_broker_put(mpq_batch *batch, uint32_t number, size_t bytes);
/* From now on attach says that this job is held. */
void fake_broker_hold(fake_broker *broker, uint32_t number);
/* The job of that number was settled so, in any exchange that is remembered. */
bool fake_broker_settled(const fake_broker *broker, uint32_t number, enum mpq_settle_kind kind);

#endif
