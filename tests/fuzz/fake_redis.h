/*
 * A Redis server inside the fuzz process that answers what the input says. The driver's sockets are real, its clock and
 * its waiting are not: whenever it would wait, the server acts, and only if nothing comes of that the time passes, all
 * at once. So nothing ever really waits, and a call that would never return is seen.
 *
 * The input is divided into answers, one for each request, in the order in which requests come. Bytes with a meaning:
 */
#ifndef MPQ_FAKE_REDIS_H
#define MPQ_FAKE_REDIS_H

#include "fuzz.h"

enum fake_redis_mark {
    FAKE_NEXT = 0x1E,     /* ends an answer; an empty one is what a true server would say */
    FAKE_PAUSE = 0x1F,    /* what follows comes in another packet, a millisecond later */
    FAKE_CLOSE = 0x04,    /* closes the connection */
    FAKE_PROPER = 0x06,   /* what a true server would say, at this place */
    FAKE_ENVELOPE = 0x0E, /* a job, as a bulk string */
    FAKE_MANY = 0x16,     /* followed by n: 2^(n % 18) letters */
    FAKE_NOTHING = 0x15   /* makes an answer that says nothing not empty */
};

/* When there are no answers left. */
enum fake_redis_after { FAKE_AFTER_PROPER, FAKE_AFTER_SILENCE, FAKE_AFTER_CLOSE, FAKE_AFTER_REPEAT };

typedef struct fake_redis_script {
    mpq_slice answers;
    enum fake_redis_after after;
    bool easy; /* all that only prepares a connection is answered properly, without using up answers */
} fake_redis_script;

/* Which of the driver's connections, told by what was last asked on it. */
enum fake_redis_use { FAKE_USE_CALLS, FAKE_USE_BLOCKED, FAKE_USE_SUBSCRIBED };

void fake_redis_begin(const fake_redis_script *script);
void fake_redis_end(void);
/* Lets the server read and answer what it has been sent. */
void fake_redis_act(void);
/* Says the next answer, unasked, on every connection of that use. */
void fake_redis_say(enum fake_redis_use use);

uint64_t fake_redis_now_ms(void);
void fake_redis_pass_ms(uint64_t ms);
/* Requests answered so far. */
unsigned fake_redis_requests(void);

#endif
