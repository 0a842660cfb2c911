#include "signals.h"

/* Everything whose disposition the manager's loop or save() changes. */
static const int changed[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE};
static const int without_effect[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
#define CHANGED_COUNT (sizeof changed / sizeof *changed)

static void no_effect(int number)
{
    (void)number;
}

static void set_no_effect(int number)
{
    struct sigaction action = {.sa_handler = no_effect, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* The mask of the start, except that nobody may have blocked what the service has to hear. */
static void let_through(const mpq_process *self)
{
    sigset_t mask = self->mask;
    for (size_t i = 0; i < CHANGED_COUNT; i++)
        sigdelset(&mask, changed[i]);
    sigdelset(&mask, MPQ_SIGNAL_INTERRUPT);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

void mpq_signals_save(mpq_process *self)
{
    sigprocmask(SIG_SETMASK, NULL, &self->mask);
    for (size_t i = 0; i < CHANGED_COUNT; i++)
        sigaction(changed[i], NULL, &self->dispositions[changed[i]]);
    set_no_effect(SIGUSR1);
    set_no_effect(SIGPIPE);
    let_through(self);
}

bool mpq_signals_was_ignored(const mpq_process *self, int number)
{
    const struct sigaction *action = &self->dispositions[number];
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
}

void mpq_signals_restore(const mpq_process *self)
{
    for (size_t i = 0; i < CHANGED_COUNT; i++) {
        signal(changed[i], SIG_IGN); /* discards what has come too late to matter */
        sigaction(changed[i], &self->dispositions[changed[i]], NULL);
    }
    sigprocmask(SIG_SETMASK, &self->mask, NULL);
}

void mpq_signals_block_all(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

void mpq_signals_enter_child(const mpq_process *self)
{
    for (size_t i = 0; i < CHANGED_COUNT; i++)
        sigaction(changed[i], &self->dispositions[changed[i]], NULL);
    /* An inherited SIG_IGN would make waitpid in user code lose its children. */
    signal(SIGCHLD, SIG_DFL);
    for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++)
        set_no_effect(without_effect[i]);
    set_no_effect(MPQ_SIGNAL_INTERRUPT); /* until the worker takes it: its default is death */
    let_through(self);
}
