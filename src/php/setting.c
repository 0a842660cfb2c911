#include "setting.h"

#include "../../php_mpqueue.h"

#include "zend_enum.h"

#define PAYLOAD_MIN_BYTES 1024
#define PAYLOAD_MAX_BYTES 536870912 /* what one Redis value holds */
#define MEBIBYTES_MAX 1048576

static const char *to_ms(const mpqueue_setting *setting, zval *value, void *field)
{
    uint64_t ms;
    if (mpqueue_zval_to_ms(value, setting->min, setting->max, &ms) < 0) {
        return setting->must;
    }
    *(uint32_t *)field = (uint32_t)ms;
    return NULL;
}

static const char *to_duration(const mpqueue_setting *setting, zval *value, void *field)
{
    (void)setting;
    return mpqueue_zval_to_duration(value, field);
}

static const char *to_count(const mpqueue_setting *setting, zval *value, void *field)
{
    uint64_t count;
    if (mpqueue_zval_to_count(value, setting->min, setting->max, &count) < 0) {
        return setting->must;
    }
    *(uint32_t *)field = (uint32_t)count;
    return NULL;
}

static const char *to_bytes(const mpqueue_setting *setting, zval *value, void *field)
{
    return mpqueue_zval_to_count(value, setting->min, setting->max, field) < 0 ? setting->must : NULL;
}

static const char *to_mebibytes(const mpqueue_setting *setting, zval *value, void *field)
{
    uint64_t mebibytes;
    if (mpqueue_zval_to_count(value, setting->min, setting->max, &mebibytes) < 0) {
        return setting->must;
    }
    *(uint64_t *)field = mebibytes << 20;
    return NULL;
}

static const char *to_flag(const mpqueue_setting *setting, zval *value, void *field)
{
    uint64_t flag;
    if (Z_TYPE_P(value) == IS_TRUE || Z_TYPE_P(value) == IS_FALSE) {
        flag = Z_TYPE_P(value) == IS_TRUE;
    } else if (mpqueue_zval_to_count(value, 0, 1, &flag) < 0) {
        return setting->must;
    }
    *(bool *)field = flag == 1;
    return NULL;
}

/* Made absolute now: a daemon changes its directory. */
static const char *to_directory(const mpqueue_setting *setting, zval *value, void *field)
{
    if (Z_TYPE_P(value) != IS_STRING || Z_STRLEN_P(value) == 0 || strlen(Z_STRVAL_P(value)) != Z_STRLEN_P(value)) {
        return setting->must;
    }
    char *absolute = expand_filepath(Z_STRVAL_P(value), NULL);
    if (!absolute) {
        return setting->must;
    }
    mpqueue_set_string(field, absolute, strlen(absolute));
    efree(absolute);
    return NULL;
}

static const char *to_service_name(const mpqueue_setting *setting, zval *value, void *field)
{
    if (Z_TYPE_P(value) != IS_STRING) {
        return setting->must;
    }
    const char *problem = mpq_config_service_name_problem(Z_STRVAL_P(value), Z_STRLEN_P(value));
    if (!problem) {
        mpqueue_set_string(field, Z_STRVAL_P(value), Z_STRLEN_P(value));
    }
    return problem;
}

static const char *to_queue_name(const mpqueue_setting *setting, zval *value, void *field)
{
    if (Z_TYPE_P(value) != IS_STRING) {
        return setting->must;
    }
    const char *problem = mpq_config_queue_name_problem(Z_STRVAL_P(value), Z_STRLEN_P(value));
    if (!problem) {
        mpqueue_set_string(field, Z_STRVAL_P(value), Z_STRLEN_P(value));
    }
    return problem;
}

static const struct {
    const char *name;
    int level;
} levels[] = {
    {"debug", MPQ_LEVEL_DEBUG},     {"info", MPQ_LEVEL_INFO},           {"notice", MPQ_LEVEL_NOTICE},
    {"warning", MPQ_LEVEL_WARNING}, {"error", MPQ_LEVEL_ERROR},         {"critical", MPQ_LEVEL_CRITICAL},
    {"alert", MPQ_LEVEL_ALERT},     {"emergency", MPQ_LEVEL_EMERGENCY},
};

/* A number or a name of Monolog's, or a case of its enum. */
static const char *to_level(const mpqueue_setting *setting, zval *value, void *field)
{
    if (Z_TYPE_P(value) == IS_OBJECT && (Z_OBJCE_P(value)->ce_flags & ZEND_ACC_ENUM) &&
        Z_OBJCE_P(value)->enum_backing_type != IS_UNDEF) {
        value = zend_enum_fetch_case_value(Z_OBJ_P(value));
    }
    uint64_t number = 0;
    bool is_number = mpqueue_zval_to_count(value, 0, MPQ_LEVEL_EMERGENCY, &number) == 0;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        bool named = Z_TYPE_P(value) == IS_STRING && strcasecmp(Z_STRVAL_P(value), levels[i].name) == 0;
        if (named || (is_number && number == (uint64_t)levels[i].level)) {
            *(int *)field = levels[i].level;
            return NULL;
        }
    }
    return setting->must;
}

static const char *to_mode(const mpqueue_setting *setting, zval *value, void *field)
{
    uint64_t mode;
    if (mpqueue_zval_to_count(value, setting->min, setting->max, &mode) < 0) {
        return setting->must;
    }
    *(enum mpq_mode *)field = (enum mpq_mode)mode;
    return NULL;
}

static const char *to_driver(const mpqueue_setting *setting, zval *value, void *field)
{
    mpq_error err;
    if (Z_TYPE_P(value) != IS_OBJECT || !instanceof_function(Z_OBJCE_P(value), mpqueue_ce_Driver)) {
        return setting->must;
    }
    const mpq_broker_config *config = mpqueue_driver_config(Z_OBJ_P(value));
    if (!config) {
        return "must be a driver whose constructor has succeeded";
    }
    mpq_broker_config_fini(field);
    return mpq_broker_config_copy(field, config, &err) < 0 ? "could not be copied: out of memory" : NULL;
}

/* The seed's only class for it writes files as we do. */
static const char *to_log_driver(const mpqueue_setting *setting, zval *value, void *field)
{
    static const char known[] = "RotatingFileLogDriver";
    zend_string *name = Z_TYPE_P(value) == IS_STRING   ? Z_STR_P(value)
                        : Z_TYPE_P(value) == IS_OBJECT ? Z_OBJCE_P(value)->name
                                                       : NULL;
    (void)field;
    if (name && ZSTR_LEN(name) >= strlen(known) &&
        strcmp(ZSTR_VAL(name) + ZSTR_LEN(name) - strlen(known), known) == 0) {
        return NULL;
    }
    return setting->must;
}

static bool is_callable_name(zend_string *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_\\:";
    for (size_t i = 0; i < ZSTR_LEN(name); i++) {
        char c = ZSTR_VAL(name)[i];
        if (c == '\0' || (!((unsigned char)c & 0x80) && !strchr(allowed, c))) {
            return false;
        }
    }
    return ZSTR_LEN(name) > 0;
}

static bool has_callable_shape(zval *value)
{
    if (Z_TYPE_P(value) == IS_STRING) {
        return is_callable_name(Z_STR_P(value));
    }
    if (Z_TYPE_P(value) == IS_OBJECT) {
        return zend_is_callable(value, 0, NULL);
    }
    if (Z_TYPE_P(value) != IS_ARRAY || zend_hash_num_elements(Z_ARRVAL_P(value)) != 2) {
        return false;
    }
    zval *scope = zend_hash_index_find_deref(Z_ARRVAL_P(value), 0);
    zval *method = zend_hash_index_find_deref(Z_ARRVAL_P(value), 1);
    if (!scope || !method || Z_TYPE_P(method) != IS_STRING) {
        return false;
    }
    return Z_TYPE_P(scope) == IS_OBJECT ? zend_is_callable(value, 0, NULL)
                                        : Z_TYPE_P(scope) == IS_STRING && is_callable_name(Z_STR_P(scope));
}

/* '' counts as absent, as in the seed's defaults. */
static const char *to_callable(const mpqueue_setting *setting, zval *value, void *field)
{
    if (Z_TYPE_P(value) == IS_STRING && Z_STRLEN_P(value) == 0) {
        return NULL;
    }
    if (!has_callable_shape(value)) {
        return setting->must;
    }
    ZVAL_COPY((zval *)field, value);
    return NULL;
}

static const char *to_keys(const mpqueue_setting *setting, zval *value, void *field)
{
    return Z_TYPE_P(value) == IS_ARRAY && mpqueue_keys_make(Z_ARRVAL_P(value), field) == 0 ? NULL : setting->must;
}

bool mpqueue_setting_is_secret(const mpqueue_setting *setting)
{
    return setting->convert == to_keys;
}

#define CALLABLE_MUST "must be a callable: a function's name, \"A::b\", [class, method], [object, method] or a closure"
#define DIRECTORY_MUST "must be the path of a directory"
#define ENGINE(field) offsetof(mpqueue_config, engine.field)
#define QUEUE(field) offsetof(mpqueue_queue_draft, engine.field)

static const mpqueue_setting basics_settings[] = {
    {"name", to_service_name, ENGINE(name), 0, 0, "must be a string"},
    {"pid_path", to_directory, ENGINE(pid_path), 0, 0, DIRECTORY_MUST},
    {"driver", to_driver, ENGINE(broker), 0, 0,
     "must be a MPQueue\\Driver\\Redis, MPQueue\\Driver\\Sqlite or MPQueue\\Driver\\Memory object"},
    {"worker_start_handle", to_callable, offsetof(mpqueue_config, worker_start), 0, 0, CALLABLE_MUST},
    {"preload", to_callable, offsetof(mpqueue_config, preload), 0, 0, CALLABLE_MUST},
    {"stop_timeout", to_duration, ENGINE(stop_timeout_ms), 0, 0, NULL},
    {"timeout_grace", to_ms, ENGINE(timeout_grace_ms), 0, 3600, "must be a number of seconds from 0 to 3600"},
    {"start_timeout", to_ms, ENGINE(start_timeout_ms), 1, 86400, "must be a number of seconds from 1 to 86400"},
    {"lease", to_ms, ENGINE(lease_ms), 1, 3600, "must be a number of seconds from 1 to 3600"},
    {"max_payload", to_bytes, ENGINE(payload_max_bytes), PAYLOAD_MIN_BYTES, PAYLOAD_MAX_BYTES,
     "must be a number of bytes from 1024 to 536870912"},
    {"signing_keys", to_keys, offsetof(mpqueue_config, keys), 0, 0,
     "must be a list of 1 to 16 keys, strings of at least 32 bytes"},
};

static const mpqueue_setting log_settings[] = {
    {"path", to_directory, ENGINE(log_path), 0, 0, DIRECTORY_MUST},
    {"level", to_level, ENGINE(log_level), 0, 0,
     "must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog"},
    {"driver", to_log_driver, 0, 0, 0, "must be left out: the log goes to files in log.path"},
    {"dirver", to_log_driver, 0, 0, 0, "must be left out: the log goes to files in log.path"},
};

static const mpqueue_setting queue_settings[] = {
    {"name", to_queue_name, QUEUE(name), 0, 0, "must be a string"},
    {"worker_number", to_count, QUEUE(workers), 1, MPQ_WORKERS_MAX, "must be a whole number from 1 to 1024"},
    {"memory_limit", to_mebibytes, QUEUE(memory_limit_bytes), 0, MEBIBYTES_MAX,
     "must be a whole number of MiB, or 0 for no limit"},
    {"max_jobs", to_count, QUEUE(max_jobs), 0, MPQUEUE_COUNT_MAX, "must be a whole number, or 0 for no limit"},
    {"sleep_seconds", to_ms, QUEUE(sleep_ms), 0.001, 3600, "must be a number of seconds from 0.001 to 3600"},
    {"timeout", to_duration, QUEUE(timeout_ms), 0, 0, NULL},
    {"timeout_retry", to_flag, QUEUE(timeout_retry), 0, 0, "must be true or false"},
    {"fail_number", to_count, QUEUE(fail_number), 0, MPQUEUE_COUNT_MAX, "must be a whole number >= 0"},
    {"fail_expire", to_duration, QUEUE(fail_expire_ms), 0, 0, NULL},
    {"fail_handle", to_callable, offsetof(mpqueue_queue_draft, hooks.fail_handle), 0, 0, CALLABLE_MUST},
    {"worker_start_handle", to_callable, offsetof(mpqueue_queue_draft, hooks.worker_start), 0, 0, CALLABLE_MUST},
    {"model", to_mode, QUEUE(mode), MPQ_MODE_DISTRIBUTE, MPQ_MODE_GRAB,
     "must be MPQueue\\Config::MODE_DISTRIBUTE (1) or MPQueue\\Config::MODE_GRAB (2)"},
};

static const mpqueue_setting top_settings[] = {
    {"basics", NULL, 0, 0, 0, "must be an array"},
    {"log", NULL, 0, 0, 0, "must be an array"},
    {"queue", NULL, 0, 0, 0, MPQUEUE_QUEUE_MUST},
    {"worker_start_handle", to_callable, offsetof(mpqueue_config, worker_start), 0, 0, CALLABLE_MUST},
};

#define SECTION(table)                                                                                                 \
    {                                                                                                                  \
        table, sizeof table / sizeof *table                                                                            \
    }
const mpqueue_section mpqueue_section_top = SECTION(top_settings);
const mpqueue_section mpqueue_section_basics = SECTION(basics_settings);
const mpqueue_section mpqueue_section_log = SECTION(log_settings);
const mpqueue_section mpqueue_section_queue = SECTION(queue_settings);
