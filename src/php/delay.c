#include "delay.h"

#include "../../php_mpqueue.h"

#include "ext/date/php_date.h"
#include "zend_exceptions.h"
#include "zend_interfaces.h"

#define DELAY_MAX_SECONDS (10.0 * 366 * 86400)

/* Seconds since 1970 with fractions, kept to the microsecond. -1: the object was never constructed. */
static int seconds_of(zend_object *date, double *out)
{
    const timelib_time *time = php_date_obj_from_obj(date)->time;
    if (!time) {
        zend_throw_error(NULL, "The %s object has not been correctly initialized by its constructor",
                         ZSTR_VAL(date->ce->name));
        return -1;
    }
    *out = (double)time->sse + (double)time->us / 1e6;
    return 0;
}

/* A point in time; one in the past is now. */
static int from_date(zend_object *date, double *out)
{
    double then;
    if (seconds_of(date, &then) < 0) {
        return -1;
    }
    double seconds = then - (double)mpq_clock_wall_ms() / 1000.0;
    *out = seconds > 0 ? seconds : 0;
    return 0;
}

/* How long a month is depends on the day: PHP's own calendar adds the interval to now. */
static int from_interval(zval *interval, double *out)
{
    zval now, then;
    double now_seconds, then_seconds;
    php_date_instantiate(php_date_get_immutable_ce(), &now);
    if (!php_date_initialize(Z_PHPDATE_P(&now), ZEND_STRL("now"), NULL, NULL, 0)) {
        zval_ptr_dtor(&now);
        return -1;
    }
    zend_call_method_with_1_params(Z_OBJ(now), NULL, NULL, "add", &then, interval);
    int result = -1;
    if (!EG(exception) && Z_TYPE(then) == IS_OBJECT && seconds_of(Z_OBJ(now), &now_seconds) == 0 &&
        seconds_of(Z_OBJ(then), &then_seconds) == 0) {
        *out = then_seconds - now_seconds;
        result = 0;
    }
    zval_ptr_dtor(&then);
    zval_ptr_dtor(&now);
    return result;
}

static int from_number(zval *delay, uint32_t arg_num, double *out)
{
    zval number;
    zval *parsed = &number;
    ZVAL_COPY_VALUE(&number, delay);
    if (!zend_parse_arg_number(delay, &parsed, false, arg_num)) {
        if (!EG(exception)) {
            zend_argument_type_error(arg_num, "must be of type DateTimeInterface|DateInterval|int|float, %s given",
                                     zend_zval_type_name(delay));
        }
        return -1;
    }
    *out = Z_TYPE_P(parsed) == IS_LONG ? (double)Z_LVAL_P(parsed) : Z_DVAL_P(parsed);
    return 0;
}

static int to_seconds(zval *delay, uint32_t arg_num, double *out)
{
    ZVAL_DEREF(delay);
    if (Z_TYPE_P(delay) != IS_OBJECT) {
        return from_number(delay, arg_num, out);
    }
    if (instanceof_function(Z_OBJCE_P(delay), php_date_get_interface_ce())) {
        return from_date(Z_OBJ_P(delay), out);
    }
    if (instanceof_function(Z_OBJCE_P(delay), php_date_get_interval_ce())) {
        return from_interval(delay, out);
    }
    zend_argument_type_error(arg_num, "must be of type DateTimeInterface|DateInterval|int|float, %s given",
                             ZSTR_VAL(Z_OBJCE_P(delay)->name));
    return -1;
}

int mpqueue_delay_to_ms(zval *delay, uint32_t arg_num, uint64_t *out_ms)
{
    double seconds;
    if (to_seconds(delay, arg_num, &seconds) < 0) {
        return -1;
    }
    if (!zend_finite(seconds) || seconds < 0 || seconds > DELAY_MAX_SECONDS) {
        zval shown;
        ZVAL_DOUBLE(&shown, seconds);
        zend_string *text = mpqueue_zval_shown(&shown);
        zend_argument_value_error(arg_num, "must be 0 seconds to ten years from now, %s seconds given", ZSTR_VAL(text));
        zend_string_release(text);
        return -1;
    }
    *out_ms = (uint64_t)(seconds * 1000.0 + 0.5);
    return 0;
}
