/* Conservation: whatever several owners do in whatever order, every job is in exactly one place, and held by at most
 * one owner. A model of who holds what runs along; the seed is fixed. */
#include "contract.h"

enum { OWNERS = 4, STEPS = 600, JOBS_MAX = 8000 };

struct model {
    mpq_broker *handle[OWNERS];
    char name[OWNERS][32];
    unsigned epoch[OWNERS];
    signed char holder[JOBS_MAX + 1]; /* -1 nobody */
    bool ended[JOBS_MAX + 1];
    uint64_t pushed, done, failed;
    uint32_t state;
    int victim; /* of the latest take-over */
    mpq_broker *producer;
};

static uint32_t pick(struct model *m, uint32_t below)
{
    m->state = m->state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(m->state >> 8) * below) >> 24);
}

static void enlist(struct model *m, int who)
{
    snprintf(m->name[who], sizeof m->name[who], "owner-%d:%u", who, ++m->epoch[who]);
    CHECK_INT(attach(m->handle[who], "q", m->name[who], LONG_LEASE_MS, MPQ_ATTACH_FRESH, NULL), 0);
}

/* The latest answer's jobs are now held by `who`: nobody else may have held them, unless they came from `from`. */
static void note_answer(struct model *m, int who, int from)
{
    CHECK(!answer.lost);
    CHECK_INT(answer.garbage, 0);
    for (size_t i = 0; i < answer.count; i++) {
        uint64_t number = number_of(mpq_batch_envelope(&answer, i));
        CHECK(number >= 1 && number <= m->pushed);
        CHECK(!m->ended[number]);
        CHECK_INT(m->holder[number], from);
        m->holder[number] = (signed char)who;
    }
}

static void push_some(struct model *m)
{
    mpq_push_item items[20];
    size_t count = 1 + pick(m, 20);
    if (m->pushed + count > JOBS_MAX)
        return;
    for (size_t i = 0; i < count; i++)
        items[i] = (mpq_push_item){envelope_of(++m->pushed), pick(m, 3) ? 0 : pick(m, 30)};
    CHECK_INT(push_as(m->producer, "q", ++last_sequence, items, count), 0);
    if (pick(m, 4) == 0)
        CHECK_INT(push_as(m->producer, "q", last_sequence, items, count), 0);
}

static mpq_settle settle_somehow(struct model *m, uint64_t number)
{
    uint32_t how = pick(m, 10);
    m->holder[number] = -1;
    if (how < 2)
        return retry(number, how, how ? pick(m, 30) : 0);
    if (how == 2)
        return give_back(number);
    m->ended[number] = true;
    if (how == 3) {
        m->failed++;
        return failed(number);
    }
    m->done++;
    return done(number);
}

static void exchange_some(struct model *m, int who)
{
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    size_t count = 0, wrong = 0;
    for (uint64_t n = 1; n <= m->pushed && count < 60; n++) {
        if (m->holder[n] == who && pick(m, 3))
            settles[count++] = settle_somehow(m, n);
        else if (m->holder[n] != who && pick(m, 400) == 0 && ++wrong)
            settles[count++] = pick(m, 2) ? done(n) : retry(n, 1, 0);
    }
    mpq_exchange exchange = {.settles = settles, .settle_count = count, .want = pick(m, 25)};
    const char *text = ask(m->handle[who], &exchange);
    CHECK(*text != 'e');
    CHECK_INT(answer.refused, wrong);
    note_answer(m, who, -1);
}

static void resume_one(struct model *m, int who)
{
    mpq_buf held = {0};
    int rc = attach(m->handle[who], "q", m->name[who], LONG_LEASE_MS, MPQ_ATTACH_RESUME, &held);
    size_t expected = 0, ids = held.len / MPQ_ID_BYTES;
    for (uint64_t n = 1; n <= m->pushed; n++)
        expected += m->holder[n] == who;
    mpq_buf_fini(&held);
    CHECK_INT(rc, 0);
    CHECK_INT(ids, expected);
}

static void leave_one(struct model *m, int who)
{
    CHECK_INT(detach(m->handle[who]), 0);
    for (uint64_t n = 1; n <= m->pushed; n++)
        if (m->holder[n] == who)
            m->holder[n] = -1;
    enlist(m, who);
}

/* The jobs of the latest answer; sometimes not all of them at once. */
static void settle_for(struct model *m, int who, const char *dead)
{
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    size_t count = 0;
    for (size_t i = 0; i < answer.count; i++) {
        uint64_t number = number_of(mpq_batch_envelope(&answer, i));
        if (pick(m, 8))
            settles[count++] = settle_somehow(m, number);
        else
            m->holder[number] = (signed char)m->victim;
    }
    settle_all_of(m->handle[who], dead, settles, count);
    CHECK_INT(answer.refused, 0);
}

static void take_over(struct model *m, int who, int victim)
{
    m->victim = victim;
    for (int rounds = 0; rounds < 200; rounds++) {
        const char *text = adopt(m->handle[who], m->name[victim]);
        CHECK(*text != 'e');
        if (strcmp(text, "nobody") == 0)
            break;
        note_answer(m, who, victim);
        if (test_failed())
            return;
        settle_for(m, who, m->name[victim]);
    }
    for (uint64_t n = 1; n <= m->pushed; n++)
        CHECK(m->holder[n] != victim);
    CHECK_STR(refused_as_lost(take(m->handle[victim], 5)), "lost");
    enlist(m, victim);
}

static void check_sums(const struct model *m)
{
    mpq_counts c = counts_of("q");
    uint64_t held = 0;
    for (uint64_t n = 1; n <= m->pushed; n++)
        held += m->holder[n] >= 0;
    CHECK_INT(c.pushed, m->pushed);
    CHECK_INT(c.running, held);
    CHECK_INT(c.done, m->done);
    CHECK_INT(c.failed, m->failed);
    CHECK_INT(c.ready + c.delayed + c.running + c.failed + c.done, c.pushed);
}

static void step(struct model *m)
{
    int who = (int)pick(m, OWNERS);
    uint32_t what = pick(m, 20);
    if (what < 5)
        push_some(m);
    else if (what < 17)
        exchange_some(m, who);
    else if (what == 17)
        resume_one(m, who);
    else if (what == 18)
        leave_one(m, who);
    else
        take_over(m, who, (who + 1 + (int)pick(m, OWNERS - 1)) % OWNERS);
}

static void drain(struct model *m)
{
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + 20000;
    for (int who = 0; who < OWNERS; who++) {
        leave_one(m, who);
        if (test_failed())
            return;
    }
    while (m->done + m->failed < m->pushed && mpq_clock_monotonic_ms() < deadline_ms) {
        take(m->handle[0], 256);
        note_answer(m, 0, -1);
        if (test_failed())
            return;
        for (size_t i = 0; i < answer.count; i++) {
            uint64_t number = number_of(mpq_batch_envelope(&answer, i));
            m->holder[number] = -1;
            m->ended[number] = true;
            m->done++;
        }
        size_t got = answer.count;
        CHECK_INT(finish_answer(m->handle[0]), 0);
        if (!got)
            pause_ms(10);
    }
}

CASE(no_job_is_lost_or_doubled_by_a_random_history)
{
    static struct model m = {.state = 20240607};
    memset(m.holder, -1, sizeof m.holder);
    m.producer = producer();
    for (int who = 0; who < OWNERS; who++) {
        m.handle[who] = producer();
        enlist(&m, who);
    }
    for (int i = 0; i < STEPS && !test_failed(); i++) {
        step(&m);
        if (!test_failed() && i % 20 == 0)
            check_sums(&m);
    }
    if (test_failed())
        return;
    CHECK(m.pushed > 500 && m.failed > 10 && m.done > 100);
    drain(&m);
    if (test_failed())
        return;
    check_sums(&m);
    CHECK_INT(m.done + m.failed, m.pushed);
    mpq_counts c = counts_of("q");
    CHECK_INT(c.ready + c.delayed + c.running, 0);
}
