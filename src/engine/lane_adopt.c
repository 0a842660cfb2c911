/* Taking over from the dead. What they held stays under their name until it is settled there, so a take-over that is
 * broken off at any point is simply begun again, by whoever comes next. */
#include <string.h>

#include "clock.h"
#include "crashpoint.h"
#include "lane.h"

enum {
    RENEW_MAX = 256,
    TAKE_OVER_MS = 100, /* for one round, and whatever the last request takes */
    VAIN_MAX = 2,       /* the first time others may have been faster */
    DEAD_AGAIN_MS = 500,
    SPREAD_MS = 32 /* over which nodes that wait for the end of the same lease look for the dead */
};

/* What is known of the jobs of a dead owner. */
typedef struct takeover {
    const char *owner; /* NULL: whoever's lease has ended */
    bool all_counted;  /* nobody can tell what was running: every job may have been */
    const mpq_id *running;
    size_t running_count;
    bool reported; /* the cause is complete: the manager has seen the death */
    mpq_cause cause;
} takeover;

static bool was_running(const takeover *from, mpq_slice envelope)
{
    if (from->all_counted)
        return true;
    mpq_id id = mpq_codec_id(envelope);
    for (size_t i = 0; i < from->running_count; i++)
        if (mpq_id_equal(&from->running[i], &id))
            return true;
    return false;
}

/* Of whom not even that is known when they died: the one who finds them says what is known. */
static void complete_cause(takeover *from, const mpq_batch *batch)
{
    if (from->reported)
        return;
    from->cause.at_ms = mpq_clock_wall_ms();
    from->cause.worker = mpq_slice_of(batch->from, strlen(batch->from));
}

static int decide(mpq_lane *lane, const takeover *from, mpq_error *err)
{
    for (size_t i = 0; i < lane->batch.count; i++) {
        mpq_slice envelope = mpq_batch_envelope(&lane->batch, i);
        const mpq_cause *cause = was_running(from, envelope) ? &from->cause : NULL;
        mpq_buf_clear(&lane->settle_bytes[i]);
        if (mpq_lane_settle_job(lane, envelope, cause, &lane->settle_bytes[i], &lane->settles[i], err) < 0)
            return -1;
    }
    return 0;
}

/* The jobs are settled where they lie. 0, also when others have done so meanwhile: see batch.refused; 1 = our lease is
 * lost; -1. */
static int settle_listed(mpq_lane *lane, const takeover *from, mpq_error *err)
{
    const mpq_broker_config *config = &lane->process->config->broker;
    char owner[MPQ_OWNER_MAX + 1];
    size_t count = lane->batch.count;
    memcpy(owner, lane->batch.from, sizeof owner);
    if (decide(lane, from, err) < 0)
        return -1;
    MPQ_CRASH_POINT("dispatcher.adopt.decided");
    mpq_exchange exchange = {.settles = lane->settles, .settle_count = count, .dead = owner};
    int timeout_ms = (int)(config->connect_timeout_ms + config->read_timeout_ms);
    if (mpq_broker_exchange(lane->broker, &exchange, timeout_ms, &lane->batch, err) < 0)
        return -1;
    MPQ_CRASH_POINT("dispatcher.adopt.settled");
    lane->empty = false;
    if (lane->batch.lost)
        return 1;
    if (lane->batch.refused < count)
        mpq_log_write(lane->process->log, MPQ_LEVEL_WARNING, "took over %zu jobs of queue \"%s\" from %s",
                      count - lane->batch.refused, lane->config->name, owner);
    return 0;
}

static bool time_is_up(const mpq_lane *lane)
{
    return mpq_clock_monotonic_ms() >= lane->take_until_ms;
}

/* The same where there is more to do: it goes on as soon as all else had its turn. */
static bool out_of_time(mpq_lane *lane)
{
    if (!time_is_up(lane))
        return false;
    lane->renew_at_ms = mpq_clock_monotonic_ms();
    return true;
}

/* 0 when nothing is left to take; 1 = look again in the next round; -1. */
static int take_over(mpq_lane *lane, takeover *from, mpq_error *err)
{
    int rc, vain = 0;
    while ((rc = lane->broker->ops->adopt(lane->broker, from->owner, &lane->batch, err)) == 0) {
        MPQ_CRASH_POINT("dispatcher.adopt.listed");
        complete_cause(from, &lane->batch);
        size_t count = lane->batch.count;
        rc = count > 0 ? settle_listed(lane, from, err) : 0;
        mpq_lane_free_large_buffers(lane);
        if (rc != 0)
            return rc;
        vain += count > 0 && lane->batch.refused >= count;
        if (vain == VAIN_MAX)
            return 1;
        if (count > 0 ? out_of_time(lane) : time_is_up(lane))
            return 1;
    }
    return rc < 0 ? -1 : lane->batch.lost;
}

static mpq_cause lost_cause(mpq_lane *lane, enum mpq_end end, const char *message)
{
    const char *node = lane->process->board.file->node;
    mpq_cause cause = {.end = end};
    cause.message = mpq_slice_of(message, strlen(message));
    cause.node = mpq_slice_of(node, strlen(node));
    return cause;
}

/* Whatever was being run; returns how many. */
static size_t list_running(const mpq_lane *lane, mpq_id running[MPQ_INHERITED_MAX])
{
    mpq_board_file *file = lane->process->board.file;
    const mpq_board_inherited *inherited = mpq_board_inheritance(file);
    size_t count = 0;
    for (uint32_t i = 0; i < file->inherited_count; i++)
        if (inherited[i].running && strcmp(inherited[i].queue, lane->config->name) == 0)
            running[count++] = inherited[i].job;
    return count;
}

bool mpq_lane_has_inherited(const mpq_lane *lane)
{
    mpq_board_file *file = lane->process->board.file;
    const mpq_board_inherited *inherited = mpq_board_inheritance(file);
    for (uint32_t i = 0; i < file->inherited_count; i++)
        if (strcmp(inherited[i].queue, lane->config->name) == 0)
            return true;
    return false;
}

static int take_from_owners(mpq_lane *lane, takeover *from, mpq_error *err)
{
    mpq_board_file *file = lane->process->board.file;
    mpq_board_inherited *inherited = mpq_board_inheritance(file);
    int left = 0;
    for (uint32_t i = 0; i < file->inherited_count; i++) {
        if (strcmp(inherited[i].queue, lane->config->name) != 0 || !inherited[i].owner[0])
            continue;
        if (out_of_time(lane))
            return 1;
        from->owner = inherited[i].owner;
        int rc = take_over(lane, from, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            inherited[i].owner[0] = '\0'; /* the next round begins behind it */
        left |= rc;
    }
    return left;
}

/* The next time we are killed nobody needs to know any more. */
static void forget_inherited(mpq_lane *lane)
{
    mpq_board_file *file = lane->process->board.file;
    mpq_board_inherited *inherited = mpq_board_inheritance(file);
    for (uint32_t i = 0; i < file->inherited_count; i++)
        if (strcmp(inherited[i].queue, lane->config->name) == 0)
            inherited[i].queue[0] = '\0';
}

/* Everything that killed services on this host held for this queue: what their boards said was running has failed once,
 * the rest was only waiting. 1 = look again in the next round. */
static int take_inherited(mpq_lane *lane, mpq_error *err)
{
    takeover from = {.cause = lost_cause(lane, MPQ_END_SERVICE_LOST, "the whole service was killed under the job")};
    mpq_id running[MPQ_INHERITED_MAX];
    if (!mpq_lane_has_inherited(lane))
        return 0;
    from.running = running;
    from.running_count = list_running(lane, running);
    MPQ_CRASH_POINT("dispatcher.inherited.read");
    int rc = take_from_owners(lane, &from, err);
    if (rc != 0)
        return rc;
    MPQ_CRASH_POINT("dispatcher.inherited.settled");
    forget_inherited(lane);
    MPQ_CRASH_POINT("dispatcher.inherited.forgotten");
    return 0;
}

/* A grab worker that died: the manager has left the cause of its job on the board. */
static int take_dead_worker(mpq_lane *lane, mpq_board_worker *worker, mpq_error *err)
{
    takeover from = {.owner = worker->owner, .running = &worker->job};
    if (worker->report_end) {
        uint32_t len = worker->report_len <= sizeof worker->report ? worker->report_len : 0;
        from.reported = mpq_codec_decode_cause(mpq_slice_of(worker->report, len), &from.cause, NULL) == 0;
        if (!from.reported)
            from.cause = lost_cause(lane, MPQ_END_DIED, "the worker died");
        from.cause.end = (enum mpq_end)worker->report_end;
        from.running_count = worker->report_end == MPQ_END_INTERRUPTED ? 0 : 1;
    }
    int rc = worker->owner[0] ? take_over(lane, &from, err) : 0;
    if (rc > 0)
        lane->dead_at_ms = mpq_clock_monotonic_ms() + DEAD_AGAIN_MS;
    if (rc != 0)
        return rc;
    MPQ_CRASH_POINT("dispatcher.dead_worker.taken");
    worker->owner[0] = '\0';
    worker->report_end = worker->report_len = 0;
    MPQ_CRASH_POINT("dispatcher.dead_worker.forgotten");
    atomic_store(&worker->state, MPQ_WORKER_EMPTY);
    return 0;
}

bool mpq_lane_has_dead_worker(const mpq_lane *lane)
{
    if (lane->config->mode != MPQ_MODE_GRAB)
        return false;
    mpq_board_file *board = lane->process->board.file;
    for (uint32_t i = 0; i < board->worker_capacity; i++)
        if (board->workers[i].queue == lane->index && atomic_load(&board->workers[i].state) == MPQ_WORKER_DEAD)
            return true;
    return false;
}

static int renew(mpq_lane *lane, const char *const *owners, size_t count, mpq_error *err)
{
    return count > 0 ? lane->broker->ops->renew(lane->broker, owners, count, err) : 0;
}

static int maintain_grab_workers(mpq_lane *lane, mpq_error *err)
{
    mpq_board_file *board = lane->process->board.file;
    const char *owners[RENEW_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < board->worker_capacity; i++) {
        mpq_board_worker *worker = &board->workers[i];
        int32_t state = atomic_load(&worker->state);
        if (worker->queue != lane->index || state == MPQ_WORKER_EMPTY)
            continue;
        if (state == MPQ_WORKER_DEAD && !out_of_time(lane) && take_dead_worker(lane, worker, err) < 0)
            return -1;
        if (state != MPQ_WORKER_DEAD && worker->owner[0])
            owners[count++] = worker->owner;
        if (count == RENEW_MAX) {
            if (renew(lane, owners, count, err) < 0)
                return -1;
            count = 0;
        }
    }
    return renew(lane, owners, count, err);
}

uint64_t mpq_lane_round_ms(const mpq_lane *lane, uint32_t max_ms)
{
    uint32_t round_ms = lane->process->config->lease_ms / 5;
    return round_ms < max_ms ? round_ms : max_ms;
}

/* Differs from node to node. */
static uint64_t own_spread_ms(const mpq_lane *lane)
{
    uint32_t hash = 0;
    for (const char *at = lane->board->owner; *at; at++)
        hash = 31 * hash + (unsigned char)*at;
    return hash % SPREAD_MS;
}

/* Nobody was found, and the batch says what is known; or it is too early to look. Owners that have come since appear in
 * the next round. */
static void plan_next_look(mpq_lane *lane, bool looked)
{
    const mpq_batch *batch = &lane->batch;
    uint64_t now = mpq_clock_monotonic_ms();
    lane->renew_at_ms = now + mpq_lane_round_ms(lane, MPQ_IDLE_ROUND_MAX_MS);
    if (!looked) {
        if (lane->adopt_at_ms < lane->renew_at_ms)
            lane->renew_at_ms = lane->adopt_at_ms;
        return;
    }
    if (batch->look_in_ms >= 0 && now + (uint64_t)batch->look_in_ms < lane->renew_at_ms)
        lane->renew_at_ms = now + (uint64_t)batch->look_in_ms + 1 + own_spread_ms(lane);
    if (batch->next_due_us == 0)
        lane->empty = false;
    else if (batch->next_due_us > 0)
        lane->due_at_us = mpq_clock_monotonic_us() + (uint64_t)batch->next_due_us;
}

/* For those whose lease has ended. 1 = there may be more. */
static int look_for_dead(mpq_lane *lane, bool *renewed, mpq_error *err)
{
    takeover from = {.all_counted = true};
    from.cause =
        lost_cause(lane, MPQ_END_NODE_LOST, "the node that ran the job lost its lease (dead, frozen or cut off)");
    uint64_t asked_at_ms = mpq_clock_monotonic_ms();
    int rc = take_over(lane, &from, err);
    if (rc < 0 || lane->batch.lost)
        return rc;
    if (lane->batch.ended) { /* the store was away: others shall come back first */
        lane->adopt_at_ms = asked_at_ms + MPQ_IDLE_ROUND_MAX_MS + MPQ_ROUND_MAX_MS;
        return 1;
    }
    *renewed = true;
    lane->renewed_at_ms = asked_at_ms;
    mpq_lane_renewed(lane, asked_at_ms);
    return rc;
}

int mpq_lane_maintain(mpq_lane *lane, mpq_error *err)
{
    uint64_t now = mpq_clock_monotonic_ms();
    lane->take_until_ms = now + TAKE_OVER_MS;
    lane->renew_at_ms = now + mpq_lane_round_ms(lane, MPQ_ROUND_MAX_MS);
    int left = take_inherited(lane, err);
    if (left < 0 || (lane->config->mode == MPQ_MODE_GRAB && maintain_grab_workers(lane, err) < 0))
        return -1;
    if (out_of_time(lane))
        return 1;
    bool renewed = false;
    bool may_look = mpq_clock_monotonic_ms() >= lane->adopt_at_ms;
    int rc = may_look ? look_for_dead(lane, &renewed, err) : 0;
    if (rc == 0 && left == 0 && !mpq_lane_has_dead_worker(lane))
        plan_next_look(lane, may_look);
    return rc < 0 ? -1 : !renewed;
}
