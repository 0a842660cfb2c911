#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(mpq_error *err, enum mpq_error_kind kind, int number, const char *fmt, va_list args)
{
    err->kind = kind;
    err->sys_errno = number;
    vsnprintf(err->text, sizeof err->text, fmt, args);
}

int mpq_error_set(mpq_error *err, enum mpq_error_kind kind, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, fmt);
    fill(err, kind, 0, fmt, args);
    va_end(args);
    return -1;
}

int mpq_error_set_errno(mpq_error *err, int number, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, fmt);
    fill(err, MPQ_ERROR_SYSTEM, number, fmt, args);
    va_end(args);
    size_t len = strlen(err->text);
    snprintf(err->text + len, sizeof err->text - len, ": %s", strerror(number));
    return -1;
}

int mpq_error_set_memory(mpq_error *err)
{
    return mpq_error_set(err, MPQ_ERROR_MEMORY, "out of memory");
}
