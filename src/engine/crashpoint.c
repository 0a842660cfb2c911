#include "crashpoint.h"

#ifdef MPQ_CRASH_POINTS

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "clock.h"

/* The linker's names for the ends of the section. */
extern const mpq_crash_site __start_mpq_crash_sites[] __attribute__((weak));
extern const mpq_crash_site __stop_mpq_crash_sites[] __attribute__((weak));

/* A point has to work anywhere, without a parameter: this is the one place for that, and it is never in a product. */
static struct {
    mpq_crash_plan *plan;
    mpq_crash_fn call;
    void *arg;
    uint32_t role;
} follow;

void mpq_crash_use(mpq_crash_plan *plan, mpq_crash_fn call, void *arg)
{
    follow.plan = plan;
    follow.call = call;
    follow.arg = arg;
}

void mpq_crash_be(uint32_t role)
{
    follow.role = role;
}

void mpq_crash_arm(mpq_crash_plan *plan, uint32_t site, uint32_t role, enum mpq_crash_action action, uint32_t nth)
{
    plan->site = site;
    plan->role = role;
    plan->action = action;
    plan->nth = nth;
    atomic_store(&plan->armed, 1);
}

size_t mpq_crash_point_count(void)
{
    return (size_t)(__stop_mpq_crash_sites - __start_mpq_crash_sites);
}

const char *mpq_crash_point_name(size_t site)
{
    return __start_mpq_crash_sites[site].name;
}

static void strike(mpq_crash_plan *plan)
{
    atomic_store(&plan->at_ms, mpq_clock_monotonic_ms());
    atomic_store(&plan->victim, (int32_t)getpid());
    if (plan->action == MPQ_CRASH_CALL && follow.call)
        follow.call(follow.arg);
    else if (plan->action == MPQ_CRASH_STOP)
        kill(getpid(), SIGSTOP);
    else if (plan->action == MPQ_CRASH_KILL)
        kill(getpid(), SIGKILL);
    atomic_store(&plan->returned, 1);
}

void mpq_crash_pass(const mpq_crash_site *site)
{
    mpq_crash_plan *plan = follow.plan;
    uint32_t number = (uint32_t)(site - __start_mpq_crash_sites);
    if (!plan || number >= MPQ_CRASH_POINTS_MAX || follow.role >= MPQ_CRASH_ROLES_MAX)
        return;
    int saved = errno;
    atomic_fetch_add(&plan->hits[follow.role][number], 1);
    if (atomic_load(&plan->armed) && plan->site == number && plan->role == follow.role &&
        atomic_fetch_add(&plan->passed, 1) + 1 == plan->nth)
        strike(plan);
    errno = saved;
}

#else
typedef int mpq_crash_points_are_off; /* an empty file is not C */
#endif
