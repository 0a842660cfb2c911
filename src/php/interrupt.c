#include "interrupt.h"
#include "../../php_mpqueue.h"

#include <signal.h>

#include "zend_exceptions.h"

static void (*previous_hook)(zend_execute_data *execute_data);

static volatile sig_atomic_t armed;
static volatile sig_atomic_t raised;
static bool thrown;
static const char *armed_subject;
static uint32_t armed_limit_ms;

void mpqueue_interrupt_describe(const char *subject, uint32_t limit_ms, char *out, size_t size)
{
    int digits = limit_ms % 1000 == 0 ? 0 : limit_ms % 100 == 0 ? 1 : limit_ms % 10 == 0 ? 2 : 3;
    snprintf(out, size, "%s exceeded its time limit of %.*f s", subject, digits, limit_ms / 1000.0);
}

static void throw_timeout(void)
{
    char message[128];

    raised = 0;
    thrown = true;
    mpqueue_interrupt_describe(armed_subject, armed_limit_ms, message, sizeof message);
    zend_throw_exception(mpqueue_ce_TimeoutException, message, 0);
}

/* The previous hook goes first: pcntl's runs the user's signal handlers, which would be skipped once an exception is
 * under way. */
static void on_interrupt(zend_execute_data *execute_data)
{
    if (previous_hook) {
        previous_hook(execute_data);
    }
    if (!raised || !armed) {
        return;
    }
    if (EG(exception)) {
        zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
        return;
    }
    throw_timeout();
}

void mpqueue_interrupt_minit(void)
{
    previous_hook = zend_interrupt_function;
    zend_interrupt_function = on_interrupt;
}

void mpqueue_interrupt_mshutdown(void)
{
    if (zend_interrupt_function == on_interrupt) {
        zend_interrupt_function = previous_hook;
    }
}

void mpqueue_interrupt_arm(const char *subject, uint32_t limit_ms)
{
    raised = 0;
    thrown = false;
    armed_subject = subject;
    armed_limit_ms = limit_ms;
    armed = 1;
}

bool mpqueue_interrupt_disarm(void)
{
    armed = 0;
    raised = 0;
    return thrown;
}

void mpqueue_interrupt_raise(void)
{
    if (armed) {
        raised = 1;
        zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
    }
}
