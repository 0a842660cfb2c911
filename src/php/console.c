#include "console.h"
#include "../../php_mpqueue.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "zend_smart_str.h"

/* ---- options ---- */

typedef struct option {
    const char *name;
    const char *short_name; /* NULL = none */
    const char *value;      /* what it takes, for the help; NULL = nothing */
    const char *about;
    /* 0, or -1 after it has said what is wrong */
    int (*set)(mpqueue_console *console, const char *value);
} option;

static int set_daemon(mpqueue_console *console, const char *value)
{
    (void)value;
    console->daemon = true;
    return 0;
}

static int set_queue(mpqueue_console *console, const char *value)
{
    smart_str names = {0};

    if (mpq_config_queue(console->engine, value, strlen(value))) {
        console->queue = value;
        return 0;
    }
    for (size_t i = 0; i < console->engine->queue_count; i++) {
        smart_str_append_printf(&names, "%s\"%s\"", i ? ", " : "", console->engine->queues[i].name);
    }
    smart_str_0(&names);
    mpqueue_console_fail("no queue \"%s\" is configured; there is %s", value, names.s ? ZSTR_VAL(names.s) : "none");
    smart_str_free(&names);
    return -1;
}

static int set_limit(mpqueue_console *console, const char *value)
{
    char *end;
    unsigned long limit = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end || limit == 0 || limit > UINT32_MAX) {
        mpqueue_console_fail("--limit must be a whole number >= 1, got \"%s\"", value);
        return -1;
    }
    console->limit = (uint32_t)limit;
    return 0;
}

static const option options[] = {
    {"--daemon", "-d", NULL, "run in the background", set_daemon},
    {"--queue", NULL, "Q", "only this queue", set_queue},
    {"--limit", NULL, "N", "at most this many records (100)", set_limit},
};
#define OPTION_COUNT (sizeof options / sizeof *options)

static bool takes(const mpqueue_command *command, const option *wanted)
{
    for (const char *const *name = command->options; *name; name++) {
        if (strcmp(*name, wanted->name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- help ---- */

static int help(mpqueue_console *console);

static const char *const no_options[] = {NULL};

static const mpqueue_command help_commands[] = {
    {"help", "show this", no_options, help},
    {"list", "show this", no_options, help},
    {NULL, NULL, NULL, NULL},
};

static const mpqueue_command *const command_tables[] = {mpqueue_worker_commands, mpqueue_queue_commands, help_commands};
#define TABLE_COUNT (sizeof command_tables / sizeof *command_tables)

static int usage_of(const mpqueue_command *command, char *out, size_t size)
{
    int len = snprintf(out, size, "%s", command->name);

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option *it = &options[i];
        if (takes(command, it)) {
            const char *name = it->short_name ? it->short_name : it->name;
            len += snprintf(out + len, size - (size_t)len, " [%s%s%s]", name, it->value ? " " : "",
                            it->value ? it->value : "");
        }
    }
    return len;
}

static void print_usage_line(const mpqueue_console *console)
{
    mpqueue_text_print(MPQUEUE_PLAIN, "usage: php %s <command> [options]\n", console->script);
}

static int help(mpqueue_console *console)
{
    char usage[256];

    mpqueue_text_print(MPQUEUE_BOLD, "mpqueue %s", PHP_MPQUEUE_VERSION);
    mpqueue_text_print(MPQUEUE_PLAIN, ", service \"%s\"\n", console->engine->name);
    print_usage_line(console);
    for (size_t t = 0; t < TABLE_COUNT; t++) {
        mpqueue_text_print(MPQUEUE_PLAIN, "\n");
        for (const mpqueue_command *it = command_tables[t]; it->name; it++) {
            int width = usage_of(it, usage, sizeof usage);
            mpqueue_text_print(MPQUEUE_GREEN, "  %s", usage);
            mpqueue_text_print(MPQUEUE_PLAIN, "%*s%s\n", width < 38 ? 38 - width : 1, "", it->about);
        }
    }
    return MPQUEUE_EXIT_OK;
}

static int help_command(const mpqueue_console *console, const mpqueue_command *command)
{
    char usage[256], name[64];

    usage_of(command, usage, sizeof usage);
    mpqueue_text_print(MPQUEUE_PLAIN, "%s: %s\nusage: php %s %s\n", command->name, command->about, console->script,
                       usage);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option *it = &options[i];
        if (takes(command, it)) {
            snprintf(name, sizeof name, "%s%s%s%s%s", it->short_name ? it->short_name : "", it->short_name ? ", " : "",
                     it->name, it->value ? " " : "", it->value ? it->value : "");
            mpqueue_text_print(MPQUEUE_PLAIN, "  %-16s %s\n", name, it->about);
        }
    }
    return MPQUEUE_EXIT_OK;
}

/* ---- finding what was meant ---- */

#define NAME_MAX_LEN 32

static size_t least(size_t a, size_t b, size_t c)
{
    size_t d = a < b ? a : b;
    return d < c ? d : c;
}

/* Insertions, deletions and replacements between two short names. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN) {
        return NAME_MAX_LEN;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

/* "start" is near to "worker:start" as well. */
static void nearer(const char *given, const char *candidate, const char **best, size_t *best_distance)
{
    const char *colon = strchr(candidate, ':');
    size_t d = distance(given, candidate);
    size_t tail = colon ? distance(given, colon + 1) : d;

    d = tail < d ? tail : d;
    if (d < *best_distance && d <= 1 + strlen(given) / 3) {
        *best = candidate;
        *best_distance = d;
    }
}

static const mpqueue_command *find_command(const char *name)
{
    for (size_t t = 0; t < TABLE_COUNT; t++) {
        for (const mpqueue_command *it = command_tables[t]; it->name; it++) {
            if (strcmp(it->name, name) == 0) {
                return it;
            }
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *best = NULL;
    size_t best_distance = NAME_MAX_LEN;

    for (size_t t = 0; t < TABLE_COUNT; t++) {
        for (const mpqueue_command *it = command_tables[t]; it->name; it++) {
            nearer(name, it->name, &best, &best_distance);
        }
    }
    if (best) {
        mpqueue_console_fail("there is no command \"%s\"; did you mean \"%s\"?", name, best);
    } else {
        mpqueue_console_fail("there is no command \"%s\"; \"help\" lists what there is", name);
    }
    return MPQUEUE_EXIT_USAGE;
}

static int unknown_option(const mpqueue_command *command, const char *given)
{
    const char *best = NULL;
    size_t best_distance = NAME_MAX_LEN;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (takes(command, &options[i])) {
            nearer(given, options[i].name, &best, &best_distance);
        }
    }
    if (best) {
        mpqueue_console_fail("%s knows no option \"%s\"; did you mean \"%s\"?", command->name, given, best);
    } else {
        mpqueue_console_fail("%s knows no option \"%s\"; \"%s --help\" shows what it knows", command->name, given,
                             command->name);
    }
    return MPQUEUE_EXIT_USAGE;
}

/* ---- the command line ---- */

typedef struct arguments {
    const char *const *at;
    size_t left;
} arguments;

static bool is_help(const char *text)
{
    return strcmp(text, "-h") == 0 || strcmp(text, "--help") == 0;
}

/* `value` points behind "=" when the argument has one. */
static const option *find_option(const mpqueue_command *command, const char *given, const char **value)
{
    const char *equals = strchr(given, '=');
    size_t len = equals ? (size_t)(equals - given) : strlen(given);

    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option *it = &options[i];
        bool is_long = strlen(it->name) == len && memcmp(it->name, given, len) == 0;
        bool is_short = it->short_name && strcmp(it->short_name, given) == 0;
        if ((is_long || is_short) && takes(command, it)) {
            return it;
        }
    }
    return NULL;
}

static int apply_option(mpqueue_console *console, const mpqueue_command *command, arguments *args)
{
    const char *given = *args->at++, *value;
    const option *it = find_option(command, given, &value);

    args->left--;
    if (!it) {
        return unknown_option(command, given);
    }
    if (it->value && !value && args->left > 0) {
        value = *args->at++;
        args->left--;
    }
    if (it->value && !value) {
        mpqueue_console_fail("%s needs a value: %s %s", it->name, it->name, it->value);
        return MPQUEUE_EXIT_USAGE;
    }
    if (!it->value && value) {
        mpqueue_console_fail("%s takes no value", it->name);
        return MPQUEUE_EXIT_USAGE;
    }
    return it->set(console, value) == 0 ? MPQUEUE_EXIT_OK : MPQUEUE_EXIT_USAGE;
}

static int run_command(mpqueue_console *console, const mpqueue_command *command, arguments args)
{
    for (size_t i = 0; i < args.left; i++) {
        if (is_help(args.at[i])) {
            return help_command(console, command);
        }
    }
    while (args.left > 0) {
        int status = apply_option(console, command, &args);
        if (status != MPQUEUE_EXIT_OK) {
            return status;
        }
    }
    return command->run(console);
}

int mpqueue_console_main(mpqueue_console *console, const char *const *argv, size_t argc)
{
    const mpqueue_command *command;
    arguments rest = {argv + 2, argc > 2 ? argc - 2 : 0};

    console->script = argc > 0 ? argv[0] : "mp-queue";
    console->limit = 100;
    if (argc < 2) {
        help(console);
        return MPQUEUE_EXIT_USAGE;
    }
    if (is_help(argv[1])) {
        return help(console);
    }
    command = find_command(argv[1]);
    return command ? run_command(console, command, rest) : unknown_command(argv[1]);
}

int mpqueue_console_fail(const char *fmt, ...)
{
    const char *no_colour = getenv("NO_COLOR");
    bool coloured = isatty(STDERR_FILENO) && !(no_colour && *no_colour);
    va_list args;
    zend_string *text;

    va_start(args, fmt);
    text = zend_vstrpprintf(0, fmt, args);
    va_end(args);
    fprintf(stderr, coloured ? "\033[31mmpqueue: %s\033[0m\n" : "mpqueue: %s\n", ZSTR_VAL(text));
    fflush(stderr);
    zend_string_release(text);
    return MPQUEUE_EXIT_FAILED;
}
