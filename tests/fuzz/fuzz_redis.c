/*
 * The Redis driver against a server that says anything.
 *
 * Input: one byte of options, the calls to make (a letter each) up to a newline, then the server's answers as
 * fake_redis.h has them. Every call has to end in time, with a result that makes sense or with an error.
 */
#include <stdio.h>

#include "broker.h"
#include "codec.h"
#include "fake_redis.h"

enum {
    CONNECT_MS = 20,
    READ_MS = 30,
    LEASE_MS = 600,
    EXCHANGE_MS = 50,
    SLACK_MS = 60, /* a millisecond for each request and each packet */
    CALLS_MAX = 40,
    GIVEN_MAX = 512,
    MANY_JOBS = 130 /* not for the script, once a gate is open */
};

enum option { OPTION_AFTER = 3, OPTION_EASY = 4, OPTION_PASSWORD = 8, OPTION_DATABASE = 16 };

#define PASSWORD "Tr0ub4dor&3"

static mpq_broker *broker;
static mpq_batch batch;
static mpq_error err;
static bool echoes_password; /* the input knows it, so that the server may say it */
static int under_way;        /* exchanges sent and not answered */
static uint64_t sequence;    /* of the last push */
static unsigned asked;       /* requests before the call */

static bool server_was_asked(void)
{
    return fake_redis_requests() > asked;
}

static void must_explain(void)
{
    fuzz_must_explain(&err);
    MUST(echoes_password || !strstr(err.text, PASSWORD));
}

/* Whoever gets a batch reads its envelopes' ids without looking at their length. */
static void check_batch(size_t max)
{
    MUST(!batch.bytes.failed && batch.count <= max && (!batch.lost || batch.count == 0));
    MUST(batch.next_due_us >= -1 && batch.refused <= INT64_MAX && batch.garbage <= INT64_MAX);
    MUST(batch.ready <= INT64_MAX && strnlen(batch.from, sizeof batch.from) <= MPQ_OWNER_MAX);
    for (size_t i = 0; i < batch.count; i++) {
        mpq_slice envelope = mpq_batch_envelope(&batch, i);
        char *exact = fuzz_copy(envelope);
        mpq_slice bytes = mpq_slice_of(exact, envelope.len);
        mpq_job job;
        MUST(mpq_codec_looks_like_envelope(bytes));
        mpq_id id = mpq_codec_id(bytes);
        if (mpq_codec_decode(bytes, &job, &err) == 0)
            MUST(mpq_id_equal(&id, &job.id));
        free(exact);
    }
}

/* What was given out last, to be settled: as a caller does it, once each. */
static mpq_id given[GIVEN_MAX];
static size_t given_count;

static void hold_id(const mpq_id *id)
{
    if (given_count < GIVEN_MAX)
        given[given_count++] = *id;
}

static void hold_ids(const mpq_buf *held)
{
    given_count = 0;
    for (size_t at = 0; at < held->len; at += MPQ_ID_BYTES) {
        mpq_id id;
        memcpy(id.bytes, held->data + at, MPQ_ID_BYTES);
        hold_id(&id);
    }
}

static void hold_batch(void)
{
    if (batch.lost)
        given_count = 0;
    for (size_t i = 0; i < batch.count; i++) {
        mpq_id id = mpq_codec_id(mpq_batch_envelope(&batch, i));
        hold_id(&id);
    }
}

/* -- calls ---------------------------------------------------------------------------------------------------- */

static int attach(enum mpq_attach how)
{
    mpq_buf held = {0};
    mpq_buf_append(&held, given, given_count * sizeof *given);
    int rc = broker->ops->attach(broker, "q", "svc@node:1.00c0ffee", LEASE_MS, how, &held, &err);
    MUST(rc <= 1 && held.len % MPQ_ID_BYTES == 0);
    if (rc == 0)
        hold_ids(&held);
    mpq_buf_fini(&held);
    return rc;
}

static int push(void)
{
    mpq_push_item items[2] = {{mpq_slice_of("one", 3), 0}, {mpq_slice_of("two", 3), 5000}};
    mpq_push both = {.queue = "q", .producer = 7, .sequence = ++sequence, .items = items, .count = 2};
    return broker->ops->push(broker, &both, &err);
}

/* One by one: after a few they go through a gate. */
static int push_one(void)
{
    mpq_push_item item = {mpq_slice_of("an envelope of 25 bytes..", 25), 0};
    mpq_push one = {.queue = "q", .producer = 7, .sequence = ++sequence, .items = &item, .count = 1};
    return broker->ops->push(broker, &one, &err);
}

/* Together through the gate. */
static int push_many(void)
{
    mpq_push_item items[MANY_JOBS];
    for (size_t i = 0; i < MANY_JOBS; i++)
        items[i] = (mpq_push_item){mpq_slice_of("an envelope of 25 bytes..", 25), 0};
    mpq_push many = {.queue = "q", .producer = 7, .sequence = ++sequence, .items = items, .count = MANY_JOBS};
    return broker->ops->push(broker, &many, &err);
}

static int counts(void)
{
    mpq_counts out;
    int rc = broker->ops->counts(broker, "q", &out, &err);
    MUST(rc != 0 || (out.pushed <= INT64_MAX && out.ready <= INT64_MAX && out.running <= INT64_MAX));
    return rc;
}

static int look_at_record(void *arg, mpq_slice record)
{
    char *exact = fuzz_copy(record);
    free(exact);
    return ++*(size_t *)arg == 5000;
}

static int failed(void)
{
    size_t seen = 0;
    return broker->ops->failed(broker, "q", look_at_record, &seen, &err);
}

static const mpq_settle settles[] = {
    {.kind = MPQ_SETTLE_DONE},
    {.kind = MPQ_SETTLE_RETURN},
    {.kind = MPQ_SETTLE_RETRY, .delay_ms = 9, .envelope = {"again", 5}},
    {.kind = MPQ_SETTLE_FAILED, .envelope = {"over", 4}},
};

/* A job that BLMOVE delivered comes first. */
static void check_taken(void)
{
    check_batch(MPQ_EXCHANGE_MAX + 1);
    hold_batch();
}

static int receive(void)
{
    int rc = broker->ops->receive(broker, &batch, &err);
    if (rc == 0)
        check_taken();
    return rc;
}

static int exchange(void)
{
    static const mpq_exchange take = {.want = 2};
    int rc = mpq_broker_exchange(broker, &take, EXCHANGE_MS, &batch, &err);
    if (rc == 0)
        check_taken();
    return rc;
}

/* What was given out, each `kept`th excepted; as done, or in each way that there is. */
static int settle_given(size_t kept, bool retried)
{
    static mpq_settle own[MPQ_EXCHANGE_MAX];
    mpq_exchange give = {.settles = own, .want = 20};
    size_t left = 0;
    for (size_t i = 0; i < given_count; i++) {
        bool spared = (kept && i % kept == 0) || give.settle_count == MPQ_EXCHANGE_MAX;
        mpq_settle *one = &own[give.settle_count];
        if (!spared) {
            *one = settles[retried ? i % 4 : 0];
            one->id = given[i];
            give.settle_count++;
        } else {
            given[left++] = given[i];
        }
    }
    given_count = left;
    return broker->ops->send(broker, &give, &err);
}

/* Settles what was listed last for the owner that was named, as a lane does. */
static int settle_listed(void)
{
    static mpq_settle listed[MPQ_ADOPT_MAX];
    char owner[MPQ_OWNER_MAX + 1];
    snprintf(owner, sizeof owner, "%s", *batch.from ? batch.from : "dead");
    size_t count = batch.count < MPQ_ADOPT_MAX ? batch.count : MPQ_ADOPT_MAX;
    for (size_t i = 0; i < count; i++) {
        listed[i] = settles[i % 4];
        listed[i].id = mpq_codec_id(mpq_batch_envelope(&batch, i));
    }
    mpq_exchange give = {.settles = listed, .settle_count = count, .dead = owner};
    int rc = mpq_broker_exchange(broker, &give, EXCHANGE_MS, &batch, &err);
    if (rc == 0)
        check_batch(MPQ_EXCHANGE_MAX);
    return rc;
}

/* "Not yet" may not be the answer for ever. The server only acts when it is waited for, to load a script. */
static int receive_at_last(void)
{
    int rc = 1;
    for (int i = 0; i < 4 && rc == 1; i++) {
        rc = receive();
        fake_redis_pass_ms(READ_MS + 1);
    }
    MUST(rc != 1 || under_way == 0 || server_was_asked());
    return rc;
}

static int collect(void)
{
    int rc = broker->ops->wait_collect(broker, &batch, &err);
    if (rc == 0) {
        check_batch(1);
        hold_batch();
    }
    return rc;
}

static int adopt(const char *dead)
{
    int rc = broker->ops->adopt(broker, dead, &batch, &err);
    if (rc == 0) {
        check_batch(MPQ_ADOPT_MAX);
        MUST(batch.from[0] != '\0');
    }
    return rc;
}

static int renew(void)
{
    static const char *const owners[] = {"svc@node:2.00c0ffee", "svc@node:3.00c0ffee"};
    return broker->ops->renew(broker, owners, 2, &err);
}

static int watch(void)
{
    int fds[2];
    int count = broker->ops->wait_fds(broker, fds);
    MUST(count >= 0 && count <= 2);
    for (int i = 0; i < count; i++)
        MUST(fds[i] >= 0);
    return 0;
}

static int server_speaks(char call)
{
    fake_redis_say(call == 'm' ? FAKE_USE_SUBSCRIBED : call == 'b' ? FAKE_USE_BLOCKED : FAKE_USE_CALLS);
    return 0;
}

static int let_time_pass(char call)
{
    fake_redis_pass_ms(call == 't' ? READ_MS : LEASE_MS + 1);
    return 0;
}

static int call_consumer(char call)
{
    const mpq_exchange take = {.want = 2, .want_bytes = 1000}, give = {.settles = settles, .settle_count = 4};
    const mpq_exchange give_dead = {.settles = settles, .settle_count = 4, .dead = "dead"};
    switch (call) {
    case 'a':
        return attach(MPQ_ATTACH_FRESH);
    case 'r':
        return attach(MPQ_ATTACH_RESUME);
    case 'd':
        return broker->ops->detach(broker, &err);
    case 's':
        return broker->ops->send(broker, &take, &err);
    case 'g':
        return broker->ops->send(broker, &give, &err);
    case 'G':
        return broker->ops->send(broker, &give_dead, &err);
    case 'S':
        return settle_given(3, false);
    case 'R':
        return settle_given(2, true);
    case 'A':
        return settle_given(0, false);
    case 'D':
        return settle_listed();
    case 'v':
        return receive();
    case 'V':
        return receive_at_last();
    case 'e':
        return exchange();
    case 'w':
        return broker->ops->wait_arm(broker, &err);
    case 'l':
        return collect();
    case 'C':
        return broker->ops->wait_claim(broker, &err);
    case 'n':
        return renew();
    case 'o':
        return adopt(NULL);
    case 'O':
        return adopt("dead");
    default:
        return watch();
    }
}

static int call(char what)
{
    switch (what) {
    case 'i':
        return broker->ops->ping(broker, &err);
    case 'p':
        return push();
    case 'P':
        return push_one();
    case 'M':
        return push_many();
    case 'c':
        return counts();
    case 'f':
        return failed();
    case 'z':
        return broker->ops->clear(broker, "q", &err);
    case 'm':
    case 'b':
    case 'k':
        return server_speaks(what);
    case 't':
    case 'T':
        return let_time_pass(what);
    default:
        return call_consumer(what);
    }
}

/* How long a call may take at most: its connections and the time for each answer that it waits for. What is no job is
 * put away: perhaps over a connection of its own, and the script may have to be loaded. Listing what is held takes no
 * longer than the lease, but for the last thing asked; so it is one time limit for all where many things are asked. */
static uint64_t limit_ms(char what, unsigned requests)
{
    const uint64_t put_away_ms = CONNECT_MS + READ_MS;
    uint64_t list_ms = (uint64_t)requests * READ_MS < LEASE_MS ? (uint64_t)requests * READ_MS : LEASE_MS;
    if (what == 'a' || what == 'r')
        return 2 * CONNECT_MS + 3 * READ_MS + list_ms + put_away_ms + SLACK_MS;
    if (what == 'o' || what == 'O')
        return CONNECT_MS + READ_MS + list_ms + put_away_ms + SLACK_MS;
    if (what == 'f')
        return CONNECT_MS + (uint64_t)requests * READ_MS + SLACK_MS;
    if (what == 'V')
        return 4 * (2 * READ_MS + put_away_ms + SLACK_MS);
    if (what == 'e' || what == 'D')
        return EXCHANGE_MS + 2 * READ_MS + put_away_ms + SLACK_MS;
    if (what == 'T')
        return LEASE_MS + SLACK_MS;
    return 2 * (CONNECT_MS + READ_MS) + SLACK_MS;
}

static bool is_one_of(char what, const char *calls)
{
    return what && strchr(calls, what);
}

static void count_exchanges(char what, int rc)
{
    bool other = is_one_of(what, "ipPMcfzmbktT"); /* no matter of the consumer's */
    if (is_one_of(what, "sgGSRA") && rc == 0)
        under_way++;
    else if (is_one_of(what, "vV") && rc == 0)
        under_way--;
    else if (is_one_of(what, "ard") || (!other && rc < 0 && err.kind != MPQ_ERROR_STATE))
        under_way = 0;
}

static void make_call(char what)
{
    uint64_t began_ms = fake_redis_now_ms();
    memset(&err, 0, sizeof err);
    fake_redis_act();
    asked = fake_redis_requests();
    int rc = call(what);
    MUST(rc >= -1 && rc <= 1);
    if (rc < 0)
        must_explain();
    count_exchanges(what, rc);
    MUST(fake_redis_now_ms() - began_ms <= limit_ms(what, fake_redis_requests() - asked + 1));
}

static void configure(mpq_broker_config *config, uint8_t options)
{
    mpq_broker_config_init(config);
    config->driver = MPQ_DRIVER_REDIS;
    config->socket_path = strdup("/nowhere/redis.sock");
    config->connect_timeout_ms = CONNECT_MS;
    config->read_timeout_ms = READ_MS;
    if (options & OPTION_PASSWORD) {
        config->user = strdup("worker");
        config->password = strdup(PASSWORD);
    }
    if (options & OPTION_DATABASE)
        config->database = 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = fuzz_input_of(data, size);
    mpq_broker_config config;
    uint8_t options = fuzz_u8(&input);
    mpq_slice calls = fuzz_until(&input, '\n');
    fake_redis_script script = {
        .answers = mpq_slice_of(input.at, input.left), .after = options & OPTION_AFTER, .easy = options & OPTION_EASY};
    unsigned fds = fuzz_open_fds();
    configure(&config, options);
    echoes_password = fuzz_contains(mpq_slice_of((const char *)data, size), PASSWORD);
    fake_redis_begin(&script);
    MUST(mpq_broker_open(&config, &broker, &err) == 0);
    mpq_batch_init(&batch);
    under_way = 0;
    given_count = 0;
    sequence = 0;
    for (size_t i = 0; i < calls.len && i < CALLS_MAX; i++)
        make_call(calls.data[i]);
    mpq_batch_fini(&batch);
    mpq_broker_close(broker);
    fake_redis_end();
    mpq_broker_config_fini(&config);
    MUST(fuzz_open_fds() == fds);
    return 0;
}
