#include "prefetch.h"
#include "test.h"

TEST(prefetch_gives_each_idle_worker_one_job_before_anything_is_measured)
{
    mpq_prefetch prefetch = {0};
    CHECK_INT(mpq_prefetch_target(&prefetch, 4, 3, 0), 3);
    CHECK_INT(mpq_prefetch_target(&prefetch, 4, 0, 0), 0);
    CHECK_INT(mpq_prefetch_target(&prefetch, 0, 0, 0), 0);
}

TEST(prefetch_of_tiny_jobs_is_the_largest_batch)
{
    mpq_prefetch prefetch = {0};
    mpq_prefetch_measure(&prefetch, 1);
    CHECK_INT(mpq_prefetch_target(&prefetch, 2, 0, 0), MPQ_PREFETCH_MAX);
}

TEST(prefetch_of_long_jobs_is_only_what_idle_workers_can_take)
{
    mpq_prefetch prefetch = {0};
    mpq_prefetch_measure(&prefetch, 2000000);
    CHECK_INT(mpq_prefetch_target(&prefetch, 4, 2, 0), 2);
}

TEST(prefetch_covers_the_window)
{
    mpq_prefetch prefetch = {0};
    mpq_prefetch_measure(&prefetch, 10000);
    CHECK_INT(mpq_prefetch_target(&prefetch, 4, 0, 0), 4 * MPQ_PREFETCH_WINDOW_US / 10001);
}

TEST(prefetch_trusts_the_present_more_than_the_past)
{
    mpq_prefetch prefetch = {0};
    for (int i = 0; i < 1000; i++)
        mpq_prefetch_measure(&prefetch, 5);
    CHECK_INT(mpq_prefetch_target(&prefetch, 2, 0, 1000000), 0);
    CHECK_INT(mpq_prefetch_target(&prefetch, 2, 0, 0), MPQ_PREFETCH_MAX);
}

TEST(prefetch_shrinks_at_once_and_grows_slowly)
{
    mpq_prefetch prefetch = {0};
    mpq_prefetch_measure(&prefetch, 10);
    mpq_prefetch_measure(&prefetch, 1000000);
    CHECK(mpq_prefetch_target(&prefetch, 2, 0, 0) == 0);
    mpq_prefetch_measure(&prefetch, 10);
    CHECK(mpq_prefetch_target(&prefetch, 2, 0, 0) == 0);
    for (int i = 0; i < 400; i++)
        mpq_prefetch_measure(&prefetch, 10);
    CHECK_INT(mpq_prefetch_target(&prefetch, 2, 0, 0), MPQ_PREFETCH_MAX);
}
