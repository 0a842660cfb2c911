#include "fake_answers.h"

#include <stdio.h>

#include "codec.h"
#include "fake_held.h"
#include "redis_scripts.h"

static struct {
    uint32_t jobs;
    uint32_t generation;
    bool adopted;
    uint32_t gate; /* how long a gate is */
    char passing[64];
    size_t passing_len; /* what RPUSHX has added to a gate last */
    size_t followers;   /* that it has added to the queue */
} state;

void fake_answers_begin(void)
{
    memset(&state, 0, sizeof state);
    fake_held_begin();
}

bool fake_request_is(const fake_request *asked, size_t index, const char *word)
{
    return index < asked->count && asked->args[index].len == strlen(word) &&
           memcmp(asked->args[index].data, word, strlen(word)) == 0;
}

static void say(mpq_buf *said, const char *text)
{
    mpq_buf_append_str(said, text);
}

static void say_bulk(mpq_buf *said, mpq_slice bytes)
{
    mpq_buf_printf(said, "$%zu\r\n", bytes.len);
    mpq_buf_append_slice(said, bytes);
    say(said, "\r\n");
}

static void say_numbered(mpq_buf *said, uint32_t number)
{
    mpq_buf bytes = {0};
    mpq_job job = {.payload = mpq_slice_of("work", 4), .fail_number = 3};
    memcpy(job.id.bytes + MPQ_ID_BYTES - sizeof number, &number, sizeof number);
    mpq_codec_encode(&job, &bytes);
    say_bulk(said, mpq_buf_slice(&bytes));
    mpq_buf_fini(&bytes);
}

void fake_answer_job(mpq_buf *said)
{
    say_numbered(said, ++state.jobs);
}

static mpq_slice arg(const fake_request *asked, size_t index)
{
    MUST(index < asked->count);
    return asked->args[index];
}

static uint64_t number(const fake_request *asked, size_t index)
{
    char text[24] = "";
    mpq_slice bytes = arg(asked, index);
    MUST(bytes.len > 0 && bytes.len < sizeof text);
    memcpy(text, bytes.data, bytes.len);
    return strtoull(text, NULL, 10);
}

/* The number of the job with that id; 0 = it can't be one of ours. */
static uint32_t job_at(const fake_request *asked, size_t index)
{
    uint32_t job = 0;
    mpq_slice id = arg(asked, index);
    if (id.len == MPQ_ID_BYTES)
        memcpy(&job, id.data + MPQ_ID_BYTES - sizeof job, sizeof job);
    return job;
}

/* The arguments of exchange.lua. */
enum {
    X_FIRST_KEY = 3,
    X_KEYS = 8,
    X_OWNER = X_FIRST_KEY + X_KEYS + 1,
    X_HELD_BY,
    X_PREFIX,
    X_LEASE,
    X_WANT,
    X_WANT_BYTES,
    X_EXPECTED,
    X_NUMBER,
    X_CLAIMS,
    X_UNSTAGED,
    X_SINGLES,
    X_SPLITS,
    X_TRIMS,
    X_REST,
    X_SINGLE = 6, /* arguments of each */
    X_SPLIT = 4,
    X_TRIM = 3
};

static uint64_t settle_singles(const fake_request *asked, size_t at, uint64_t count)
{
    uint64_t refused = 0;
    for (; count > 0; count--, at += X_SINGLE) {
        fake_chunk *chunk = fake_held_find(arg(asked, X_HELD_BY), number(asked, at + 1));
        if (!fake_request_is(asked, at, "empty"))
            refused += !fake_held_settle(chunk, number(asked, at + 2), job_at(asked, at + 3));
        else if (chunk)
            chunk->owner[0] = '\0';
    }
    return refused;
}

/* What comes last has to be the last argument. */
static uint64_t move_held(const fake_request *asked, uint64_t *next)
{
    size_t at = X_REST;
    uint64_t refused = 0, singles = number(asked, X_SINGLES);
    for (uint64_t i = number(asked, X_CLAIMS); i > 0; i--, at++, ++*next)
        fake_held_add(arg(asked, X_OWNER), *next, job_at(asked, at), 1);
    at += number(asked, X_UNSTAGED);
    refused = settle_singles(asked, at, singles);
    at += X_SINGLE * singles;
    for (uint64_t i = number(asked, X_SPLITS); i > 0; i--, at += X_SPLIT, ++*next)
        fake_held_split(fake_held_find(arg(asked, X_OWNER), number(asked, at)), number(asked, at + 1),
                        number(asked, at + 2), *next);
    for (uint64_t i = number(asked, X_TRIMS); i > 0; i--, at += X_TRIM) {
        fake_chunk *chunk = fake_held_find(arg(asked, X_OWNER), number(asked, at));
        if (!fake_held_trim(chunk, number(asked, at + 1), number(asked, at + 2)))
            refused += number(asked, at + 2);
    }
    MUST(at == asked->count);
    return refused;
}

/* Such a request may make no chunk. */
static bool is_out_of_turn(const fake_request *asked)
{
    return fake_request_is(asked, X_CLAIMS, "0") && fake_request_is(asked, X_SPLITS, "0") &&
           fake_request_is(asked, X_TRIMS, "0");
}

/* Whether a request before was refused is left to the input: it can say SKIPPED. The first and the last key say whose
 * jobs are settled. */
static void say_exchange(mpq_buf *said, const fake_request *asked)
{
    mpq_slice own = arg(asked, X_FIRST_KEY), held = arg(asked, X_FIRST_KEY + X_KEYS - 1);
    bool dead = own.len != held.len || memcmp(own.data, held.data, own.len) != 0;
    uint64_t next = number(asked, X_NUMBER), want = number(asked, X_WANT);
    MUST(fake_request_is(asked, 2, "8"));
    MUST(!dead || (want == 0 && fake_request_is(asked, X_SPLITS, "0") && fake_request_is(asked, X_TRIMS, "0")));
    MUST(next > 0 || (want == 0 && is_out_of_turn(asked)));
    uint64_t refused = move_held(asked, &next);
    want = want < FAKE_PLACES_MAX ? want : FAKE_PLACES_MAX;
    if (want > 0)
        fake_held_add(arg(asked, X_OWNER), next, state.jobs + 1, (uint32_t)want);
    state.jobs += (uint32_t)want;
    mpq_buf_printf(said, "*5\r\n:%llu\r\n:-1\r\n:1800000000000\r\n:0\r\n:%llu\r\n", (unsigned long long)refused,
                   (unsigned long long)want);
}

/* "<prefix>held:<owner>:<number>" */
static fake_chunk *named_chunk(mpq_slice key)
{
    const char *from = memmem(key.data, key.len, "}:held:", 7), *colon = memrchr(key.data, ':', key.len);
    MUST(from && colon && colon > from + 6 && key.len - (size_t)(colon - key.data) < 24);
    char text[24] = "";
    memcpy(text, colon + 1, (size_t)(key.data + key.len - colon - 1));
    return fake_held_find(mpq_slice_of(from + 7, (size_t)(colon - from - 7)), strtoull(text, NULL, 10));
}

static void say_range(mpq_buf *said, const fake_request *asked)
{
    fake_chunk *chunk = named_chunk(arg(asked, 1));
    MUST(fake_request_is(asked, 2, "0") && fake_request_is(asked, 3, "-1"));
    mpq_buf_printf(said, "*%u\r\n", chunk ? chunk->places : 0);
    for (uint32_t i = 0; chunk && i < chunk->places; i++)
        if (chunk->jobs[i])
            say_numbered(said, chunk->jobs[i]);
        else
            say(said, "$0\r\n\r\n");
}

static size_t count_chunks(mpq_slice owner)
{
    size_t count = 0;
    for (fake_chunk *chunk = NULL; (chunk = fake_held_next(owner, chunk ? chunk->number : 0));)
        count++;
    return count;
}

static void say_chunks(mpq_buf *said, mpq_slice owner, bool jobs)
{
    for (fake_chunk *chunk = NULL; (chunk = fake_held_next(owner, chunk ? chunk->number : 0));) {
        mpq_buf_printf(said, ":%llu\r\n", (unsigned long long)chunk->number);
        if (jobs)
            mpq_buf_printf(said, ":%u\r\n", fake_held_left(chunk));
    }
}

static void hold_some(mpq_slice owner, uint64_t chunk_number, uint32_t count)
{
    fake_held_add(owner, chunk_number, state.jobs + 1, count);
    state.jobs += count;
}

/* Somebody is dead every other time; when somebody was named, it is that owner. */
static void say_adopted(mpq_buf *said, const fake_request *asked)
{
    enum { NAMED = 3 + 5 + 2 };
    bool named = !fake_request_is(asked, NAMED, "");
    mpq_slice dead = named ? arg(asked, NAMED) : mpq_slice_of("dead", 4);
    if (!state.adopted) {
        hold_some(dead, 1, 3);
        hold_some(dead, 4, 2);
    }
    state.adopted = !state.adopted || count_chunks(dead) > 0;
    if (state.adopted) {
        mpq_buf_printf(said, "*%zu\r\n", 1 + 2 * count_chunks(dead));
        say_bulk(said, dead);
        say_chunks(said, dead, true);
    } else {
        say(said, named ? "+NOBODY\r\n" : "*2\r\n:500\r\n:-1\r\n");
    }
}

/* Who takes up a name finds something. */
static void say_attached(mpq_buf *said, const fake_request *asked)
{
    enum { HOW = 3 + 4, OWNER };
    mpq_slice owner = arg(asked, OWNER);
    uint64_t next = 1;
    if (fake_request_is(asked, HOW, "resume") && count_chunks(owner) == 0)
        hold_some(owner, 7, 5);
    for (fake_chunk *chunk = NULL; (chunk = fake_held_next(owner, chunk ? chunk->number : 0));)
        next = chunk->number + 1;
    mpq_buf_printf(said, "*%zu\r\n", 3 + count_chunks(owner));
    say_bulk(said, mpq_slice_of("00000000000000000001....................................................", 72));
    mpq_buf_printf(said, ":%u\r\n:%llu\r\n", ++state.generation, (unsigned long long)next);
    say_chunks(said, owner, false);
}

static void answer_script(mpq_buf *said, const fake_request *asked)
{
    if (fake_request_is(asked, 1, mpq_redis_script(MPQ_SCRIPT_EXCHANGE)->sha1))
        say_exchange(said, asked);
    else if (fake_request_is(asked, 1, mpq_redis_script(MPQ_SCRIPT_ATTACH)->sha1))
        say_attached(said, asked);
    else if (fake_request_is(asked, 1, mpq_redis_script(MPQ_SCRIPT_ADOPT)->sha1))
        say_adopted(said, asked);
    else if (fake_request_is(asked, 1, mpq_redis_script(MPQ_SCRIPT_COUNTS)->sha1))
        say(said, "*6\r\n:9\r\n:1\r\n:2\r\n:3\r\n:1\r\n:4\r\n");
    else if (fake_request_is(asked, 1, mpq_redis_script(MPQ_SCRIPT_RENEW)->sha1))
        say(said, ":1\r\n");
    else {
        say(said, "+OK\r\n");
        state.gate = 1;
    }
}

/* To a gate go a sequence and an envelope, to the queue the others. */
static void remember_passing(const fake_request *asked)
{
    mpq_slice key = arg(asked, 1), envelope = arg(asked, 3);
    if (!memmem(key.data, key.len, "}:seq:", 6)) {
        state.followers = state.passing_len > 0 ? asked->count - 2 : 0;
        return;
    }
    MUST(asked->count == 4);
    state.passing_len = envelope.len < sizeof state.passing ? envelope.len : sizeof state.passing;
    memcpy(state.passing, envelope.data, state.passing_len);
}

/* What a push that has passed its gate is answered, or a transaction with nothing in it. */
static void say_passed(mpq_buf *said)
{
    if (state.passing_len == 0) {
        say(said, "*0\r\n");
        return;
    }
    mpq_buf_printf(said, "*%u\r\n:%u\r\n", state.followers ? 4u : 2u, ++state.gate + 1);
    say_bulk(said, mpq_slice_of(state.passing, state.passing_len));
    if (state.followers)
        mpq_buf_printf(said, ":%zu\r\n:%zu\r\n", state.followers + 1, state.followers);
    state.passing_len = state.followers = 0;
}

static void answer_load(mpq_buf *said, const fake_request *asked)
{
    for (int i = 0; i < MPQ_SCRIPT_COUNT; i++)
        if (fake_request_is(asked, 2, mpq_redis_script((enum mpq_redis_script)i)->text)) {
            say_bulk(said, mpq_slice_of(mpq_redis_script((enum mpq_redis_script)i)->sha1, 40));
            return;
        }
    say(said, "-ERR what is this\r\n");
}

void fake_answer(mpq_buf *said, const fake_request *asked, bool subscribed)
{
    if (fake_request_is(asked, 0, "HELLO"))
        say(said, "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n");
    else if (fake_request_is(asked, 0, "SUBSCRIBE"))
        say(said, "*3\r\n$9\r\nsubscribe\r\n$4\r\nwake\r\n:1\r\n");
    else if (fake_request_is(asked, 0, "SCRIPT"))
        answer_load(said, asked);
    else if (fake_request_is(asked, 0, "EVALSHA"))
        answer_script(said, asked);
    else if (fake_request_is(asked, 0, "PING"))
        say(said, subscribed ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n");
    else if (fake_request_is(asked, 0, "HSCAN")) {
        say(said, "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n");
        fake_answer_job(said);
    } else if (fake_request_is(asked, 0, "LRANGE"))
        say_range(said, asked);
    else if (fake_request_is(asked, 0, "INFO"))
        say(said, "$21\r\nredis_version:7.0.1\r\n\r\n");
    else if (fake_request_is(asked, 0, "RPUSHX")) {
        say(said, "+QUEUED\r\n");
        remember_passing(asked);
    } else if (fake_request_is(asked, 0, "LMOVE") || fake_request_is(asked, 0, "HINCRBY"))
        say(said, "+QUEUED\r\n");
    else if (fake_request_is(asked, 0, "LLEN"))
        mpq_buf_printf(said, ":%u\r\n", state.gate);
    else if (fake_request_is(asked, 0, "EXEC"))
        say_passed(said);
    else if (!fake_request_is(asked, 0, "BLMOVE")) /* that blocks */
        say(said, "+OK\r\n");
}
