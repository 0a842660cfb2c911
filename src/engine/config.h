/* What a service and a broker need to know, checked. Strings are owned by the struct. */
#ifndef MPQ_CONFIG_H
#define MPQ_CONFIG_H

#include "error.h"

enum mpq_driver { MPQ_DRIVER_REDIS, MPQ_DRIVER_SQLITE, MPQ_DRIVER_MEMORY };
enum mpq_mode { MPQ_MODE_DISTRIBUTE = 1, MPQ_MODE_GRAB = 2 };

/* Numbers as in Monolog, so that a level of the seed's configuration can be used as it is. */
enum mpq_level {
    MPQ_LEVEL_DEBUG = 100,
    MPQ_LEVEL_INFO = 200,
    MPQ_LEVEL_NOTICE = 250,
    MPQ_LEVEL_WARNING = 300,
    MPQ_LEVEL_ERROR = 400,
    MPQ_LEVEL_CRITICAL = 500,
    MPQ_LEVEL_ALERT = 550,
    MPQ_LEVEL_EMERGENCY = 600
};

#define MPQ_SERVICE_NAME_MAX 64
#define MPQ_QUEUE_NAME_MAX 128
#define MPQ_QUEUES_MAX 64
#define MPQ_WORKERS_MAX 1024 /* over all queues */
#define MPQ_DEFAULT_PAYLOAD_MAX_BYTES (64u << 20)

typedef struct mpq_broker_config {
    enum mpq_driver driver;
    /* redis */
    char *host;        /* NULL when a unix socket is used */
    uint16_t port;     /* 6379 */
    char *socket_path; /* NULL when TCP is used */
    char *user;        /* NULL = none */
    char *password;    /* NULL = none; never printed */
    uint32_t database;
    char *prefix; /* "mpq" */
    /* sqlite */
    char *path;
    bool durable; /* sync to disk on every commit (survives a power cut), else when the log is checkpointed */
    /* both */
    uint32_t connect_timeout_ms;
    uint32_t read_timeout_ms;
} mpq_broker_config;

typedef struct mpq_queue_config {
    char *name;
    uint32_t workers;
    uint64_t memory_limit_bytes; /* 0 = none */
    uint32_t max_jobs;           /* a worker is replaced after this many; 0 = never */
    uint32_t sleep_ms;
    uint32_t timeout_ms;
    uint32_t fail_number;
    uint32_t fail_expire_ms;
    bool timeout_retry;
    enum mpq_mode mode;
} mpq_queue_config;

typedef struct mpq_config {
    char *name;
    char *pid_path;
    char *log_path; /* directory; the service's files are in <log_path>/<name> */
    int log_level;  /* enum mpq_level */
    uint32_t stop_timeout_ms;
    uint32_t timeout_grace_ms; /* from the soft timeout to SIGKILL */
    uint32_t start_timeout_ms; /* a new generation has to prove itself within this */
    uint32_t lease_ms;
    uint64_t payload_max_bytes;
    mpq_broker_config broker;
    mpq_queue_config *queues;
    size_t queue_count;
} mpq_config;

/* All defaults set, strings NULL, but for the prefix, which is allocated (NULL when out of memory means "mpq", too). */
void mpq_config_init(mpq_config *config);
void mpq_config_fini(mpq_config *config);
void mpq_broker_config_init(mpq_broker_config *config);
void mpq_broker_config_fini(mpq_broker_config *config);
void mpq_queue_config_init(mpq_queue_config *config);
/* Overwrites `to`, which must own nothing. -1 out of memory; `to` is then empty. */
int mpq_broker_config_copy(mpq_broker_config *to, const mpq_broker_config *from, mpq_error *err);

/* Parses redis://[user[:password]@]host[:port][/database][?prefix=..&connect_timeout=s&read_timeout=s],
 * unix:///path[?database=..&password=..&prefix=..] or redis+unix://. The error never shows the password. */
int mpq_broker_config_parse_dsn(mpq_broker_config *config, const char *dsn, mpq_error *err);

/* "redis 127.0.0.1:6379/0", "redis /run/redis.sock/0", "sqlite /var/lib/q.db": for messages, without secrets. */
void mpq_broker_config_describe(const mpq_broker_config *config, char *out, size_t size);

const mpq_queue_config *mpq_config_queue(const mpq_config *config, const char *name, size_t len);

/* NULL when fit, else what is wrong, as the tail of a sentence ("must be 1 to 64 characters of A-Z a-z 0-9 . _ -"). */
const char *mpq_config_service_name_problem(const char *name, size_t len);
const char *mpq_config_queue_name_problem(const char *name,
                                          size_t len); /* 1..128 bytes, no control characters, no { or } */

#endif
