/*
 * Foundations every other engine header builds on.
 *
 * Conventions of the engine:
 *  - fallible functions return int: 0 is success, a positive value is an ordinary non-result that the header
 *    names, a negative value is an error whose details are in the caller's mpq_error (always the last parameter);
 *  - `const T *` is borrowed for the call, `T **out` becomes the caller's;
 *  - units are part of a name: _ms, _bytes; `_at` is a point in time, `_for` a duration.
 */
#ifndef MPQ_BASE_H
#define MPQ_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MPQ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MPQ_PRINTF(fmt, args)
#endif

/* The supervisor needs fork, futexes, eventfd and CLONE_PARENT: elsewhere the extension can only produce jobs. */
#if defined(__linux__)
#define MPQ_HAVE_SUPERVISOR 1
#endif

/* Borrowed bytes: not NUL-terminated, any content. */
typedef struct mpq_slice {
    const char *data;
    size_t len;
} mpq_slice;

static inline mpq_slice mpq_slice_of(const char *data, size_t len)
{
    mpq_slice slice = {data, len};
    return slice;
}

#endif
