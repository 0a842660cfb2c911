/*
 * Addresses of brokers and names. The first byte of the input says what the rest is: an address as it is, an address
 * whose password has the secret in it, or a name.
 */
#include <stdio.h>

#include "config.h"
#include "fuzz.h"

#define SECRET "S3cr3tW0rd"

enum what { ADDRESS, SERVICE_NAME, QUEUE_NAME, USERINFO, NO_HOST, QUERY, WHATS };
enum { DESCRIPTION_BYTES = 512 };

static void must_be_equal(const char *a, const char *b)
{
    MUST((!a && !b) || (a && b && strcmp(a, b) == 0));
}

static void must_be_same(const mpq_broker_config *a, const mpq_broker_config *b)
{
    must_be_equal(a->host, b->host);
    must_be_equal(a->socket_path, b->socket_path);
    must_be_equal(a->user, b->user);
    must_be_equal(a->password, b->password);
    must_be_equal(a->prefix, b->prefix);
    must_be_equal(a->path, b->path);
    MUST(a->driver == b->driver && a->port == b->port && a->database == b->database);
    MUST(a->connect_timeout_ms == b->connect_timeout_ms && a->read_timeout_ms == b->read_timeout_ms);
}

static void check_accepted(const mpq_broker_config *config)
{
    MUST(config->driver == MPQ_DRIVER_REDIS && config->port > 0);
    MUST((config->host != NULL) != (config->socket_path != NULL));
    MUST(!config->host || config->host[0]);
    MUST(!config->socket_path || (config->socket_path[0] == '/' && strlen(config->socket_path) < 108));
    MUST(config->prefix && !mpq_config_queue_name_problem(config->prefix, strlen(config->prefix)));
    MUST(strlen(config->prefix) <= 64 && config->database <= INT32_MAX);
    MUST(config->connect_timeout_ms > 0 && config->read_timeout_ms > 0);
}

/* Shows the password only where something that is not secret is the same. */
static void check_description(const mpq_broker_config *config)
{
    char whole[DESCRIPTION_BYTES], part[16] = "overwritten";
    mpq_broker_config without = *config;
    char same[DESCRIPTION_BYTES];
    mpq_broker_config_describe(config, whole, sizeof whole);
    MUST(memchr(whole, '\0', sizeof whole) && whole[0]);
    without.password = NULL;
    mpq_broker_config_describe(&without, same, sizeof same);
    MUST(strcmp(whole, same) == 0);
    mpq_broker_config_describe(config, part, sizeof part);
    MUST(strlen(part) < sizeof part && strncmp(part, whole, strlen(part)) == 0);
}

/* Copies that are given back: what one of them owns is nobody else's. */
static void check_copy(const mpq_broker_config *config)
{
    mpq_broker_config copy;
    mpq_error err;
    MUST(mpq_broker_config_copy(&copy, config, &err) == 0);
    must_be_same(&copy, config);
    mpq_broker_config_fini(&copy);
}

static void parse(const char *address, const char *secret)
{
    mpq_broker_config config, before;
    mpq_error err = {0};
    char text[DESCRIPTION_BYTES];
    mpq_broker_config_init(&config);
    config.path = strdup("/kept/as/it/is");
    MUST(mpq_broker_config_copy(&before, &config, &err) == 0);
    if (mpq_broker_config_parse_dsn(&config, address, &err) < 0) {
        fuzz_must_explain(&err);
        MUST(err.kind == MPQ_ERROR_CONFIG);
        MUST(!secret || !strstr(err.text, secret));
        must_be_same(&config, &before);
    } else {
        check_accepted(&config);
        check_copy(&config);
        mpq_broker_config_describe(&config, text, sizeof text);
        MUST(!secret || !strstr(text, secret));
    }
    check_description(&config);
    mpq_broker_config_fini(&config);
    mpq_broker_config_fini(&before);
}

/* Names ---------------------------------------------------------------------------------------------------------- */

static void check_service_name(mpq_slice name)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    char *exact = fuzz_copy(name);
    bool right = name.len >= 1 && name.len <= MPQ_SERVICE_NAME_MAX && exact[0] != '.';
    for (size_t i = 0; i < name.len; i++)
        right = right && exact[i] && strchr(fit, exact[i]);
    MUST(right == (mpq_config_service_name_problem(exact, name.len) == NULL));
    free(exact);
}

static void check_queue_name(mpq_slice name)
{
    char *exact = fuzz_copy(name);
    bool right = name.len >= 1 && name.len <= MPQ_QUEUE_NAME_MAX;
    for (size_t i = 0; i < name.len; i++)
        right = right && (unsigned char)exact[i] >= ' ' && exact[i] != '{' && exact[i] != '}' && exact[i] != 0x7F;
    MUST(right == (mpq_config_queue_name_problem(exact, name.len) == NULL));
    free(exact);
}

/* Passwords ------------------------------------------------------------------------------------------------------ */

static const char *const schemes[] = {"redis", "unix", "redis+unix", "rediss", "Redis", "tcp"};

static void parse_with_secret(const char *scheme, const char *before, const char *one, const char *two,
                              const char *after)
{
    static const char form[] = "%s://%s%s" SECRET "%s%s";
    size_t size = strlen(scheme) + strlen(before) + strlen(one) + strlen(two) + strlen(after) + sizeof form;
    char *address = malloc(size);
    MUST(address);
    snprintf(address, size, form, scheme, before, one, two, after);
    parse(address, SECRET);
    free(address);
}

/* <user>:<one>SECRET<two>@<rest>: whatever the parts are, all between the colon and the last @ was meant to be the
 * password. */
static void check_userinfo(const char *scheme, const char *user, const char *one, const char *two, const char *rest)
{
    char before[64], after[256];
    if (strpbrk(user, ":/?@#"))
        return;
    snprintf(before, sizeof before, "%.60s:", user);
    snprintf(after, sizeof after, "@%.250s", rest);
    parse_with_secret(scheme, before, one, two, after);
}

/* :<one>SECRET<two> without host: somebody has forgotten it. With a slash or a question mark in it, it could as well be
 * a port and a database, behind an @ a host. */
static void check_no_host(const char *scheme, const char *user, const char *one, const char *two)
{
    char before[64];
    if (strpbrk(user, ":/?@#[") || strpbrk(one, "/?@"))
        return;
    snprintf(before, sizeof before, "%.60s:", user);
    parse_with_secret(scheme, before, one, two, "");
}

/* <place>?password=<one>SECRET<two> */
static void check_query(const char *scheme, const char *place, const char *one, const char *two)
{
    char before[128];
    if (strchr(place, '?'))
        return;
    snprintf(before, sizeof before, "%.100s?password=", place);
    parse_with_secret(scheme, before, one, two, "");
}

static void check_secret(enum what what, fuzz_input *input)
{
    const char *scheme = schemes[fuzz_u8(input) % (sizeof schemes / sizeof *schemes)];
    char *parts[4];
    for (int i = 0; i < 4; i++)
        parts[i] = fuzz_string(fuzz_until(input, '\n'));
    bool known = false; /* the input has found the secret by itself */
    for (int i = 0; i < 4; i++)
        known |= strstr(parts[i], SECRET) != NULL;
    if (known)
        ;
    else if (what == USERINFO)
        check_userinfo(scheme, parts[0], parts[1], parts[2], parts[3]);
    else if (what == NO_HOST)
        check_no_host(scheme, parts[0], parts[1], parts[2]);
    else
        check_query(scheme, parts[0], parts[1], parts[2]);
    for (int i = 0; i < 4; i++)
        free(parts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = fuzz_input_of(data, size);
    enum what what = fuzz_u8(&input) % WHATS;
    mpq_slice rest = mpq_slice_of(input.at, input.left);
    if (what == ADDRESS) {
        char *address = fuzz_string(rest);
        parse(address, NULL);
        free(address);
    } else if (what == SERVICE_NAME) {
        check_service_name(rest);
    } else if (what == QUEUE_NAME) {
        check_queue_name(rest);
    } else {
        check_secret(what, &input);
    }
    return 0;
}
