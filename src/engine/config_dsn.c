/* mpq_broker_config_parse_dsn. No error shows a password, whatever is wrong with the address. */
#include "config.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { SHOWN_BYTES = 160, TIMEOUT_MAX_S = 86400, PREFIX_MAX_BYTES = 64, HOST_MAX_BYTES = 255 };

typedef struct parser {
    const char *scheme; /* "redis" */
    const char *rest;   /* what follows "://" */
    mpq_broker_config *config;
    mpq_error *err;
} parser;

static mpq_slice until(mpq_slice text, const char *stops)
{
    size_t len = 0;
    while (len < text.len && !strchr(stops, text.data[len]))
        len++;
    return mpq_slice_of(text.data, len);
}

static mpq_slice skip(mpq_slice text, size_t len)
{
    return mpq_slice_of(text.data + len, text.len - len);
}

static bool equals(mpq_slice text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

/* Where a port begins that may as well be the password of an address without host, else the end. */
static size_t doubtful_port(const char *shown, size_t len)
{
    size_t host = shown[0] == '[' ? strcspn(shown, "]?") : 0;
    size_t colon = host + strcspn(shown + host, ":/?");
    if (shown[colon] != ':')
        return len;
    size_t digits = strspn(shown + colon + 1, "0123456789");
    return digits <= 5 && strchr("/?", shown[colon + 1 + digits]) ? len : colon;
}

/* Only what is between the last @ and the query. A password with an unencoded / or ? makes the true borders
 * unknowable, but the last @ always comes after it; an @ behind the question mark leaves nothing to show. */
static void redact(const char *rest, char out[SHOWN_BYTES])
{
    const char *at = strrchr(rest, '@'), *query = strchr(rest, '?');
    const char *shown = at ? at + 1 : rest;
    size_t len = at && query && query < at ? 0 : strcspn(shown, "?");
    if (!at)
        len = doubtful_port(shown, len);
    if (len > SHOWN_BYTES - 16)
        len = SHOWN_BYTES - 16;
    snprintf(out, SHOWN_BYTES, "%s%.*s%s", at ? "***@" : "", (int)len, shown, shown[len] ? "..." : "");
}

static int MPQ_PRINTF(2, 3) fail(const parser *dsn, const char *fmt, ...)
{
    char detail[512], shown[SHOWN_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    redact(dsn->rest, shown);
    return mpq_error_set(dsn->err, MPQ_ERROR_CONFIG, "the address \"%s://%s\" is wrong: %s", dsn->scheme, shown,
                         detail);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return (c | 32) - 'a' + 10;
    return -1;
}

/* Decodes `text` into `to`, which has room for text.len + 1 bytes. False: a % without two digits, or %00. */
static bool percent_decode(mpq_slice text, char *to)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            *to++ = text.data[i];
            continue;
        }
        int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    *to = '\0';
    return true;
}

static int set_string(const parser *dsn, char **field, mpq_slice text, const char *what)
{
    char *value = malloc(text.len + 1);
    if (!value)
        return mpq_error_set_memory(dsn->err);
    if (!percent_decode(text, value)) {
        free(value);
        return fail(dsn, "%s has a %% that is not followed by two hexadecimal digits (a %% itself is written %%25)",
                    what);
    }
    free(*field);
    *field = value;
    return 0;
}

static void drop_string(char **field)
{
    free(*field);
    *field = NULL;
}

static bool parse_number(mpq_slice text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return value <= max;
}

/* Seconds with up to three decimals that count, whatever the locale. */
static bool parse_seconds(mpq_slice text, uint32_t *out_ms)
{
    mpq_slice whole = until(text, "."), fraction = skip(text, whole.len);
    uint64_t seconds, ms = 0;
    if (!parse_number(whole, TIMEOUT_MAX_S, &seconds) || fraction.len == 1)
        return false;
    for (size_t i = 1, unit = 100; i < fraction.len; i++, unit /= 10) {
        if (fraction.data[i] < '0' || fraction.data[i] > '9')
            return false;
        ms += (uint64_t)(fraction.data[i] - '0') * unit;
    }
    *out_ms = (uint32_t)(seconds * 1000 + ms);
    return *out_ms > 0;
}

static int set_database(const parser *dsn, mpq_slice value)
{
    uint64_t number;
    if (!parse_number(value, INT32_MAX, &number))
        return fail(dsn, "the database must be a number from 0 to %d", INT32_MAX);
    dsn->config->database = (uint32_t)number;
    return 0;
}

static int set_user(const parser *dsn, mpq_slice value)
{
    return set_string(dsn, &dsn->config->user, value, "the user");
}

static int set_password(const parser *dsn, mpq_slice value)
{
    return set_string(dsn, &dsn->config->password, value, "the password");
}

static int set_prefix(const parser *dsn, mpq_slice value)
{
    if (set_string(dsn, &dsn->config->prefix, value, "prefix") < 0)
        return -1;
    const char *prefix = dsn->config->prefix;
    size_t len = strlen(prefix);
    if (len > PREFIX_MAX_BYTES || mpq_config_queue_name_problem(prefix, len))
        return fail(dsn, "prefix must be 1 to %d bytes without control characters, { and }", PREFIX_MAX_BYTES);
    return 0;
}

static int set_timeout(const parser *dsn, const char *name, mpq_slice value, uint32_t *field_ms)
{
    if (!parse_seconds(value, field_ms))
        return fail(dsn, "%s must be a number of seconds from 0.001 to %d", name, TIMEOUT_MAX_S);
    return 0;
}

static int set_connect_timeout(const parser *dsn, mpq_slice value)
{
    return set_timeout(dsn, "connect_timeout", value, &dsn->config->connect_timeout_ms);
}

static int set_read_timeout(const parser *dsn, mpq_slice value)
{
    return set_timeout(dsn, "read_timeout", value, &dsn->config->read_timeout_ms);
}

static const struct {
    const char *key;
    int (*set)(const parser *dsn, mpq_slice value);
} query_keys[] = {
    {"database", set_database},         {"user", set_user},
    {"password", set_password},         {"prefix", set_prefix},
    {"read_timeout", set_read_timeout}, {"connect_timeout", set_connect_timeout},
};

/* `after_password`: what looks like a key may be the rest of a password with an unencoded &, so it isn't shown. */
static int set_by_key(const parser *dsn, mpq_slice key, mpq_slice value, bool after_password)
{
    for (size_t i = 0; i < sizeof query_keys / sizeof *query_keys; i++)
        if (equals(key, query_keys[i].key))
            return query_keys[i].set(dsn, value);
    if (after_password)
        return fail(dsn, "unknown setting after \"password\" (an & in a password is written %%26)");
    return fail(dsn,
                "unknown setting \"%.*s\"; known are database, user, password, prefix, connect_timeout and "
                "read_timeout",
                key.len > 64 ? 64 : (int)key.len, key.data);
}

/* `query` begins with its question mark or is empty. */
static int parse_query(const parser *dsn, mpq_slice query)
{
    bool after_password = false;
    while (query.len > 0) {
        query = skip(query, 1);
        mpq_slice pair = until(query, "&"), key = until(pair, "=");
        query = skip(query, pair.len);
        if (pair.len == 0)
            continue;
        if (key.len == pair.len)
            return fail(dsn, "each setting after the ? is written name=value");
        if (set_by_key(dsn, key, skip(pair, key.len + 1), after_password) < 0)
            return -1;
        after_password |= equals(key, "password");
    }
    return 0;
}

/* An empty user, as in ":password", is none. */
static int parse_userinfo(const parser *dsn, mpq_slice userinfo)
{
    mpq_slice user = until(userinfo, ":");
    if (user.len > 0 && set_user(dsn, user) < 0)
        return -1;
    return user.len < userinfo.len ? set_password(dsn, skip(userinfo, user.len + 1)) : 0;
}

/* Splits "userinfo@" off. */
static int take_userinfo(const parser *dsn, mpq_slice *authority)
{
    size_t len = authority->len;
    while (len > 0 && authority->data[len - 1] != '@')
        len--;
    if (len == 0)
        return 0;
    mpq_slice userinfo = mpq_slice_of(authority->data, len - 1);
    *authority = skip(*authority, len);
    return parse_userinfo(dsn, userinfo);
}

static bool is_ipv6(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t len = strcspn(host, "%");
    if (len >= sizeof address)
        return false;
    memcpy(address, host, len);
    address[len] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

static bool is_host_name(const char *host)
{
    size_t len = strlen(host);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7F || strchr("[]:/@#\\\"", host[i]))
            return false;
    return len > 0 && len <= HOST_MAX_BYTES;
}

static int set_host(const parser *dsn, mpq_slice host, bool bracketed)
{
    if (set_string(dsn, &dsn->config->host, host, "the host") < 0)
        return -1;
    if (bracketed && !is_ipv6(dsn->config->host))
        return fail(dsn, "what is in brackets must be an IPv6 address");
    if (!bracketed && !is_host_name(dsn->config->host))
        return fail(dsn, "the host must be a name or an address, an IPv6 address in brackets");
    drop_string(&dsn->config->socket_path);
    return 0;
}

static int parse_host_port(const parser *dsn, mpq_slice authority)
{
    bool bracketed = authority.len > 0 && authority.data[0] == '[';
    mpq_slice inner = bracketed ? skip(authority, 1) : authority;
    mpq_slice host = until(inner, bracketed ? "]" : ":");
    mpq_slice rest = skip(inner, host.len);
    if (bracketed && rest.len == 0)
        return fail(dsn, "the closing ] is missing");
    if (bracketed)
        rest = skip(rest, 1);
    if (set_host(dsn, host, bracketed) < 0)
        return -1;
    uint64_t port;
    if (rest.len == 0)
        return 0;
    if (rest.data[0] != ':' || !parse_number(skip(rest, 1), UINT16_MAX, &port) || port == 0)
        return fail(dsn, "the port must be a number from 1 to %d", UINT16_MAX);
    dsn->config->port = (uint16_t)port;
    return 0;
}

static int fail_at(const parser *dsn)
{
    return fail(dsn, "in a user or password the characters / ? # @ : & %% must be percent-encoded (/ is written "
                     "%%2F); elsewhere an @ is written %%40");
}

static int parse_tcp(const parser *dsn, mpq_slice rest)
{
    mpq_slice authority = until(rest, "/?"), tail = skip(rest, authority.len);
    if (memchr(tail.data, '@', tail.len))
        return fail_at(dsn);
    if (take_userinfo(dsn, &authority) < 0 || parse_host_port(dsn, authority) < 0)
        return -1;
    mpq_slice path = until(tail, "?");
    if (path.len > 1 && set_database(dsn, skip(path, 1)) < 0)
        return -1;
    return parse_query(dsn, skip(tail, path.len));
}

static int parse_unix(const parser *dsn, mpq_slice rest)
{
    mpq_slice authority = until(rest, "/?"), tail = skip(rest, authority.len), path = until(tail, "?");
    /* Two of them: what is between may be the end of a password, and would be shown as a path. */
    if (memchr(authority.data, '@', authority.len) && memchr(tail.data, '@', tail.len))
        return fail_at(dsn);
    if (take_userinfo(dsn, &authority) < 0)
        return -1;
    if (authority.len > 0 || path.len < 2)
        return fail(dsn, "a unix socket is written unix:///path/of/the/socket");
    if (set_string(dsn, &dsn->config->socket_path, path, "the path") < 0)
        return -1;
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(dsn->config->socket_path) > max)
        return fail(dsn, "the path of a unix socket can't be longer than %zu bytes", max);
    drop_string(&dsn->config->host);
    return parse_query(dsn, skip(tail, path.len));
}

static const struct {
    const char *scheme;
    int (*parse)(const parser *dsn, mpq_slice rest);
} schemes[] = {{"redis", parse_tcp}, {"unix", parse_unix}, {"redis+unix", parse_unix}};

/* Works on a copy: a DSN with an error changes nothing. */
static int parse_into_copy(const char *text, mpq_broker_config *copy, mpq_error *err)
{
    const char *mark = strstr(text, "://");
    mpq_slice scheme = mpq_slice_of(text, mark ? (size_t)(mark - text) : 0);
    copy->driver = MPQ_DRIVER_REDIS;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!equals(scheme, schemes[i].scheme))
            continue;
        parser dsn = {schemes[i].scheme, mark + 3, copy, err};
        return schemes[i].parse(&dsn, mpq_slice_of(dsn.rest, strlen(dsn.rest)));
    }
    if (equals(scheme, "rediss"))
        return mpq_error_set(err, MPQ_ERROR_CONFIG,
                             "rediss:// addresses (TLS) are not supported: use redis://, or "
                             "unix:// with a local TLS proxy");
    return mpq_error_set(err, MPQ_ERROR_CONFIG,
                         "the address must begin with redis://, unix:// or redis+unix://, as in "
                         "redis://:password@127.0.0.1:6379/0");
}

int mpq_broker_config_parse_dsn(mpq_broker_config *config, const char *dsn, mpq_error *err)
{
    mpq_broker_config copy;
    if (mpq_broker_config_copy(&copy, config, err) < 0)
        return -1;
    if (parse_into_copy(dsn, &copy, err) < 0) {
        mpq_broker_config_fini(&copy);
        return -1;
    }
    mpq_broker_config_fini(config);
    *config = copy;
    return 0;
}
