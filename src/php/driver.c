#include "../../php_mpqueue.h"

#include "zend_attributes.h"
#include "zend_exceptions.h"

#include "../../stubs/driver_arginfo.h"

/* More than a process talks to; a process that makes new settings all the time does not collect connections. */
#define HANDLES_MAX 16
#define PREFIX_MAX_BYTES 64
#define TIMEOUT_MIN_SECONDS 0.001
#define TIMEOUT_MAX_SECONDS 3600.0

zend_class_entry *mpqueue_ce_Driver;
zend_class_entry *mpqueue_ce_Redis;
zend_class_entry *mpqueue_ce_Sqlite;
zend_class_entry *mpqueue_ce_Memory;

typedef struct driver_object {
    mpq_broker_config config;
    bool constructed;
    zend_object std;
} driver_object;

struct mpqueue_handle {
    mpqueue_handle *next;
    mpq_broker_config config;
    uint64_t payload_max_bytes;
    mpq_producer *producer;
};

static zend_object_handlers handlers;

static driver_object *driver_of(zend_object *object)
{
    return (driver_object *)((char *)object - XtOffsetOf(driver_object, std));
}

const mpq_broker_config *mpqueue_driver_config(zend_object *object)
{
    driver_object *driver = driver_of(object);
    return driver->constructed ? &driver->config : NULL;
}

/* -- settings ------------------------------------------------------------------------------------------------- */

static bool same_string(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_config(const mpq_broker_config *a, const mpq_broker_config *b)
{
    return a->driver == b->driver && a->port == b->port && a->database == b->database && a->durable == b->durable &&
           a->connect_timeout_ms == b->connect_timeout_ms && a->read_timeout_ms == b->read_timeout_ms &&
           same_string(a->host, b->host) && same_string(a->socket_path, b->socket_path) &&
           same_string(a->user, b->user) && same_string(a->password, b->password) &&
           same_string(a->prefix, b->prefix) && same_string(a->path, b->path);
}

/* Each set_ function returns 0, or -1 with a ConfigException thrown. */
static int refuse(const char *what, const char *problem, const zval *given)
{
    zend_string *shown = mpqueue_zval_shown(given);
    zend_throw_exception_ex(mpqueue_ce_ConfigException, 0, "%s %s, got %s", what, problem, ZSTR_VAL(shown));
    zend_string_release(shown);
    return -1;
}

static int refuse_string(const char *what, const char *problem, zend_string *given)
{
    zval value;
    ZVAL_STR(&value, given);
    return refuse(what, problem, &value);
}

static int set_timeout(uint32_t *field, const char *what, double seconds)
{
    zval value;
    uint64_t ms;
    ZVAL_DOUBLE(&value, seconds);
    if (mpqueue_zval_to_ms(&value, TIMEOUT_MIN_SECONDS, TIMEOUT_MAX_SECONDS, &ms) < 0) {
        return refuse(what, "must be a number of seconds from 0.001 to 3600", &value);
    }
    *field = (uint32_t)ms;
    return 0;
}

static int set_host(mpq_broker_config *config, zend_string *host)
{
    const char *text = ZSTR_VAL(host);
    size_t len = ZSTR_LEN(host);

    if (len == 0 || strlen(text) != len) {
        return refuse_string("MPQueue\\Driver\\Redis: host", "must be a host name, a path or a DSN", host);
    }
    if (strstr(text, "://")) {
        mpq_error err = {0};
        if (mpq_broker_config_parse_dsn(config, text, &err) < 0) {
            mpqueue_throw(&err);
            return -1;
        }
        return 0;
    }
    if (text[0] == '/') {
        mpqueue_set_string(&config->socket_path, text, len);
        return 0;
    }
    if (text[0] == '[' && text[len - 1] == ']') { /* an IPv6 address as in a URL */
        mpqueue_set_string(&config->host, text + 1, len - 2);
        return 0;
    }
    const char *colon = strchr(text, ':');
    if (colon && !strchr(colon + 1, ':')) {
        return refuse_string("MPQueue\\Driver\\Redis: host",
                             "must not contain the port, which is an argument of its own", host);
    }
    mpqueue_set_string(&config->host, text, len);
    return 0;
}

static int set_port(mpq_broker_config *config, zend_long port, bool port_is_null)
{
    if (port_is_null) {
        return 0;
    }
    if (port < 1 || port > 65535) {
        zval value;
        ZVAL_LONG(&value, port);
        return refuse("MPQueue\\Driver\\Redis: port", "must be 1 to 65535", &value);
    }
    config->port = (uint16_t)port;
    return 0;
}

static int set_database(mpq_broker_config *config, zend_string *text, zend_long number)
{
    zval value;
    uint64_t database;
    if (text) {
        ZVAL_STR(&value, text);
    } else {
        ZVAL_LONG(&value, number);
    }
    if (mpqueue_zval_to_count(&value, 0, INT32_MAX, &database) < 0) {
        return refuse("MPQueue\\Driver\\Redis: database", "must be the number of a database, 0 or more", &value);
    }
    config->database = (uint32_t)database;
    return 0;
}

static int set_prefix(mpq_broker_config *config, zend_string *prefix)
{
    const char *problem = mpq_config_queue_name_problem(ZSTR_VAL(prefix), ZSTR_LEN(prefix));
    if (problem || ZSTR_LEN(prefix) > PREFIX_MAX_BYTES) {
        return refuse_string("MPQueue\\Driver\\Redis: prefix",
                             problem && ZSTR_LEN(prefix) ? problem : "must be 1 to 64 bytes long", prefix);
    }
    mpqueue_set_string(&config->prefix, ZSTR_VAL(prefix), ZSTR_LEN(prefix));
    return 0;
}

/* User and password go out as they are; a NUL byte would cut them. */
static int set_secret(char **field, const char *what, zend_string *value)
{
    if (!value || ZSTR_LEN(value) == 0) {
        return 0;
    }
    if (strlen(ZSTR_VAL(value)) != ZSTR_LEN(value)) {
        zend_throw_exception_ex(mpqueue_ce_ConfigException, 0, "%s must not contain NUL bytes", what);
        return -1;
    }
    mpqueue_set_string(field, ZSTR_VAL(value), ZSTR_LEN(value));
    return 0;
}

static int set_path(mpq_broker_config *config, zend_string *path)
{
    static const char what[] = "MPQueue\\Driver\\Sqlite: path";
    if (ZSTR_LEN(path) == 0 || strlen(ZSTR_VAL(path)) != ZSTR_LEN(path)) {
        return refuse_string(what, "must be the path of a file", path);
    }
    if (zend_string_equals_literal(path, ":memory:")) {
        return refuse_string(what, "must be the path of a file (for tests in memory use MPQueue\\Driver\\Memory)",
                             path);
    }
    char *absolute = expand_filepath(ZSTR_VAL(path), NULL);
    if (!absolute) {
        return refuse_string(what, "must be a path that can be made absolute", path);
    }
    bool allowed = php_check_open_basedir_ex(absolute, 0) == 0;
    mpqueue_set_string(&config->path, absolute, strlen(absolute));
    efree(absolute);
    return allowed ? 0 : refuse_string(what, "must be inside of open_basedir", path);
}

/* -- objects -------------------------------------------------------------------------------------------------- */

/* A fresh configuration in place of what an earlier call of the constructor left. */
static mpq_broker_config *begin_construction(zval *object, enum mpq_driver driver)
{
    driver_object *self = driver_of(Z_OBJ_P(object));
    self->constructed = false;
    mpq_broker_config_fini(&self->config);
    mpq_broker_config_init(&self->config);
    self->config.driver = driver;
    return &self->config;
}

static void end_construction(zval *object)
{
    driver_of(Z_OBJ_P(object))->constructed = true;
}

ZEND_METHOD(MPQueue_Driver_Redis, __construct)
{
    zend_string *host = NULL, *password = NULL, *database_text = NULL, *prefix = NULL, *user = NULL;
    zend_long port = 6379, database = 0;
    bool port_is_null = false;
    double connect_timeout = 2.0, read_timeout = 2.0;

    ZEND_PARSE_PARAMETERS_START(0, 8)
    Z_PARAM_OPTIONAL
    Z_PARAM_STR(host)
    Z_PARAM_LONG_OR_NULL(port, port_is_null)
    Z_PARAM_STR_OR_NULL(password)
    Z_PARAM_STR_OR_LONG(database_text, database)
    Z_PARAM_STR(prefix)
    Z_PARAM_STR_OR_NULL(user)
    Z_PARAM_DOUBLE(connect_timeout)
    Z_PARAM_DOUBLE(read_timeout)
    ZEND_PARSE_PARAMETERS_END();

    mpq_broker_config *config = begin_construction(ZEND_THIS, MPQ_DRIVER_REDIS);
    if (!host) {
        mpqueue_set_string(&config->host, ZEND_STRL("127.0.0.1"));
    }
    /* The host comes last: what a DSN says replaces the other arguments. */
    if (set_port(config, port, port_is_null) < 0 || set_database(config, database_text, database) < 0 ||
        (prefix && set_prefix(config, prefix) < 0) ||
        set_secret(&config->password, "MPQueue\\Driver\\Redis: password", password) < 0 ||
        set_secret(&config->user, "MPQueue\\Driver\\Redis: user", user) < 0 ||
        set_timeout(&config->connect_timeout_ms, "MPQueue\\Driver\\Redis: connect_timeout", connect_timeout) < 0 ||
        set_timeout(&config->read_timeout_ms, "MPQueue\\Driver\\Redis: read_timeout", read_timeout) < 0 ||
        (host && set_host(config, host) < 0)) {
        RETURN_THROWS();
    }
    end_construction(ZEND_THIS);
}

ZEND_METHOD(MPQueue_Driver_Sqlite, __construct)
{
    zend_string *path;
    bool durable = false;
    double timeout = 2.0;

    ZEND_PARSE_PARAMETERS_START(1, 3)
    Z_PARAM_STR(path)
    Z_PARAM_OPTIONAL
    Z_PARAM_BOOL(durable)
    Z_PARAM_DOUBLE(timeout)
    ZEND_PARSE_PARAMETERS_END();

    mpq_broker_config *config = begin_construction(ZEND_THIS, MPQ_DRIVER_SQLITE);
    config->durable = durable;
    if (set_path(config, path) < 0 ||
        set_timeout(&config->read_timeout_ms, "MPQueue\\Driver\\Sqlite: timeout", timeout) < 0) {
        RETURN_THROWS();
    }
    config->connect_timeout_ms = config->read_timeout_ms;
    end_construction(ZEND_THIS);
}

ZEND_METHOD(MPQueue_Driver_Memory, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
    begin_construction(ZEND_THIS, MPQ_DRIVER_MEMORY);
    end_construction(ZEND_THIS);
}

static zend_object *create(zend_class_entry *ce)
{
    driver_object *driver = zend_object_alloc(sizeof *driver, ce);
    driver->constructed = false;
    memset(&driver->config, 0, sizeof driver->config);
    zend_object_std_init(&driver->std, ce);
    object_properties_init(&driver->std, ce);
    driver->std.handlers = &handlers;
    return &driver->std;
}

static void release(zend_object *object)
{
    mpq_broker_config_fini(&driver_of(object)->config);
    zend_object_std_dtor(object);
}

static zend_object *copy(zend_object *object)
{
    zend_object *clone = create(object->ce);
    mpq_error err = {0};
    if (mpq_broker_config_copy(&driver_of(clone)->config, &driver_of(object)->config, &err) < 0) {
        mpqueue_throw(&err);
    } else {
        driver_of(clone)->constructed = driver_of(object)->constructed;
    }
    zend_objects_clone_members(clone, object);
    return clone;
}

static int compare(zval *a, zval *b)
{
    ZEND_COMPARE_OBJECTS_FALLBACK(a, b);
    if (Z_OBJCE_P(a) != Z_OBJCE_P(b)) {
        return ZEND_UNCOMPARABLE;
    }
    return same_config(&driver_of(Z_OBJ_P(a))->config, &driver_of(Z_OBJ_P(b))->config) ? 0 : ZEND_UNCOMPARABLE;
}

static void show_string(zval *array, const char *key, const char *text)
{
    if (text) {
        add_assoc_string(array, key, text);
    }
}

/* var_dump() and print_r(); never the password. */
static HashTable *show(const mpq_broker_config *config)
{
    zval array;
    array_init(&array);
    if (config->driver == MPQ_DRIVER_REDIS) {
        show_string(&array, "host", config->host);
        if (config->host) {
            add_assoc_long(&array, "port", config->port);
        }
        show_string(&array, "socket", config->socket_path);
        show_string(&array, "user", config->user);
        show_string(&array, "password", config->password ? "(hidden)" : NULL);
        add_assoc_long(&array, "database", config->database);
        show_string(&array, "prefix", config->prefix);
        add_assoc_double(&array, "connect_timeout", config->connect_timeout_ms / 1000.0);
        add_assoc_double(&array, "read_timeout", config->read_timeout_ms / 1000.0);
    } else if (config->driver == MPQ_DRIVER_SQLITE) {
        show_string(&array, "path", config->path);
        add_assoc_bool(&array, "durable", config->durable);
        add_assoc_double(&array, "timeout", config->read_timeout_ms / 1000.0);
    }
    return Z_ARRVAL(array);
}

static HashTable *properties_for(zend_object *object, zend_prop_purpose purpose)
{
    const mpq_broker_config *config = mpqueue_driver_config(object);
    if (purpose == ZEND_PROP_PURPOSE_DEBUG && config) {
        return show(config);
    }
    return zend_std_get_properties_for(object, purpose);
}

static int only_ours(zend_class_entry *interface, zend_class_entry *ce)
{
    if (ce->type == ZEND_INTERNAL_CLASS || (ce->ce_flags & ZEND_ACC_INTERFACE)) {
        return SUCCESS;
    }
    zend_error_noreturn(E_ERROR,
                        "Class %s can't implement %s: a driver is a MPQueue\\Driver\\Redis, MPQueue\\Driver\\Sqlite or "
                        "MPQueue\\Driver\\Memory object",
                        ZSTR_VAL(ce->name), ZSTR_VAL(interface->name));
    return FAILURE;
}

/* -- kept connections ----------------------------------------------------------------------------------------- */

static void close_handle(mpqueue_handle *handle)
{
    mpq_producer_close(handle->producer);
    mpq_broker_config_fini(&handle->config);
    free(handle);
}

void mpqueue_handles_close(mpqueue_handle *first)
{
    while (first) {
        mpqueue_handle *next = first->next;
        close_handle(first);
        first = next;
    }
}

static mpqueue_handle *open_handle(const mpq_config *config)
{
    mpq_error err = {0};
    mpqueue_handle *handle = calloc(1, sizeof *handle);
    if (!handle || mpq_broker_config_copy(&handle->config, &config->broker, &err) < 0) {
        free(handle);
        mpq_error_set_memory(&err);
        mpqueue_throw(&err);
        return NULL;
    }
    handle->payload_max_bytes = config->payload_max_bytes;
    if (mpq_producer_open(&handle->config, config->payload_max_bytes, &handle->producer, &err) < 0) {
        mpqueue_throw(&err);
        mpq_broker_config_fini(&handle->config);
        free(handle);
        return NULL;
    }
    return handle;
}

/* Takes the handle out of the list; the least recently used one is closed when the list is full. */
static mpqueue_handle *find_handle(const mpq_config *config)
{
    size_t count = 0;
    for (mpqueue_handle **link = &MPQUEUE_G(handles); *link; link = &(*link)->next) {
        mpqueue_handle *handle = *link;
        bool same =
            handle->payload_max_bytes == config->payload_max_bytes && same_config(&handle->config, &config->broker);
        if (!same && ++count < HANDLES_MAX) {
            continue;
        }
        *link = handle->next;
        if (same) {
            return handle;
        }
        close_handle(handle);
        break;
    }
    return NULL;
}

mpq_producer *mpqueue_producer(const mpq_config *config)
{
    mpqueue_handle *handle = find_handle(config);
    if (!handle) {
        handle = open_handle(config);
    }
    if (!handle) {
        return NULL;
    }
    handle->next = MPQUEUE_G(handles);
    MPQUEUE_G(handles) = handle;
    return handle->producer;
}

/* -- declaration ---------------------------------------------------------------------------------------------- */

void mpqueue_driver_minit(void)
{
    memcpy(&handlers, &std_object_handlers, sizeof handlers);
    handlers.offset = XtOffsetOf(driver_object, std);
    handlers.free_obj = release;
    handlers.clone_obj = copy;
    handlers.compare = compare;
    handlers.get_properties_for = properties_for;

    mpqueue_ce_Driver = register_class_MPQueue_Driver_Driver();
    mpqueue_ce_Driver->interface_gets_implemented = only_ours;
    mpqueue_ce_Redis = register_class_MPQueue_Driver_Redis(mpqueue_ce_Driver);
    mpqueue_ce_Sqlite = register_class_MPQueue_Driver_Sqlite(mpqueue_ce_Driver);
    mpqueue_ce_Memory = register_class_MPQueue_Driver_Memory(mpqueue_ce_Driver);
    mpqueue_ce_Redis->create_object = create;
    mpqueue_ce_Sqlite->create_object = create;
    mpqueue_ce_Memory->create_object = create;
}
