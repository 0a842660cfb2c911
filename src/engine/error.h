/* What went wrong: a class that decides the exception, and one sentence for the user. */
#ifndef MPQ_ERROR_H
#define MPQ_ERROR_H

#include "base.h"

enum mpq_error_kind {
    MPQ_ERROR_NONE = 0,
    MPQ_ERROR_MEMORY,  /* the process could not allocate */
    MPQ_ERROR_CONFIG,  /* a setting or an argument is wrong; the text names it, its value and the remedy */
    MPQ_ERROR_SYSTEM,  /* a system call failed; sys_errno tells which way */
    MPQ_ERROR_CONNECT, /* the broker can't be reached, or the connection broke */
    MPQ_ERROR_TIMEOUT, /* the broker did not answer in time */
    MPQ_ERROR_BROKER,  /* the broker answered with an error (wrong password, out of memory, read only, disk full) */
    MPQ_ERROR_PAYLOAD, /* a job is too large or its bytes are not an envelope */
    MPQ_ERROR_STATE    /* the service is already running, is not running, or does not answer */
};

typedef struct mpq_error {
    enum mpq_error_kind kind;
    int sys_errno;
    char text[1024];
} mpq_error;

/* Fills `err` (which may be NULL) and returns -1, so that a caller can `return mpq_error_set(...)`. */
int mpq_error_set(mpq_error *err, enum mpq_error_kind kind, const char *fmt, ...) MPQ_PRINTF(3, 4);

/* The same for a failed system call: appends ": <strerror(number)>" and keeps the number. */
int mpq_error_set_errno(mpq_error *err, int number, const char *fmt, ...) MPQ_PRINTF(3, 4);

int mpq_error_set_memory(mpq_error *err);

#endif
