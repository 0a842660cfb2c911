/* Owners: leases, taking over, fencing, resuming, handing back. */
#include "contract.h"

CASE(jobs_of_an_owner_are_its_own_while_its_lease_runs)
{
    push_range(producer(), "q", 1, 3);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(take(b, 9), "3");
    CHECK_STR(settle(a, done(1)), "");
    CHECK_STR(counts("q"), "pushed 3, ready 0, delayed 0, running 2, failed 0, done 1");
}

CASE(an_ended_lease_lets_others_take_over)
{
    push_range(producer(), "q", 1, 3);
    mpq_broker *a = consumer("q", "a:1", 100), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    pause_ms(250);
    CHECK_STR(adopt(b, NULL), "a:1: 1 2");
    CHECK_STR(mpq_batch_envelope(&answer, 0).len == envelope_of(1).len ? "whole" : "cut", "whole");
    CHECK_STR(counts("q"), "pushed 3, ready 1, delayed 0, running 2, failed 0, done 0");
    mpq_settle both[] = {done(1), retry(2, 1, 0)};
    CHECK_STR(settle_all_of(b, "a:1", both, 2), "");
    CHECK_STR(take(b, 9), "2 3");
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 1);
    CHECK_STR(counts("q"), "pushed 3, ready 0, delayed 0, running 2, failed 0, done 1");
}

CASE(a_take_over_that_is_broken_off_is_begun_again)
{
    push_range(producer(), "q", 1, 3);
    mpq_broker *a = consumer("q", "a:1", 100), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 3), "1 2 3");
    pause_ms(250);
    CHECK_STR(adopt(b, NULL), "a:1: 1 2 3");
    CHECK_STR(settle_of(b, "a:1", give_back(2)), "");
    char *held = text_new();
    mpq_broker *again = resumed("q", "b:1", held);
    CHECK(again != NULL);
    CHECK_STR(held, "");
    CHECK_STR(adopt(again, NULL), "a:1: 1 3");
    CHECK_STR(adopt(again, "a:1"), "a:1: 1 3");
    CHECK(detach(again) == 0);
    mpq_broker *c = consumer("q", "c:1", LONG_LEASE_MS);
    CHECK_STR(adopt(c, NULL), "a:1: 1 3");
    CHECK_INT(finish_answer_of(c, "a:1"), 0);
    CHECK_STR(adopt(c, NULL), "nobody");
    CHECK_STR(counts("q"), "pushed 3, ready 1, delayed 0, running 0, failed 0, done 2");
}

CASE(what_two_take_over_is_settled_once)
{
    push_range(producer(), "q", 1, 5);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    mpq_broker *c = consumer("q", "c:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 5), "1 2 3 4 5");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1 2 3 4 5");
    CHECK_STR(adopt(c, "a:1"), "a:1: 1 2 3 4 5");
    mpq_settle first[] = {done(1), retry(2, 1, 0), retry(3, 1, 60000), failed(4), give_back(5)};
    mpq_settle second[] = {retry(1, 1, 0), failed(2), give_back(3), done(4), retry(5, 1, 0)};
    CHECK_STR(settle_all_of(b, "a:1", first, 5), "");
    CHECK_STR(settle_all_of(c, "a:1", second, 5), "refused 5");
    CHECK_STR(counts("q"), "pushed 5, ready 2, delayed 1, running 0, failed 1, done 1");
    CHECK_STR(take(c, 9), "2 5");
    CHECK_STR(settle_all_of(b, "a:1", second, 5), "refused 5");
    CHECK_STR(counts("q"), "pushed 5, ready 0, delayed 1, running 2, failed 1, done 1");
}

/* Whoever names it may know which of its jobs were running; whoever only sees that a lease has ended does not. */
CASE(who_is_retired_by_name_is_hidden_from_others_until_its_lease_ends)
{
    push_range(producer(), "q", 1, 2);
    mpq_broker *a = consumer("q", "a:1", 600), *b = consumer("q", "b:1", LONG_LEASE_MS);
    mpq_broker *c = consumer("q", "c:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1 2");
    CHECK_STR(adopt(c, NULL), "nobody");
    CHECK_STR(settle_of(b, "a:1", give_back(1)), "");
    CHECK_STR(adopt(c, NULL), "nobody");
    CHECK(renew(c, "a:1") == 0);
    pause_ms(700);
    CHECK_STR(adopt(c, NULL), "a:1: 2");
    CHECK(renew(b, "a:1") == 0);
    CHECK_STR(adopt(b, NULL), "a:1: 2");
    CHECK_STR(settle_of(c, "a:1", done(2)), "");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(adopt(b, "a:1"), "nobody");
    CHECK_STR(counts("q"), "pushed 2, ready 1, delayed 0, running 0, failed 0, done 1");
}

CASE(nobody_settles_for_an_owner_that_is_not_retired)
{
    push_range(producer(), "q", 1, 5);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 5), "1 2 3 4 5");
    mpq_settle all[] = {done(1), retry(2, 1, 0), retry(3, 1, 200), failed(4), give_back(5)};
    CHECK_STR(settle_all_of(b, "a:1", all, 5), "refused 5");
    CHECK_STR(settle_all_of(b, "never seen", all, 5), "refused 5");
    CHECK_STR(counts("q"), "pushed 5, ready 0, delayed 0, running 5, failed 0, done 0");
    CHECK_STR(settle_all_of(a, NULL, all, 5), "");
    CHECK_STR(counts("q"), "pushed 5, ready 2, delayed 1, running 0, failed 1, done 1");
}

CASE(an_ended_lease_nobody_took_is_extended_by_the_next_exchange)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 800), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(900);
    CHECK_STR(take(a, 1), "");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(settle(a, done(1)), "");
}

CASE(an_exchange_extends_the_lease)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 1500), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(900);
    CHECK_STR(take(a, 0), "");
    pause_ms(900);
    CHECK_STR(adopt(b, NULL), "nobody");
}

CASE(a_renewal_by_another_handle_extends_the_lease)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 150), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    CHECK(renew(b, "a:1") == 0);
    pause_ms(300);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(settle(a, done(1)), "");
}

CASE(a_renewal_does_not_revive_who_was_retired)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 60), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(150);
    CHECK_STR(adopt(b, NULL), "a:1: 1");
    CHECK(renew(b, "a:1") == 0);
    CHECK(renew(b, "nobody") == 0);
    CHECK_STR(refused_as_lost(take(a, 1)), "lost");
}

CASE(a_dead_owner_is_taken_over_whatever_its_lease)
{
    push_range(producer(), "q", 1, 4);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 3), "1 2 3");
    CHECK_STR(adopt(b, "a:2"), "nobody");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1 2 3");
    CHECK_STR(settle_of(b, "a:1", done(2)), "");
    CHECK_STR(counts("q"), "pushed 4, ready 1, delayed 0, running 2, failed 0, done 1");
    mpq_settle rest[] = {give_back(1), give_back(3)};
    CHECK_STR(settle_all_of(b, "a:1", rest, 2), "");
    CHECK_STR(adopt(b, "a:1"), "nobody");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(counts("q"), "pushed 4, ready 3, delayed 0, running 0, failed 0, done 1");
    CHECK_STR(take(b, 9), "1 3 4");
}

CASE(a_stale_owner_can_change_nothing)
{
    push_range(producer(), "q", 1, 6);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 5), "1 2 3 4 5");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1 2 3 4 5");
    static const char before[] = "pushed 6, ready 1, delayed 0, running 5, failed 0, done 0";
    CHECK_STR(refused_as_lost(settle(a, done(1))), "lost");
    CHECK_STR(refused_as_lost(settle(a, retry(2, 1, 0))), "lost");
    CHECK_STR(refused_as_lost(settle(a, retry(3, 1, 200))), "lost");
    CHECK_STR(refused_as_lost(settle(a, failed(4))), "lost");
    CHECK_STR(refused_as_lost(settle(a, give_back(5))), "lost");
    CHECK_STR(refused_as_lost(take(a, 9)), "lost");
    CHECK_STR(counts("q"), before);
    CHECK_STR(failed_records(b, "q", 0), "");
    CHECK(detach(a) == 0);
    CHECK_STR(counts("q"), before);
    CHECK_STR(settle_of(b, "a:1", done(1)), "");
    CHECK_STR(take(b, 9), "6");
    CHECK(attach(a, "q", "a:2", LONG_LEASE_MS, MPQ_ATTACH_FRESH, NULL) == 0);
    CHECK_STR(settle(a, retry(2, 1, 0)), "refused 1");
    CHECK_STR(take(a, 9), "");
}

CASE(a_stale_owner_is_told_with_the_flag)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1");
    CHECK_STR(settle(a, done(1)), "lost");
    CHECK(answer.lost);
    CHECK_INT(answer.count, 0);
}

CASE(many_jobs_are_taken_over_in_chunks)
{
    push_range(producer(), "q", 1, 300);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    take(a, 200);
    take(a, 50);
    bool seen[251] = {false};
    size_t total = 0, rounds = 0;
    while (strcmp(adopt(b, "a:1"), "nobody") != 0) {
        CHECK_STR(answer.from, "a:1");
        CHECK(answer.count <= MPQ_ADOPT_MAX);
        CHECK(++rounds < 10);
        for (size_t i = 0; i < answer.count; i++, total++) {
            uint64_t number = number_of(mpq_batch_envelope(&answer, i));
            CHECK(number >= 1 && number <= 250 && !seen[number]);
            seen[number] = true;
        }
        CHECK_INT(finish_answer_of(b, "a:1"), 0);
        CHECK_STR(refused_as_lost(settle(a, done(250))), "lost");
    }
    CHECK_INT(total, 250);
    CHECK_STR(counts("q"), "pushed 300, ready 50, delayed 0, running 0, failed 0, done 250");
}

CASE(what_one_owner_began_to_take_over_another_can_finish)
{
    push_range(producer(), "q", 1, 150);
    mpq_broker *a = consumer("q", "a:1", 300), *b = consumer("q", "b:1", LONG_LEASE_MS);
    mpq_broker *c = consumer("q", "c:1", LONG_LEASE_MS);
    take(a, 150);
    adopt(b, "a:1");
    CHECK_INT(answer.count, 100);
    CHECK_INT(finish_answer_of(b, "a:1"), 0);
    pause_ms(400);
    for (int i = 0; i < 5 && strcmp(adopt(c, NULL), "nobody") != 0; i++)
        CHECK_INT(finish_answer_of(c, "a:1"), 0);
    CHECK(resumed("q", "a:1", NULL) == NULL);
    CHECK_STR(counts("q"), "pushed 150, ready 0, delayed 0, running 0, failed 0, done 150");
}

CASE(an_owner_that_held_nothing_is_taken_over)
{
    mpq_broker *a = consumer("q", "a:1", 60), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 9), "");
    pause_ms(150);
    CHECK_STR(adopt(b, NULL), "a:1: ");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(refused_as_lost(take(a, 9)), "lost");
}

CASE(nobody_takes_over_itself)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 60);
    CHECK_STR(take(a, 1), "1");
    pause_ms(150);
    CHECK_STR(adopt(a, NULL), "nobody");
    CHECK_STR(settle(a, done(1)), "");
}

/* After an outage of the store everybody's lease has ended. */
CASE(nobody_is_taken_over_by_one_whose_own_lease_has_ended)
{
    push_range(producer(), "q", 1, 2);
    mpq_broker *a = consumer("q", "a:1", 60), *b = consumer("q", "b:1", 60);
    CHECK_STR(take(a, 2), "1 2");
    pause_ms(150);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(settle(a, done(1)), "");
    CHECK(attach(b, "q", "b:2", LONG_LEASE_MS, MPQ_ATTACH_FRESH, NULL) == 0);
    pause_ms(150);
    CHECK_STR(adopt(b, NULL), "b:1: ");
    CHECK_STR(adopt(b, NULL), "a:1: 2");
}

CASE(owners_of_other_queues_are_left_alone)
{
    mpq_broker *p = producer();
    push_range(p, "q", 1, 1);
    push_range(p, "r", 2, 2);
    mpq_broker *a = consumer("q", "a:1", 60), *b = consumer("r", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(150);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(adopt(b, "a:1"), "nobody");
    CHECK_STR(settle(a, done(1)), "");
}

CASE(resuming_lists_what_is_held_and_keeps_it)
{
    push_range(producer(), "q", 1, 5);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 3), "1 2 3");
    CHECK_STR(settle(a, done(2)), "");
    char *held = text_new();
    mpq_broker *again = resumed("q", "a:1", held);
    CHECK(again != NULL);
    CHECK(strcmp(held, "1 3") == 0 || strcmp(held, "3 1") == 0);
    CHECK_STR(settle(again, done(3)), "");
    CHECK_STR(take(again, 1), "4");
    CHECK_STR(counts("q"), "pushed 5, ready 1, delayed 0, running 2, failed 0, done 2");
}

CASE(resuming_fences_the_connection_before)
{
    push_range(producer(), "q", 1, 3);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    mpq_broker *again = resumed("q", "a:1", NULL);
    CHECK(again != NULL);
    CHECK_STR(refused_as_lost(settle(a, done(1))), "lost");
    CHECK_STR(refused_as_lost(take(a, 9)), "lost");
    CHECK_STR(counts("q"), "pushed 3, ready 2, delayed 0, running 1, failed 0, done 0");
    CHECK_STR(settle(again, done(1)), "");
    CHECK_STR(take(again, 9), "2 3");
}

CASE(resuming_on_the_same_handle_drops_answers_of_before)
{
    mpq_error err = {0};
    push_range(producer(), "q", 1, 3);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS);
    mpq_exchange one = {.want = 1};
    CHECK(a->ops->send(a, &one, &err) == 0);
    mpq_buf held = {0};
    CHECK_INT(attach(a, "q", "a:1", LONG_LEASE_MS, MPQ_ATTACH_RESUME, &held), 0);
    size_t ids = held.len / MPQ_ID_BYTES;
    mpq_buf_fini(&held);
    CHECK(ids <= 1);
    CHECK_INT(a->ops->receive(a, &answer, &err), 1);
    CHECK_STR(take(a, 9), ids ? "2 3" : "1 2 3");
}

CASE(resuming_hands_staged_jobs_back)
{
    mpq_broker *p = producer(), *a = consumer("q", "a:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "");
    CHECK(arm(a) == 0);
    push_range(p, "q", 1, 2);
    pause_ms(50);
    char *held = text_new();
    mpq_broker *again = resumed("q", "a:1", held);
    CHECK(again != NULL);
    CHECK_STR(held, "");
    CHECK_STR(take(again, 9), "1 2");
}

CASE(resuming_after_retirement_asks_for_a_new_name)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    CHECK_STR(adopt(b, "a:1"), "a:1: 1");
    CHECK_INT(attach(a, "q", "a:1", LONG_LEASE_MS, MPQ_ATTACH_RESUME, NULL), 1);
    CHECK_INT(attach(a, "q", "never seen", LONG_LEASE_MS, MPQ_ATTACH_RESUME, NULL), 1);
    CHECK_INT(attach(a, "q", "a:2", LONG_LEASE_MS, MPQ_ATTACH_FRESH, NULL), 0);
    CHECK_STR(take(a, 9), "");
    CHECK_STR(settle_of(b, "a:1", done(1)), "");
}

CASE(resuming_renews_a_lease_that_nobody_took)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 60), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(150);
    char *held = text_new();
    CHECK(resumed("q", "a:1", held) != NULL);
    CHECK_STR(held, "1");
    CHECK_STR(adopt(b, NULL), "nobody");
}

CASE(detaching_hands_everything_back_in_order)
{
    push_range(producer(), "q", 1, 6);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 2), "1 2");
    CHECK_STR(take(a, 2), "3 4");
    CHECK_STR(settle(a, done(2)), "");
    CHECK(detach(a) == 0);
    CHECK_STR(counts("q"), "pushed 6, ready 5, delayed 0, running 0, failed 0, done 1");
    CHECK_STR(take(b, 9), "1 3 4 5 6");
    CHECK_INT(failures_of(mpq_batch_envelope(&answer, 0)), 0);
    CHECK(resumed("q", "a:1", NULL) == NULL);
    CHECK_STR(adopt(b, "a:1"), "nobody");
}

CASE(detaching_hands_many_back)
{
    push_range(producer(), "q", 1, 700);
    mpq_broker *a = consumer("q", "a:1", LONG_LEASE_MS), *b = consumer("q", "b:1", LONG_LEASE_MS);
    take(a, 250);
    take(a, 250);
    CHECK(detach(a) == 0);
    for (uint64_t next = 1; next <= 700;) {
        take(b, 256);
        CHECK(answer.count > 0);
        for (size_t i = 0; i < answer.count; i++)
            CHECK_INT(number_of(mpq_batch_envelope(&answer, i)), next++);
    }
}

CASE(a_longest_owner_name_is_told_from_its_neighbour)
{
    char one[MPQ_OWNER_MAX + 1], two[MPQ_OWNER_MAX + 1];
    memset(one, 'o', MPQ_OWNER_MAX);
    one[MPQ_OWNER_MAX] = '\0';
    strcpy(two, one);
    two[MPQ_OWNER_MAX - 1] = 'p';
    push_range(producer(), "q", 1, 2);
    mpq_broker *a = consumer("q", one, LONG_LEASE_MS), *b = consumer("q", two, LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    CHECK_STR(take(b, 1), "2");
    adopt(b, one);
    CHECK_STR(answer.from, one);
    CHECK_STR(render(&answer), "1");
    CHECK_STR(settle_of(b, one, done(1)), "");
}

CASE(a_look_tells_when_the_next_lease_ends)
{
    mpq_broker *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_INT(answer.look_in_ms, -1);
    consumer("q", "c:1", LONG_LEASE_MS);
    consumer("q", "a:1", 400);
    consumer("r", "d:1", 50);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK(answer.look_in_ms > 300 && answer.look_in_ms <= 400);
    pause_ms((unsigned)answer.look_in_ms + 1);
    CHECK_STR(adopt(b, NULL), "a:1: ");
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK(answer.look_in_ms == 500 || answer.look_in_ms > LONG_LEASE_MS / 2); /* 500: a late BLMOVE may be under way */
}

CASE(a_look_renews_the_own_lease)
{
    push_range(producer(), "q", 1, 1);
    mpq_broker *a = consumer("q", "a:1", 600), *b = consumer("q", "b:1", LONG_LEASE_MS);
    CHECK_STR(take(a, 1), "1");
    pause_ms(400);
    CHECK_STR(adopt(a, NULL), "nobody");
    CHECK(!answer.ended);
    pause_ms(400);
    CHECK_STR(adopt(b, NULL), "nobody");
    CHECK_STR(settle(a, done(1)), "");
}

CASE(a_look_renews_no_lease_that_has_ended)
{
    mpq_broker *a = consumer("q", "a:1", 60);
    pause_ms(150);
    CHECK_STR(adopt(a, NULL), "nobody");
    CHECK(answer.ended);
    CHECK_STR(adopt(a, NULL), "nobody");
    CHECK(answer.ended);
    CHECK_STR(take(a, 1), "");
    CHECK_STR(adopt(a, NULL), "nobody");
    CHECK(!answer.ended);
}
