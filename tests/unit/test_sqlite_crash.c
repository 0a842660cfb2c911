/* Many processes push and consume on one SQLite file while they are killed at random: every job is run at least once,
 * and in the end all of them are done and counted once. */
#include "../contract/contract.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { PRODUCERS = 2, CONSUMERS = 3, PUSHES = 120, JOBS_PER_PUSH = 5, KILLS = 40, LEASE_MS = 300 };
enum { JOBS = PRODUCERS * PUSHES * JOBS_PER_PUSH };

static struct shared {
    _Atomic unsigned acknowledged[PRODUCERS]; /* pushes that are known to be stored */
    _Atomic unsigned struck[PRODUCERS];
    _Atomic unsigned epoch;
    _Atomic unsigned ran[JOBS + 1];
    _Atomic unsigned finish;
} * shared;

static bool fixture_start(mpq_broker_config *config)
{
    char path[128];
    snprintf(path, sizeof path, "%s/q-%ld.db", test_tmpdir(), (long)getpid());
    config->driver = MPQ_DRIVER_SQLITE;
    config->path = strdup(path);
    config->read_timeout_ms = 20000;
    config->connect_timeout_ms = 20000;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared != MAP_FAILED && config->path;
}

/* After a kill it begins with the push whose outcome is not known. */
static void produce(unsigned who)
{
    mpq_error err = {0};
    mpq_push_item items[JOBS_PER_PUSH];
    mpq_broker *p = producer();
    for (unsigned n = shared->acknowledged[who]; n < PUSHES; n++) {
        for (unsigned i = 0; i < JOBS_PER_PUSH; i++) {
            uint64_t number = 1 + (n * PRODUCERS + who) * JOBS_PER_PUSH + i;
            items[i] = (mpq_push_item){envelope_of(number), number % 3 ? 0 : number % 20};
        }
        mpq_push push = {.queue = "q", .producer = who + 1, .sequence = n + 1, .items = items, .count = JOBS_PER_PUSH};
        if (p->ops->push(p, &push, &err) < 0) {
            printf("  push: %s\n", err.text);
            _exit(1);
        }
        if (n % 10 == 3 && n > shared->struck[who]) {
            shared->struck[who] = n; /* the push is stored, but nobody knows */
            raise(SIGKILL);
        }
        shared->acknowledged[who] = n + 1;
        if (n % 4 == 0)
            pause_ms(4);
    }
    _exit(0);
}

static size_t settle_answer(mpq_settle *settles)
{
    for (size_t i = 0; i < answer.count; i++) {
        uint64_t number = number_of(mpq_batch_envelope(&answer, i));
        unsigned runs = ++shared->ran[number];
        settles[i] = number % 7 == 0 && runs < 3    ? retry(number, runs, number % 2 * 5)
                     : number % 11 == 0 && runs < 2 ? give_back(number)
                                                    : done(number);
    }
    return answer.count;
}

static void consume(void)
{
    char name[32];
    static mpq_settle settles[MPQ_EXCHANGE_MAX];
    mpq_error err = {0};
    snprintf(name, sizeof name, "c:%u", ++shared->epoch);
    mpq_broker *c = consumer("q", name, LEASE_MS);
    const char *dead = NULL;
    char from[MPQ_OWNER_MAX + 1];
    for (size_t count = 0; !shared->finish || count;) {
        uint32_t want = shared->finish || dead ? 0 : 8;
        mpq_exchange exchange = {.settles = settles, .settle_count = count, .dead = dead, .want = want};
        if (mpq_broker_exchange(c, &exchange, ANSWER_MS, &answer, &err) < 0) {
            printf("  exchange: %s\n", err.text);
            _exit(1);
        }
        if (answer.lost)
            _exit(0);
        count = settle_answer(settles);
        dead = NULL;
        if (count == 0) {
            while (c->ops->adopt(c, NULL, &answer, &err) == 0 && answer.count == 0)
                ;
            memcpy(from, answer.from, sizeof from);
            dead = answer.count ? from : NULL;
            count = settle_answer(settles);
            pause_ms(count ? 0 : 5);
        }
    }
    detach(c);
    _exit(0);
}

static pid_t start(unsigned who)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (who < PRODUCERS)
        produce(who);
    consume();
    return 0;
}

/* Those who left by themselves: producers that are through, consumers that lost their lease (they come again). */
static bool replace_gone(pid_t *pids)
{
    bool producing = false;
    for (unsigned who = 0; who < PRODUCERS + CONSUMERS; who++) {
        int status = 0;
        if (pids[who] && waitpid(pids[who], &status, WNOHANG) == pids[who]) {
            if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                test_fail(__FILE__, __LINE__, "process %u ended with status %d", who, WEXITSTATUS(status));
            bool through = who < PRODUCERS && shared->acknowledged[who] == PUSHES;
            pids[who] = through ? 0 : start(who);
        }
        producing |= who < PRODUCERS && pids[who] != 0;
    }
    return producing;
}

static void wait_until_done(pid_t *pids)
{
    uint64_t deadline_ms = mpq_clock_monotonic_ms() + 60000;
    mpq_counts c = {0};
    while (mpq_clock_monotonic_ms() < deadline_ms && !test_failed()) {
        bool producing = replace_gone(pids);
        c = counts_of("q");
        if (!producing && c.done == JOBS)
            break;
        pause_ms(20);
    }
    shared->finish = 1;
}

CASE(sqlite_loses_no_job_when_processes_are_killed)
{
    pid_t pids[PRODUCERS + CONSUMERS];
    uint32_t state = 7;
    for (unsigned who = 0; who < PRODUCERS + CONSUMERS; who++)
        pids[who] = start(who);
    for (int i = 0; i < KILLS; i++) {
        state = state * 1664525u + 1013904223u;
        pause_ms(10 + (state >> 8) % 20);
        unsigned who = (state >> 16) % (PRODUCERS + CONSUMERS);
        if (pids[who])
            kill(pids[who], SIGKILL);
        replace_gone(pids);
    }
    wait_until_done(pids);
    for (unsigned who = 0; who < PRODUCERS + CONSUMERS; who++)
        if (pids[who])
            waitpid(pids[who], NULL, 0);
    if (test_failed())
        return;
    CHECK_INT(counts_of("q").pushed, JOBS);
    CHECK_STR(counts("q") + strlen("pushed 1200, "), "ready 0, delayed 0, running 0, failed 0, done 1200");
    for (unsigned n = 1; n <= JOBS; n++)
        CHECK(shared->ran[n] >= 1);
}
