/* The Redis driver when answers, connections or leases are lost. What every store has to do is in tests/contract. */
#include "redis_fixture.h"

/* -- lost answers ----------------------------------------------------------------------------------------------- */

TEST(a_push_whose_answer_was_lost_is_repeated_once)
{
    NEED_SERVER(NULL);
    config.read_timeout_ms = 300;
    mpq_broker *p = handle();
    CHECK(push(p, 1) == 0);
    redis_server_freeze(&server, true);
    uint64_t start_ms = mpq_clock_monotonic_ms();
    CHECK(push(p, 2) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(has_text(": push: the server did not answer in time"));
    CHECK(mpq_clock_monotonic_ms() - start_ms < 1500);
    redis_server_freeze(&server, false);
    wait_until("LLEN mpq:{q}:ready", 2);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    CHECK(push(p, 2) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 2);
    CHECK(push(p, 3) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 3);
    long long ttl = redis_command_int(&server, "TTL mpq:{q}:seq:0000000000000007");
    CHECK(ttl > 3500 && ttl <= 3600);
}

TEST(a_server_that_accepts_but_never_speaks_is_given_up_in_time)
{
    NEED_SERVER(NULL);
    config.connect_timeout_ms = 300;
    redis_server_freeze(&server, true);
    uint64_t start_ms = mpq_clock_monotonic_ms();
    mpq_broker *p = handle();
    CHECK(p->ops->ping(p, &error) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_TIMEOUT);
    CHECK(mpq_clock_monotonic_ms() - start_ms < 1500);
    redis_server_freeze(&server, false);
    CHECK(p->ops->ping(p, &error) == 0);
}

TEST(nothing_acknowledged_is_lost_when_the_server_is_killed)
{
    NEED_SERVER("appendonly yes\nappendfsync always\n");
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 6; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 3), 3);
    redis_server_freeze(&server, true);
    mpq_settle done = {.kind = MPQ_SETTLE_DONE, .id = id_of(1)};
    mpq_exchange exchange = {.settles = &done, .settle_count = 1, .want = 1};
    CHECK(a->ops->send(a, &exchange, &error) == 0);
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    redis_server_kill(&server);
    CHECK_INT(receive(a), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(has_text(": exchange: connection lost"));
    CHECK(send_wanting(a, 1) == -1);
    CHECK(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(push(p, 7) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    redis_server_restart(&server);
    CHECK(push(p, 7) == 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 3);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(take(a, 9), 4);
    CHECK_INT(number_at(0), 4);
    CHECK_INT(number_at(3), 7);
}

TEST(a_killed_connection_is_resumed_with_what_was_reserved_unheard)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(push(p, i) == 0);
    CHECK(send_wanting(a, 2) == 0);
    wait_until("LLEN mpq:{q}:ready", 1);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    redis_command_int(&server, "CLIENT KILL TYPE pubsub");
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 2);
    CHECK_INT(settle(a, MPQ_SETTLE_RETURN, 2), 0);
    CHECK_INT(settle(a, MPQ_SETTLE_RETURN, 1), 0);
    CHECK_INT(take(a, 9), 3);
    CHECK_INT(number_at(0), 1);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    CHECK(send_wanting(a, 1) == -1 || receive(a) == -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK(push(p, 4) == 0); /* a dead kept connection goes unnoticed */
}

TEST(a_waiting_connection_that_dies_is_reported)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS);
    CHECK_INT(take(a, 1), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    redis_command_int(&server, "CLIENT KILL TYPE normal");
    CHECK_INT(collect(a, 2000), -1);
    CHECK_INT(error.kind, MPQ_ERROR_CONNECT);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(handle(), 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
}

TEST(forgotten_scripts_are_loaded_again)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 5; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 1), 1);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    mpq_settle done = {.kind = MPQ_SETTLE_DONE, .id = id_of(1)};
    mpq_exchange first = {.settles = &done, .settle_count = 1, .want = 1};
    CHECK(a->ops->send(a, &first, &error) == 0);
    CHECK(send_wanting(a, 2) == 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(number_at(0), 2);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 2);
    CHECK_INT(number_at(0), 3);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK(push(p, 6) == 0);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    mpq_counts counts;
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.pushed, 6);
    CHECK_INT(counts.ready, 2);
    CHECK_INT(counts.running, 3);
    CHECK_INT(counts.done, 1);
}

/* The second of two was answered while the first has to be sent again: the order of answers stays. */
TEST(answers_keep_their_order_when_only_the_first_met_a_forgotten_script)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(push(p, i) == 0);
    freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
    CHECK(send_wanting(a, 1) == 0);
    usleep(50000);
    CHECK_INT(take(b, 1), 1); /* loads it */
    CHECK(send_wanting(a, 2) == 0);
    usleep(50000);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 2);
}

/* -- leases and stages ------------------------------------------------------------------------------------------ */

TEST(a_delivered_job_can_be_settled_by_the_next_exchange)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.running, 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.running, 0);
    CHECK_INT(counts.done, 1);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
}

TEST(a_delivered_job_is_held_once_it_is_claimed)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:stage:a:1:1"), 1);
    CHECK_INT(a->ops->wait_claim(a, &error), 0);
    wait_until("HLEN mpq:{q}:run:a:1", 2);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK(batch.lost);
}

TEST(many_jobs_may_be_delivered_without_an_exchange)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    for (uint32_t i = 1; i <= 20; i++) {
        CHECK(push(p, i) == 0);
        CHECK(a->ops->wait_arm(a, &error) == 0);
        if (i == 10)
            freeReplyObject(redis_command(&server, "SCRIPT FLUSH"));
        CHECK_INT(collect(a, 2000), 0);
        CHECK_INT(batch.count, 1);
        CHECK_INT(number_at(0), i);
        CHECK_INT(i % 3 ? a->ops->wait_claim(a, &error) : 0, 0);
    }
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    mpq_settle done[2] = {{.kind = MPQ_SETTLE_DONE, .id = id_of(1)}, {.kind = MPQ_SETTLE_DONE, .id = id_of(20)}};
    mpq_exchange exchange = {.settles = done, .settle_count = 2};
    CHECK(a->ops->send(a, &exchange, &error) == 0);
    CHECK(send_wanting(a, 1) == 0);
    CHECK(send_wanting(a, 1) == -1); /* two at most */
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 18);
}

TEST(a_job_delivered_while_exchanges_are_under_way_is_claimed)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(send_wanting(a, 0) == 0);
    CHECK(send_wanting(a, 0) == 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(a->ops->wait_claim(a, &error), 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(receive(a), 0);
    CHECK_INT(a->ops->receive(a, &batch, &error), 1);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 1), 0);
    CHECK_INT(batch.refused, 0);
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 0);
}

TEST(a_delivered_job_comes_before_those_of_a_later_exchange)
{
    NEED_SERVER(NULL);
    size_t held = 0;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(push(p, i) == 0);
    CHECK_INT(take(a, 2), 3);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_INT(number_at(i - 1), i);
    CHECK(push(p, 4) == 0); /* still armed */
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(number_at(0), 4);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 4), 0); /* and the claim before it */
    CHECK_INT(attach(a, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    CHECK_INT(held, 3);
}

/* Whoever gets it with an answer may run it at once, and be killed by it. */
TEST(a_job_delivered_with_an_answer_is_held)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(a, 1), 1);
    wait_until("HLEN mpq:{q}:run:a:1", 2);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 0);
}

TEST(a_job_reserved_before_one_that_is_delivered_comes_first)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(push(p, 1) == 0);
    CHECK(send_wanting(a, 5) == 0); /* and its answer is slow */
    usleep(50000);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK(push(p, 2) == 0);
    usleep(50000);
    CHECK_INT(a->ops->wait_collect(a, &batch, &error), 1);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
    CHECK_INT(number_at(0), 2);
}

TEST(a_job_that_came_while_the_node_was_frozen_is_not_given_out)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 200), *b = consumer("b:1", LEASE_MS);
    CHECK_INT(take(a, 1), 0);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    usleep(300000);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 0);
    CHECK_STR(batch.from, "a:1");
    CHECK_INT(batch.count, 0);
    CHECK_INT(take(b, 9), 1);
    CHECK_INT(take(a, 9), 0);
    CHECK(batch.lost);
}

TEST(a_late_job_comes_back_when_nobody_took_the_lease)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 200);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK(push(p, 1) == 0);
    CHECK(push(p, 2) == 0);
    usleep(300000);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 0);
    CHECK_INT(take(a, 9), 2);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(number_at(1), 2);
    CHECK_INT(redis_command_int(&server, "EXISTS mpq:{q}:stage:a:1:1"), 0);
}

TEST(a_blocked_request_of_a_retired_owner_loses_no_job)
{
    NEED_SERVER(NULL);
    mpq_counts counts;
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK_INT(b->ops->adopt(b, "a:1", &batch, &error), 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:stage:a:1:1"), 1);
    CHECK(p->ops->counts(p, "q", &counts, &error) == 0);
    CHECK_INT(counts.ready, 1);
    CHECK_INT(take(b, 9), 0);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(take(b, 9), 1);
    CHECK_INT(take(a, 1), 0);
    CHECK(batch.lost);
}

TEST(a_blocked_request_of_an_earlier_connection_loses_no_job)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *again = handle();
    CHECK(a->ops->wait_arm(a, &error) == 0);
    usleep(50000);
    CHECK_INT(attach(again, "a:1", LEASE_MS, MPQ_ATTACH_RESUME, NULL), 0);
    CHECK(push(p, 1) == 0);
    CHECK_INT(take(again, 9), 0);
    CHECK_INT(again->ops->adopt(again, NULL, &batch, &error), 1);
    CHECK_INT(take(again, 9), 1);
}

/* The connection broke with the claim of a delivered job still on its way: it runs here, so nobody else may have it. */
TEST(resuming_claims_what_was_given_out)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    for (uint32_t i = 1; i <= 4; i++)
        CHECK(push(p, i) == 0);
    for (int i = 0; i < 3; i++)
        freeReplyObject(redis_command(&server, "LMOVE mpq:{q}:ready mpq:{q}:stage:a:1:1 LEFT RIGHT"));
    mpq_buf ids = {0};
    mpq_id given = id_of(2);
    mpq_buf_append(&ids, given.bytes, MPQ_ID_BYTES);
    CHECK_INT(a->ops->attach(a, "q", "a:1", LEASE_MS, MPQ_ATTACH_RESUME, &ids, &error), 0);
    CHECK_INT(ids.len, MPQ_ID_BYTES);
    CHECK(memcmp(ids.data, given.bytes, MPQ_ID_BYTES) == 0);
    mpq_buf_fini(&ids);
    CHECK_INT(take(b, 9), 3);
    CHECK_INT(number_at(0), 1);
    CHECK_INT(number_at(1), 3);
    CHECK_INT(number_at(2), 4);
    CHECK_INT(settle(a, MPQ_SETTLE_DONE, 2), 0);
    CHECK_INT(batch.refused, 0);
}

TEST(stages_are_forgotten_an_hour_after_retirement)
{
    NEED_SERVER(NULL);
    mpq_broker *a = consumer("a:1", LEASE_MS), *b = consumer("b:1", LEASE_MS);
    CHECK(a->ops->detach(a, &error) == 0);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 1);
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 1);
    freeReplyObject(redis_command(&server, "ZINCRBY mpq:{q}:retired -3600001 a:1:1"));
    freeReplyObject(redis_command(&server, "RPUSH mpq:{q}:stage:a:1:1 late"));
    CHECK_INT(b->ops->adopt(b, NULL, &batch, &error), 1);
    CHECK_INT(redis_command_int(&server, "ZCARD mpq:{q}:retired"), 0);
    CHECK_INT(redis_command_int(&server, "LLEN mpq:{q}:ready"), 1);
}

TEST(a_due_time_announced_during_an_exchange_wakes_who_arms_later)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", LEASE_MS);
    CHECK(send_wanting(a, 1) == 0);
    CHECK(p->ops->ping(p, &error) == 0);
    usleep(50000); /* answered now, but not received */
    CHECK(push_bytes(p, 1, envelope(1, mpq_slice_of("x", 1)), 20000) == 0);
    usleep(50000);
    CHECK_INT(receive(a), 0);
    CHECK_INT(batch.next_due_us, -1);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(take(a, 1), 0);
    CHECK(batch.next_due_us > 10000000);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    CHECK_INT(collect(a, 150), 1);
}

TEST(a_wait_outlasts_the_blocking_time_of_one_request)
{
    NEED_SERVER(NULL);
    mpq_broker *p = handle(), *a = consumer("a:1", 300);
    CHECK(a->ops->wait_arm(a, &error) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(collect(a, 150), 1);
        CHECK_INT(take(a, 0), 0);
    }
    CHECK(push(p, 1) == 0);
    CHECK_INT(collect(a, 2000), 0);
    CHECK_INT(batch.count, 1);
}
