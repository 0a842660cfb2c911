#include "../../php_mpqueue.h"

#include "zend_smart_str.h"

#define SHOWN_MAX_BYTES 60
#define DURATION_MAX_SECONDS 4294967.0 /* 49 days: what 32 bits of milliseconds hold */

static int to_number(const zval *value, double *out)
{
    zend_long integer;
    ZVAL_DEREF(value);
    switch (Z_TYPE_P(value)) {
    case IS_LONG:
        *out = (double)Z_LVAL_P(value);
        return 0;
    case IS_DOUBLE:
        *out = Z_DVAL_P(value);
        return 0;
    case IS_STRING:
        switch (is_numeric_string(Z_STRVAL_P(value), Z_STRLEN_P(value), &integer, out, false)) {
        case IS_LONG:
            *out = (double)integer;
            return 0;
        case IS_DOUBLE:
            return 0;
        }
    }
    return -1;
}

int mpqueue_zval_to_ms(const zval *value, double min_seconds, double max_seconds, uint64_t *out_ms)
{
    double seconds;
    if (to_number(value, &seconds) < 0 || !(seconds >= min_seconds && seconds <= max_seconds)) {
        return -1; /* not-a-number compares false, too */
    }
    *out_ms = (uint64_t)(seconds * 1000.0 + 0.5);
    if (*out_ms == 0 && seconds > 0) {
        *out_ms = 1;
    }
    return 0;
}

const char *mpqueue_zval_to_duration(const zval *value, uint32_t *out_ms)
{
    double seconds;
    uint64_t ms;
    if (mpqueue_zval_to_ms(value, 0, DURATION_MAX_SECONDS, &ms) == 0) {
        *out_ms = (uint32_t)ms;
        return NULL;
    }
    return to_number(value, &seconds) == 0 && seconds > DURATION_MAX_SECONDS ? "must be at most 4294967 seconds"
                                                                             : "must be a number of seconds >= 0";
}

int mpqueue_zval_to_count(const zval *value, double min, double max, uint64_t *out)
{
    double number;
    if (to_number(value, &number) < 0 || !(number >= min && number <= max) || number != floor(number)) {
        return -1;
    }
    *out = (uint64_t)number;
    return 0;
}

static void append_quoted(smart_str *out, const char *text, size_t len)
{
    size_t shown = len > SHOWN_MAX_BYTES ? SHOWN_MAX_BYTES : len;
    while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80) {
        shown--; /* not in the middle of a UTF-8 character */
    }
    smart_str_appendc(out, '"');
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7F) {
            smart_str_append_printf(out, "\\x%02X", c);
        } else {
            smart_str_appendc(out, (char)c);
        }
    }
    smart_str_appends(out, shown < len ? "...\"" : "\"");
}

zend_string *mpqueue_zval_shown(const zval *value)
{
    smart_str out = {0};
    ZVAL_DEREF(value);
    switch (Z_TYPE_P(value)) {
    case IS_STRING:
        append_quoted(&out, Z_STRVAL_P(value), Z_STRLEN_P(value));
        break;
    case IS_LONG:
        smart_str_append_long(&out, Z_LVAL_P(value));
        break;
    case IS_DOUBLE:
        smart_str_append_double(&out, Z_DVAL_P(value), -1, false);
        break;
    case IS_OBJECT:
        smart_str_append_printf(&out, "an object of class %s", ZSTR_VAL(Z_OBJCE_P(value)->name));
        break;
    case IS_ARRAY:
        smart_str_append_printf(&out, "an array of %u", zend_hash_num_elements(Z_ARRVAL_P(value)));
        break;
    case IS_TRUE:
        smart_str_appends(&out, "true");
        break;
    case IS_FALSE:
        smart_str_appends(&out, "false");
        break;
    default:
        smart_str_appends(&out, zend_zval_type_name(value));
    }
    return smart_str_extract(&out);
}

void mpqueue_set_string(char **field, const char *text, size_t len)
{
    free(*field);
    *field = zend_strndup(text, len);
}
