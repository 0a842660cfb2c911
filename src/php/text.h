/* Text for people: colours when somebody looks, tables with aligned columns, nothing that could drive a terminal. */
#ifndef MPQUEUE_TEXT_H
#define MPQUEUE_TEXT_H

#include "../engine/mpq.h"
#include "php.h"

enum mpqueue_colour { MPQUEUE_PLAIN, MPQUEUE_GREEN, MPQUEUE_YELLOW, MPQUEUE_RED, MPQUEUE_BOLD, MPQUEUE_DIM };

/* To PHP's output. Colours only on a terminal, and not with NO_COLOR set. */
void mpqueue_text_print(enum mpqueue_colour colour, const char *fmt, ...) MPQ_PRINTF(2, 3);
/* Foreign bytes: line by line, each after `prefix`, control characters as \xNN. */
void mpqueue_text_print_foreign(const char *prefix, mpq_slice text);

/* Columns on a terminal; East Asian wide characters take two, combining ones none. */
size_t mpqueue_text_width(const char *text, size_t len);

void mpqueue_text_ago(uint64_t ms, char *out, size_t size);      /* "3 d 4 h", "2 h 5 min", "12 min 3 s", "4.2 s" */
void mpqueue_text_bytes(uint64_t bytes, char *out, size_t size); /* "12.3 MiB" */
/* Local time, "2026-11-20 12:00:00"; "-" for 0. */
void mpqueue_text_time(uint64_t wall_ms, char *out, size_t size);

#define MPQUEUE_TABLE_COLUMNS 12
typedef struct mpqueue_table {
    const char *const *titles; /* NULL-terminated; a leading '>' aligns the column to the right */
    zend_string **cells;       /* owned, row by row */
    enum mpqueue_colour *colours;
    size_t columns, count, capacity;
} mpqueue_table;

void mpqueue_table_init(mpqueue_table *table, const char *const *titles);
/* Cells are added row by row, from the left. */
void mpqueue_table_add(mpqueue_table *table, enum mpqueue_colour colour, const char *fmt, ...) MPQ_PRINTF(3, 4);
/* Prints and frees. */
void mpqueue_table_print(mpqueue_table *table);

#endif
