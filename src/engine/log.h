/*
 * The service's log. One line is one write(2) to a file opened O_APPEND, so every process writes by itself:
 *   2026-11-20T12:00:00.123 INFO  manager[4711] worker 4720 of queue "mail" started
 * into <directory>/mpqueue-YYYY-MM-DD.log, a new file each day; the newest 30 are kept. A line that can't be written
 * (disk full) is dropped and counted; the next successful line says how many were lost. Never blocks on anything else,
 * never fails the caller.
 */
#ifndef MPQ_LOG_H
#define MPQ_LOG_H

#include "config.h"

typedef struct mpq_log mpq_log;

/* Creates the directory (mode 0750) if needed. `terminal`: also write to standard error. A NULL directory: terminal
 * only. */
int mpq_log_open(const char *directory, int level, bool terminal, mpq_log **out, mpq_error *err);
void mpq_log_close(mpq_log *log);
/* The tag in front of each line: "manager", "mail:worker". The pid is always the current one. */
void mpq_log_set_tag(mpq_log *log, const char *tag);
/* NULL log is harmless. Control characters in the message are escaped, so one call is one line. At most 8 KiB. */
void mpq_log_write(mpq_log *log, int level, const char *fmt, ...) MPQ_PRINTF(3, 4);
bool mpq_log_enabled(const mpq_log *log, int level);
/* DEBUG, INFO, ... */
const char *mpq_log_level_name(int level);

#endif
