/* Values that users give: numbers with units, and how a value looks in a message. */
#ifndef MPQUEUE_VALUE_H
#define MPQUEUE_VALUE_H

#include "../engine/mpq.h"
#include "php.h"

#define MPQUEUE_COUNT_MAX 4294967295.0

/* A value given in seconds, as milliseconds. Accepts int, float and numeric strings; fractions of a millisecond are
 * rounded, but what is more than 0 becomes at least 1. 0, or -1 when it is no number or out of range. */
int mpqueue_zval_to_ms(const zval *value, double min_seconds, double max_seconds, uint64_t *out_ms);

/* The same for durations that end up in 32 bits of milliseconds. NULL, or what is wrong as the tail of a sentence. */
const char *mpqueue_zval_to_duration(const zval *value, uint32_t *out_ms);

/* A whole number. 0, or -1. */
int mpqueue_zval_to_count(const zval *value, double min, double max, uint64_t *out);

/* What was given, for a message: `"abc"`, `-1`, `null`, `an array of 2`, `an object of class Foo`. Long strings are
 * cut, control characters escaped. */
zend_string *mpqueue_zval_shown(const zval *value);

/* Replaces an owned string of the engine's structs. */
void mpqueue_set_string(char **field, const char *text, size_t len);

#endif
