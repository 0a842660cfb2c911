#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PREFIX "mpq"

enum { DEFAULT_PORT = 6379, DEFAULT_CONNECT_TIMEOUT_MS = 2000, DEFAULT_READ_TIMEOUT_MS = 2000 };

void mpq_broker_config_init(mpq_broker_config *config)
{
    memset(config, 0, sizeof *config);
    config->port = DEFAULT_PORT;
    config->prefix = strdup(DEFAULT_PREFIX);
    config->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
    config->read_timeout_ms = DEFAULT_READ_TIMEOUT_MS;
}

/* A plain memset before free may be left out by the compiler. */
static void erase(char *secret)
{
    volatile char *at = secret;
    while (at && *at)
        *at++ = '\0';
}

void mpq_broker_config_fini(mpq_broker_config *config)
{
    erase(config->password);
    free(config->host);
    free(config->socket_path);
    free(config->user);
    free(config->password);
    free(config->prefix);
    free(config->path);
    memset(config, 0, sizeof *config);
}

void mpq_queue_config_init(mpq_queue_config *config)
{
    memset(config, 0, sizeof *config);
    config->workers = 3;
    config->memory_limit_bytes = 128u << 20;
    config->sleep_ms = 1000;
    config->timeout_ms = 120000;
    config->fail_number = 3;
    config->fail_expire_ms = 3000;
    config->mode = MPQ_MODE_DISTRIBUTE;
}

void mpq_config_init(mpq_config *config)
{
    memset(config, 0, sizeof *config);
    config->log_level = MPQ_LEVEL_INFO;
    config->stop_timeout_ms = 30000;
    config->timeout_grace_ms = 1000;
    config->start_timeout_ms = 60000;
    config->lease_ms = 10000;
    config->payload_max_bytes = MPQ_DEFAULT_PAYLOAD_MAX_BYTES;
    mpq_broker_config_init(&config->broker);
}

void mpq_config_fini(mpq_config *config)
{
    for (size_t i = 0; i < config->queue_count; i++)
        free(config->queues[i].name);
    free(config->queues);
    free(config->name);
    free(config->pid_path);
    free(config->log_path);
    mpq_broker_config_fini(&config->broker);
    memset(config, 0, sizeof *config);
}

static bool copy_string(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from;
}

int mpq_broker_config_copy(mpq_broker_config *to, const mpq_broker_config *from, mpq_error *err)
{
    *to = *from;
    bool copied = copy_string(&to->host, from->host);
    copied &= copy_string(&to->socket_path, from->socket_path);
    copied &= copy_string(&to->user, from->user);
    copied &= copy_string(&to->password, from->password);
    copied &= copy_string(&to->prefix, from->prefix);
    copied &= copy_string(&to->path, from->path);
    if (copied)
        return 0;
    mpq_broker_config_fini(to);
    return mpq_error_set_memory(err);
}

static void describe_redis(const mpq_broker_config *config, char *out, size_t size)
{
    if (config->socket_path)
        snprintf(out, size, "redis %s/%u", config->socket_path, config->database);
    else if (!config->host)
        snprintf(out, size, "redis (no host)");
    else if (strchr(config->host, ':'))
        snprintf(out, size, "redis [%s]:%u/%u", config->host, config->port, config->database);
    else
        snprintf(out, size, "redis %s:%u/%u", config->host, config->port, config->database);
}

void mpq_broker_config_describe(const mpq_broker_config *config, char *out, size_t size)
{
    switch (config->driver) {
    case MPQ_DRIVER_REDIS:
        describe_redis(config, out, size);
        return;
    case MPQ_DRIVER_SQLITE:
        snprintf(out, size, "sqlite %s", config->path ? config->path : "(no path)");
        return;
    case MPQ_DRIVER_MEMORY:
        snprintf(out, size, config->path ? "memory %s" : "memory", config->path);
        return;
    }
    snprintf(out, size, "driver %d", (int)config->driver);
}

const mpq_queue_config *mpq_config_queue(const mpq_config *config, const char *name, size_t len)
{
    for (size_t i = 0; i < config->queue_count; i++) {
        const char *candidate = config->queues[i].name;
        if (strlen(candidate) == len && memcmp(candidate, name, len) == 0)
            return &config->queues[i];
    }
    return NULL;
}

static bool is_service_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* The name becomes a directory and a part of file names: "." and ".." would leave the place they belong to. */
const char *mpq_config_service_name_problem(const char *name, size_t len)
{
    static const char problem[] = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -";
    if (len == 0 || len > MPQ_SERVICE_NAME_MAX)
        return problem;
    for (size_t i = 0; i < len; i++)
        if (!is_service_char(name[i]))
            return problem;
    return name[0] == '.' ? "must not begin with a dot" : NULL;
}

const char *mpq_config_queue_name_problem(const char *name, size_t len)
{
    if (len == 0 || len > MPQ_QUEUE_NAME_MAX)
        return "must be 1 to 128 bytes long";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < 0x20 || c == 0x7F)
            return "must not contain control characters";
        if (c == '{' || c == '}')
            return "must not contain { or }";
    }
    return NULL;
}
