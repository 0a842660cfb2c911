#include "../../php_mpqueue.h"

#include "setting.h"

#include "ext/standard/php_string.h"
#include "zend_attributes.h"
#include "zend_exceptions.h"
#include "zend_smart_str.h"

#define SHOWN_MAX_BYTES 60
#define PATH_MAX_BYTES 160
#define DEFAULT_DIRECTORY "/tmp"

typedef struct checking {
    smart_str problems;
    enum mpqueue_purpose purpose;
} checking;

/* -- checking ------------------------------------------------------------------------------------------------- */

static void begin_problem(checking *check)
{
    if (check->problems.s) {
        smart_str_appendc(&check->problems, '\n');
    }
}

static void report(checking *check, const char *path, const char *key, const char *problem, const zval *given)
{
    begin_problem(check);
    smart_str_append_printf(&check->problems, "%s%s %s", path, key, problem);
    if (given) {
        zend_string *shown = mpqueue_zval_shown(given);
        smart_str_append_printf(&check->problems, ", got %s", ZSTR_VAL(shown));
        zend_string_release(shown);
    }
}

static const mpqueue_setting *find_setting(const mpqueue_section *section, zend_string *key)
{
    for (size_t i = 0; i < section->count; i++) {
        if (zend_string_equals_cstr(key, section->settings[i].key, strlen(section->settings[i].key))) {
            return &section->settings[i];
        }
    }
    return NULL;
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to change to get from `given` to `key` (Levenshtein). The end of a longer key counts nothing, so
 * "wokers" is near to "worker_number". Both are at most SHOWN_MAX_BYTES long. */
static size_t distance(const char *given, size_t given_len, const char *key)
{
    size_t row[SHOWN_MAX_BYTES + 1], key_len = strlen(key), best = given_len;
    for (size_t i = 0; i <= given_len; i++) {
        row[i] = i;
    }
    for (size_t k = 1; k <= key_len; k++) {
        size_t diagonal = row[0];
        row[0] = k;
        for (size_t i = 1; i <= given_len; i++) {
            size_t replaced = diagonal + (given[i - 1] != key[k - 1]);
            diagonal = row[i];
            row[i] = min_of(replaced, min_of(row[i], row[i - 1]) + 1);
        }
        if (k == key_len || k == given_len) {
            best = min_of(best, row[given_len]);
        }
    }
    return best;
}

static const mpqueue_setting *nearest_setting(const mpqueue_section *section, zend_string *key)
{
    const mpqueue_setting *nearest = NULL;
    size_t best = (ZSTR_LEN(key) + 2) / 3 + 1;
    for (size_t i = 0; i < section->count && ZSTR_LEN(key) > 0 && ZSTR_LEN(key) <= SHOWN_MAX_BYTES; i++) {
        size_t changes = distance(ZSTR_VAL(key), ZSTR_LEN(key), section->settings[i].key);
        if (changes < best) {
            best = changes;
            nearest = &section->settings[i];
        }
    }
    return nearest;
}

static void report_unknown(checking *check, const char *path, zend_string *key, const mpqueue_section *section)
{
    const mpqueue_setting *nearest = nearest_setting(section, key);
    zend_string *printable = php_addcslashes(key, ZEND_STRL("\0..\37\177"));
    begin_problem(check);
    smart_str_append_printf(&check->problems, "%s%.*s is not a known setting", path, SHOWN_MAX_BYTES,
                            ZSTR_VAL(printable));
    zend_string_release(printable);
    if (nearest) {
        smart_str_append_printf(&check->problems, " (did you mean %s?)", nearest->key);
        return;
    }
    smart_str_appends(&check->problems, " (there are: ");
    for (size_t i = 0; i < section->count; i++) {
        smart_str_append_printf(&check->problems, "%s%s", i ? ", " : "", section->settings[i].key);
    }
    smart_str_appendc(&check->problems, ')');
}

/* Converts what the array has of the section's settings into `target`. */
static void convert_section(checking *check, const char *path, const mpqueue_section *section, HashTable *array,
                            void *target)
{
    zend_string *key;
    zend_ulong index;
    zval *value;
    ZEND_HASH_FOREACH_KEY_VAL(array, index, key, value)
    {
        ZVAL_DEREF(value);
        if (!key) {
            begin_problem(check);
            smart_str_append_printf(&check->problems, "%s%s" ZEND_LONG_FMT "%s is not a known setting", path,
                                    *path ? "" : "[", (zend_long)index, *path ? "" : "]");
            continue;
        }
        const mpqueue_setting *setting = find_setting(section, key);
        if (!setting) {
            report_unknown(check, path, key, section);
            continue;
        }
        if (Z_TYPE_P(value) == IS_NULL || !setting->convert) {
            continue;
        }
        const char *problem = setting->convert(setting, value, (char *)target + setting->offset);
        if (problem) {
            report(check, path, setting->key, problem, mpqueue_setting_is_secret(setting) ? NULL : value);
        }
    }
    ZEND_HASH_FOREACH_END();
}

static zval *present(HashTable *array, const char *key)
{
    zval *value = zend_hash_str_find_deref(array, key, strlen(key));
    return value && Z_TYPE_P(value) != IS_NULL ? value : NULL;
}

/* The array under a top-level key; NULL when there is none (a wrong type is reported). */
static HashTable *subarray(checking *check, HashTable *array, const char *key, const char *must)
{
    zval *value = present(array, key);
    if (value && Z_TYPE_P(value) != IS_ARRAY) {
        report(check, "", key, must, value);
        return NULL;
    }
    return value ? Z_ARRVAL_P(value) : NULL;
}

static void convert_basics(checking *check, HashTable *array, mpqueue_config *config)
{
    HashTable *basics = subarray(check, array, "basics", "must be an array");
    zval of_top = config->worker_start;
    ZVAL_UNDEF(&config->worker_start);
    if (basics) {
        convert_section(check, "basics.", &mpqueue_section_basics, basics, config);
    }
    if (Z_ISUNDEF(config->worker_start)) {
        config->worker_start = of_top;
    } else if (!Z_ISUNDEF(of_top)) {
        report(check, "", "worker_start_handle", "is set at the top level and in basics: keep one of them", NULL);
        zval_ptr_dtor(&of_top);
    }
    if (!basics || !present(basics, "driver")) {
        report(check, "basics.", "driver", "is missing: set a MPQueue\\Driver\\Redis or MPQueue\\Driver\\Sqlite object",
               NULL);
    }
    if (check->purpose == MPQUEUE_TO_RUN && (!basics || !present(basics, "name"))) {
        report(check, "basics.", "name", "is missing: give the service a name of its own", NULL);
    }
}

static void fini_hooks(mpqueue_queue_hooks *hooks)
{
    zval_ptr_dtor(&hooks->worker_start);
    zval_ptr_dtor(&hooks->fail_handle);
}

static void report_duplicate(checking *check, const char *path, const mpqueue_config *config, const char *name)
{
    for (size_t i = 0; i < config->engine.queue_count; i++) {
        if (strcmp(config->engine.queues[i].name, name) == 0) {
            zval shown;
            ZVAL_STRING(&shown, name);
            report(check, path, "name", "must be different for each queue", &shown);
            zval_ptr_dtor(&shown);
            return;
        }
    }
}

/* The room for it was made by convert_queues. */
static void convert_queue(checking *check, const char *path, HashTable *array, mpqueue_config *config)
{
    mpqueue_queue_draft draft;
    memset(&draft, 0, sizeof draft);
    mpq_queue_config_init(&draft.engine);
    ZVAL_UNDEF(&draft.hooks.worker_start);
    ZVAL_UNDEF(&draft.hooks.fail_handle);
    convert_section(check, path, &mpqueue_section_queue, array, &draft);
    if (!present(array, "name")) {
        report(check, path, "name", "is missing", NULL);
    }
    if (!draft.engine.name) { /* missing or wrong, and reported */
        fini_hooks(&draft.hooks);
        return;
    }
    report_duplicate(check, path, config, draft.engine.name);
    config->engine.queues[config->engine.queue_count] = draft.engine;
    config->queues[config->engine.queue_count++] = draft.hooks;
}

static void check_totals(checking *check, const mpqueue_config *config)
{
    uint64_t workers = 0;
    for (size_t i = 0; i < config->engine.queue_count; i++) {
        workers += config->engine.queues[i].workers;
    }
    if (workers > MPQ_WORKERS_MAX) {
        begin_problem(check);
        smart_str_append_printf(&check->problems, "queue must have at most %d workers in all, got %" PRIu64,
                                MPQ_WORKERS_MAX, workers);
    }
}

static void convert_queues(checking *check, HashTable *array, mpqueue_config *config)
{
    HashTable *queues = subarray(check, array, "queue", MPQUEUE_QUEUE_MUST);
    size_t count = queues ? zend_hash_num_elements(queues) : 0;
    if (count == 0) {
        if (!present(array, "queue") || queues) {
            report(check, "", "queue", "is missing: it " MPQUEUE_QUEUE_MUST, NULL);
        }
        return;
    }
    if (count > MPQ_QUEUES_MAX) {
        begin_problem(check);
        smart_str_append_printf(&check->problems, "queue must have at most %d queues, got %zu", MPQ_QUEUES_MAX, count);
        return;
    }
    config->engine.queues = pecalloc(count, sizeof *config->engine.queues, true);
    config->queues = ecalloc(count, sizeof *config->queues);

    zend_string *key;
    zend_ulong index;
    zval *value;
    ZEND_HASH_FOREACH_KEY_VAL(queues, index, key, value)
    {
        char path[PATH_MAX_BYTES];
        ZVAL_DEREF(value);
        if (key) {
            snprintf(path, sizeof path, "queue[\"%.100s\"]", ZSTR_VAL(key));
        } else {
            snprintf(path, sizeof path, "queue[" ZEND_LONG_FMT "]", (zend_long)index);
        }
        if (Z_TYPE_P(value) != IS_ARRAY) {
            report(check, path, "", "must be an array with the settings of one queue", value);
            continue;
        }
        strcat(path, ".");
        convert_queue(check, path, Z_ARRVAL_P(value), config);
    }
    ZEND_HASH_FOREACH_END();
    check_totals(check, config);
}

/* -- configurations ------------------------------------------------------------------------------------------- */

static mpqueue_config *new_config(HashTable *array)
{
    mpqueue_config *config = ecalloc(1, sizeof *config);
    config->references = 1;
    mpq_config_init(&config->engine);
    mpqueue_set_string(&config->engine.pid_path, ZEND_STRL(DEFAULT_DIRECTORY));
    mpqueue_set_string(&config->engine.log_path, ZEND_STRL(DEFAULT_DIRECTORY));
    if (GC_FLAGS(array) & GC_IMMUTABLE) {
        ZVAL_ARR(&config->array, array);
        Z_TYPE_FLAGS(config->array) = 0;
    } else {
        GC_ADDREF(array);
        ZVAL_ARR(&config->array, array);
    }
    return config;
}

/* In the copy that can be asked for each key is in an object that no dump and no trace looks into. */
static void hide_key(zval *element)
{
    zval hidden, *key = element;

    ZVAL_DEREF(key);
    if (Z_TYPE_P(key) == IS_STRING && object_init_ex(&hidden, zend_ce_sensitive_parameter_value) == SUCCESS) {
        zend_call_known_instance_method_with_1_params(zend_ce_sensitive_parameter_value->constructor, Z_OBJ(hidden),
                                                      NULL, key);
        zval_ptr_dtor(element);
        ZVAL_COPY_VALUE(element, &hidden);
    }
}

static HashTable *separate(HashTable *in, const char *key)
{
    zval copy;

    ZVAL_ARR(&copy, zend_array_dup(Z_ARRVAL_P(zend_hash_str_find_deref(in, key, strlen(key)))));
    return Z_ARRVAL_P(zend_hash_str_update(in, key, strlen(key), &copy));
}

static void hide_keys(mpqueue_config *config)
{
    zval shown, *key;

    if (!config->keys) {
        return;
    }
    ZVAL_ARR(&shown, zend_array_dup(Z_ARRVAL(config->array)));
    HashTable *keys = separate(separate(Z_ARRVAL(shown), "basics"), "signing_keys");
    ZEND_HASH_FOREACH_VAL(keys, key)
    {
        hide_key(key);
    }
    ZEND_HASH_FOREACH_END();
    zval_ptr_dtor(&config->array);
    config->array = shown;
}

mpqueue_config *mpqueue_config_from_array(HashTable *array, enum mpqueue_purpose purpose)
{
    checking check = {.purpose = purpose};
    mpqueue_config *config = new_config(array);
    convert_section(&check, "", &mpqueue_section_top, array, config);
    convert_basics(&check, array, config);
    HashTable *log = subarray(&check, array, "log", "must be an array");
    if (log) {
        convert_section(&check, "log.", &mpqueue_section_log, log, config);
    }
    convert_queues(&check, array, config);
    if (!check.problems.s) {
        hide_keys(config);
        return config;
    }
    mpqueue_config_release(config);
    smart_str_0(&check.problems);
    zend_throw_exception(mpqueue_ce_ConfigException, ZSTR_VAL(check.problems.s), 0);
    smart_str_free(&check.problems);
    return NULL;
}

mpqueue_config *mpqueue_config_addref(mpqueue_config *config)
{
    config->references++;
    return config;
}

void mpqueue_config_release(mpqueue_config *config)
{
    if (config && --config->references == 0) {
        mpqueue_config_free(config);
    }
}

void mpqueue_config_free(mpqueue_config *config)
{
    for (size_t i = 0; i < config->engine.queue_count; i++) {
        fini_hooks(&config->queues[i]);
    }
    zval_ptr_dtor(&config->preload);
    zval_ptr_dtor(&config->worker_start);
    zval_ptr_dtor(&config->array);
    if (config->queues) {
        efree(config->queues);
    }
    mpqueue_keys_free(config->keys);
    mpq_config_fini(&config->engine);
    efree(config);
}

const mpqueue_keys *mpqueue_config_keys(const mpqueue_config *config)
{
    return config->keys;
}

const mpq_config *mpqueue_config_engine(const mpqueue_config *config)
{
    return &config->engine;
}

zval *mpqueue_config_array(const mpqueue_config *config)
{
    return (zval *)&config->array;
}

static zval *if_set(zval *callable)
{
    return Z_ISUNDEF_P(callable) ? NULL : callable;
}

zval *mpqueue_config_preload(mpqueue_config *config)
{
    return if_set(&config->preload);
}

zval *mpqueue_config_worker_start(mpqueue_config *config)
{
    return if_set(&config->worker_start);
}

zval *mpqueue_config_queue_worker_start(mpqueue_config *config, size_t queue)
{
    return if_set(&config->queues[queue].worker_start);
}

zval *mpqueue_config_queue_fail_handle(mpqueue_config *config, size_t queue)
{
    return if_set(&config->queues[queue].fail_handle);
}
