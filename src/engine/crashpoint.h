/*
 * Named moments at which a test can kill or freeze the process that passes them, or do something to its surroundings.
 * Compiled in with MPQ_CRASH_POINTS only, which no build of the extension defines.
 *
 *   MPQ_CRASH_POINT("dispatcher.send.before");
 *
 * stands between two steps that a reader of the shared memory or of the store could tell apart. The part of the name
 * before the first dot is where it belongs; names are unique. Points are found by the linker, so that a test knows all
 * of them without a list.
 */
#ifndef MPQ_CRASHPOINT_H
#define MPQ_CRASHPOINT_H

#ifdef MPQ_CRASH_POINTS

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MPQ_CRASH_POINTS_MAX 256
#define MPQ_CRASH_ROLES_MAX 8

/* Nothing but bytes: no relocation gets in the way of an array made by the linker. */
typedef struct mpq_crash_site {
    char name[64];
} mpq_crash_site;

enum mpq_crash_action {
    MPQ_CRASH_KILL, /* SIGKILL for itself */
    MPQ_CRASH_STOP, /* SIGSTOP for itself: somebody else lets it go on */
    MPQ_CRASH_CALL  /* the function given to mpq_crash_use */
};

/* In shared memory, zero-filled, so that it can be armed after the processes were forked. Strikes once. */
typedef struct mpq_crash_plan {
    uint32_t site;
    uint32_t role; /* of the process, see mpq_crash_be */
    uint32_t action;
    uint32_t nth;              /* the first time is 1 */
    _Atomic uint32_t armed;    /* written last */
    _Atomic uint32_t passed;   /* how often the site was passed by that role since */
    _Atomic int32_t victim;    /* who was struck; 0 = nobody yet */
    _Atomic uint64_t at_ms;    /* when, monotonic */
    _Atomic uint32_t returned; /* CALL: it is done; STOP: the process goes on */
    _Atomic uint32_t hits[MPQ_CRASH_ROLES_MAX][MPQ_CRASH_POINTS_MAX];
} mpq_crash_plan;

typedef void (*mpq_crash_fn)(void *arg);

/* From now on this process, and those it forks, follow the plan; NULL = none. */
void mpq_crash_use(mpq_crash_plan *plan, mpq_crash_fn call, void *arg);
/* The role of this process, a number that the test chooses. */
void mpq_crash_be(uint32_t role);
void mpq_crash_arm(mpq_crash_plan *plan, uint32_t site, uint32_t role, enum mpq_crash_action action, uint32_t nth);

size_t mpq_crash_point_count(void);
const char *mpq_crash_point_name(size_t site);

/* Only for the macro. */
void mpq_crash_pass(const mpq_crash_site *site);

#define MPQ_CRASH_POINT(text)                                                                                          \
    do {                                                                                                               \
        static const mpq_crash_site crash_site_ __attribute__((section("mpq_crash_sites"), used)) = {text};            \
        mpq_crash_pass(&crash_site_);                                                                                  \
    } while (0)

#else
#define MPQ_CRASH_POINT(text) ((void)0)
#endif

#endif
