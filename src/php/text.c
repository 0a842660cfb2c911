#include "text.h"
#include "../../php_mpqueue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "ext/date/php_date.h"
#include "main/php_output.h"
#include "zend_smart_str.h"

/* ---- colours ---- */

static const char *const escapes[] = {
    [MPQUEUE_GREEN] = "\033[32m", [MPQUEUE_YELLOW] = "\033[33m", [MPQUEUE_RED] = "\033[31m",
    [MPQUEUE_BOLD] = "\033[1m",   [MPQUEUE_DIM] = "\033[2m",
};

static bool is_coloured(enum mpqueue_colour colour)
{
    const char *no_colour = getenv("NO_COLOR");
    return colour != MPQUEUE_PLAIN && !(no_colour && *no_colour) && php_output_get_level() == 0 &&
           isatty(STDOUT_FILENO);
}

static void write_coloured(enum mpqueue_colour colour, const char *text, size_t len)
{
    bool coloured = is_coloured(colour);

    if (coloured) {
        PHPWRITE(escapes[colour], strlen(escapes[colour]));
    }
    PHPWRITE(text, len);
    if (coloured) {
        PHPWRITE("\033[0m", 4);
    }
}

void mpqueue_text_print(enum mpqueue_colour colour, const char *fmt, ...)
{
    va_list args;
    zend_string *text;

    va_start(args, fmt);
    text = zend_vstrpprintf(0, fmt, args);
    va_end(args);
    write_coloured(colour, ZSTR_VAL(text), ZSTR_LEN(text));
    zend_string_release(text);
}

void mpqueue_text_print_foreign(const char *prefix, mpq_slice text)
{
    smart_str out = {0};
    bool is_line_start = true;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_line_start) {
            smart_str_appends(&out, prefix);
        }
        is_line_start = c == '\n';
        if (is_line_start || c == '\t' || (c >= 0x20 && c != 0x7f)) {
            smart_str_appendc(&out, (char)c);
        } else {
            smart_str_append_printf(&out, "\\x%02x", c);
        }
    }
    if (!is_line_start) {
        smart_str_appendc(&out, '\n');
    }
    smart_str_0(&out);
    if (out.s) {
        PHPWRITE(ZSTR_VAL(out.s), ZSTR_LEN(out.s));
    }
    smart_str_free(&out);
}

/* ---- width ---- */

typedef struct range {
    uint32_t first, last;
} range;

static const range wide[] = {
    {0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
};
static const range nothing[] = {
    {0x0300, 0x036f},
    {0x200b, 0x200f},
    {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},
};

static bool is_in(const range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* A byte that begins no valid sequence stands for itself. */
static size_t next_character(const unsigned char *text, size_t left, uint32_t *out)
{
    size_t len = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc0 ? 2 : 1;

    *out = text[0];
    if (len == 1 || len > left) {
        return 1;
    }
    *out = text[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            *out = text[0];
            return 1;
        }
        *out = *out << 6 | (text[i] & 0x3f);
    }
    return len;
}

size_t mpqueue_text_width(const char *text, size_t len)
{
    size_t width = 0;
    uint32_t c;

    for (size_t at = 0; at < len;) {
        at += next_character((const unsigned char *)text + at, len - at, &c);
        if (is_in(wide, sizeof wide / sizeof *wide, c)) {
            width += 2;
        } else if (!is_in(nothing, sizeof nothing / sizeof *nothing, c)) {
            width++;
        }
    }
    return width;
}

/* ---- numbers ---- */

void mpqueue_text_ago(uint64_t ms, char *out, size_t size)
{
    uint64_t s = ms / 1000, min = s / 60, h = min / 60, d = h / 24;

    if (d) {
        snprintf(out, size, "%" PRIu64 " d %" PRIu64 " h", d, h % 24);
    } else if (h) {
        snprintf(out, size, "%" PRIu64 " h %" PRIu64 " min", h, min % 60);
    } else if (min) {
        snprintf(out, size, "%" PRIu64 " min %" PRIu64 " s", min, s % 60);
    } else {
        snprintf(out, size, "%.1f s", ms / 1000.0);
    }
}

void mpqueue_text_bytes(uint64_t bytes, char *out, size_t size)
{
    snprintf(out, size, "%.1f MiB", bytes / 1048576.0);
}

void mpqueue_text_time(uint64_t wall_ms, char *out, size_t size)
{
    zend_string *text;

    if (wall_ms == 0) {
        snprintf(out, size, "-");
        return;
    }
    text = php_format_date(ZEND_STRL("Y-m-d H:i:s"), (time_t)(wall_ms / 1000), true);
    snprintf(out, size, "%s", ZSTR_VAL(text));
    zend_string_release(text);
}

/* ---- tables ---- */

void mpqueue_table_init(mpqueue_table *table, const char *const *titles)
{
    memset(table, 0, sizeof *table);
    table->titles = titles;
    while (titles[table->columns]) {
        table->columns++;
    }
    ZEND_ASSERT(table->columns <= MPQUEUE_TABLE_COLUMNS);
}

void mpqueue_table_add(mpqueue_table *table, enum mpqueue_colour colour, const char *fmt, ...)
{
    va_list args;

    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = safe_erealloc(table->cells, table->capacity, sizeof *table->cells, 0);
        table->colours = safe_erealloc(table->colours, table->capacity, sizeof *table->colours, 0);
    }
    va_start(args, fmt);
    table->cells[table->count] = zend_vstrpprintf(0, fmt, args);
    va_end(args);
    table->colours[table->count++] = colour;
}

static bool is_right(const mpqueue_table *table, size_t column)
{
    return table->titles[column][0] == '>';
}

static const char *title_of(const mpqueue_table *table, size_t column)
{
    return table->titles[column] + is_right(table, column);
}

static void measure(const mpqueue_table *table, size_t *widths)
{
    for (size_t column = 0; column < table->columns; column++) {
        widths[column] = mpqueue_text_width(title_of(table, column), strlen(title_of(table, column)));
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t width = mpqueue_text_width(ZSTR_VAL(table->cells[i]), ZSTR_LEN(table->cells[i]));
        if (width > widths[i % table->columns]) {
            widths[i % table->columns] = width;
        }
    }
}

static void print_cell(const mpqueue_table *table, size_t column, size_t width, enum mpqueue_colour colour,
                       const char *text)
{
    size_t len = strlen(text), used = mpqueue_text_width(text, len);
    int padding = used < width ? (int)(width - used) : 0;
    bool is_last = column + 1 == table->columns;

    if (is_right(table, column)) {
        mpqueue_text_print(MPQUEUE_PLAIN, "%*s", padding, "");
        padding = 0;
    }
    write_coloured(colour, text, len);
    if (is_last) {
        PHPWRITE("\n", 1);
    } else {
        mpqueue_text_print(MPQUEUE_PLAIN, "%*s", padding + 2, "");
    }
}

void mpqueue_table_print(mpqueue_table *table)
{
    size_t widths[MPQUEUE_TABLE_COLUMNS] = {0};

    measure(table, widths);
    for (size_t column = 0; column < table->columns; column++) {
        print_cell(table, column, widths[column], MPQUEUE_BOLD, title_of(table, column));
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        print_cell(table, column, widths[column], table->colours[i], ZSTR_VAL(table->cells[i]));
        zend_string_release(table->cells[i]);
    }
    if (table->cells) {
        efree(table->cells);
        efree(table->colours);
    }
}
