#include "../../php_mpqueue.h"

#include "delay.h"

#include "zend_exceptions.h"
#include "zend_interfaces.h"

#include "../../stubs/queue_arginfo.h"

zend_class_entry *mpqueue_ce_Queue;

/* -- settings of a job: from the options, else its own, else the queue's ------------------------------------- */

enum { TIMEOUT, FAIL_NUMBER, FAIL_EXPIRE, SETTINGS };

static const struct {
    const char *name;
    const char *getter; /* of MPQueue\Job, lower case */
    bool is_seconds;
} settings[SETTINGS] = {
    [TIMEOUT] = {"timeout", "gettimeout", true},
    [FAIL_NUMBER] = {"fail_number", "getfailnumber", false},
    [FAIL_EXPIRE] = {"fail_expire", "getfailexpire", true},
};

typedef struct job_settings {
    bool given[SETTINGS];
    uint32_t values[SETTINGS];
} job_settings;

/* One call of push() or pushMany(). */
typedef struct push_call {
    mpqueue_config *config; /* referenced: user code that runs meanwhile may replace it */
    const mpq_queue_config *queue;
    uint64_t delay_ms;
    job_settings options;
    HashTable *args; /* borrowed, NULL = none */
} push_call;

/* NULL, or what is wrong. */
static const char *convert(int which, zval *value, uint32_t *out)
{
    uint64_t count;
    if (settings[which].is_seconds) {
        return mpqueue_zval_to_duration(value, out);
    }
    if (mpqueue_zval_to_count(value, 0, MPQUEUE_COUNT_MAX, &count) < 0) {
        return "must be a whole number >= 0";
    }
    *out = (uint32_t)count;
    return NULL;
}

static int refuse_setting(int which, zval *value, const char *problem, const zend_class_entry *job)
{
    zend_string *shown = mpqueue_zval_shown(value);
    zend_throw_exception_ex(job ? mpqueue_ce_PayloadException : mpqueue_ce_ConfigException, 0, "%s%s%s %s, got %s",
                            job ? ZSTR_VAL(job->name) : "option ", job ? "::$" : "", settings[which].name, problem,
                            ZSTR_VAL(shown));
    zend_string_release(shown);
    return -1;
}

/* `job` is the class that it is of, NULL = an option. -1: thrown. */
static int take_setting(job_settings *into, int which, zval *value, const zend_class_entry *job)
{
    ZVAL_DEREF(value);
    if (Z_TYPE_P(value) == IS_NULL) {
        return 0;
    }
    const char *problem = convert(which, value, &into->values[which]);
    if (problem) {
        return refuse_setting(which, value, problem, job);
    }
    into->given[which] = true;
    return 0;
}

static int take_option(push_call *call, zend_string *key, zval *value)
{
    for (int i = 0; i < SETTINGS; i++) {
        if (zend_string_equals_cstr(key, settings[i].name, strlen(settings[i].name))) {
            return take_setting(&call->options, i, value, NULL);
        }
    }
    if (!zend_string_equals_literal(key, "args")) {
        zend_throw_exception_ex(mpqueue_ce_ConfigException, 0,
                                "option \"%s\" is not known; there are: timeout, fail_number, fail_expire, args",
                                ZSTR_VAL(key));
        return -1;
    }
    ZVAL_DEREF(value);
    if (Z_TYPE_P(value) == IS_ARRAY) {
        call->args = Z_ARRVAL_P(value);
    } else if (Z_TYPE_P(value) != IS_NULL) {
        zend_string *shown = mpqueue_zval_shown(value);
        zend_throw_exception_ex(mpqueue_ce_ConfigException, 0, "option args must be an array, got %s", ZSTR_VAL(shown));
        zend_string_release(shown);
        return -1;
    }
    return 0;
}

static int take_options(push_call *call, HashTable *options)
{
    zend_string *key;
    zend_ulong index;
    zval *value;
    ZEND_HASH_FOREACH_KEY_VAL(options, index, key, value)
    {
        zend_string *name = key ? zend_string_copy(key) : zend_ulong_to_str(index);
        int result = take_option(call, name, value);
        zend_string_release(name);
        if (result < 0) {
            return -1;
        }
    }
    ZEND_HASH_FOREACH_END();
    return 0;
}

/* MPQueue\Job declares the settings first and in this order, so each has its slot in every subclass. What is not
 * simply there (unset, lazy, hooked) is read as PHP would. */
static zval *read_setting(int which, zend_object *job, zval *buffer)
{
    zval *slot = OBJ_PROP_NUM(job, which);
#if PHP_VERSION_ID >= 80400
    if (job->ce->num_hooked_props == 0 && Z_TYPE_P(slot) != IS_UNDEF) {
#else
    if (Z_TYPE_P(slot) != IS_UNDEF) {
#endif
        return slot;
    }
    return zend_read_property(mpqueue_ce_Job, job, settings[which].name, strlen(settings[which].name), false, buffer);
}

/* The property, or the subclass's getter if it has one. For an object that was not constructed the property only. */
static int take_job_setting(job_settings *into, int which, zend_object *job, bool constructed)
{
    zval buffer, *value = &buffer;
    zend_function *getter = constructed ? zend_hash_str_find_ptr(&job->ce->function_table, settings[which].getter,
                                                                 strlen(settings[which].getter))
                                        : NULL;
    bool call_it = getter && getter->common.scope != mpqueue_ce_Job;
    if (call_it) {
        zend_call_known_instance_method_with_0_params(getter, job, &buffer);
    } else {
        value = read_setting(which, job, &buffer);
    }
    int result = EG(exception) ? -1 : take_setting(into, which, value, job->ce);
    if (call_it) {
        zval_ptr_dtor(&buffer);
    }
    return result;
}

static int take_job_settings(job_settings *into, zend_object *job, bool constructed)
{
    for (int i = 0; i < SETTINGS; i++) {
        if (!into->given[i] && take_job_setting(into, i, job, constructed) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A class's settings are the defaults of its properties: nothing is constructed here, and no destructor runs. */
static int take_class_settings(job_settings *into, zend_string *name)
{
    zend_class_entry *ce = zend_lookup_class(name);
    zval object;
    if (!ce || object_init_ex(&object, ce) != SUCCESS) {
        return EG(exception) ? -1 : 0;
    }
    zend_object_store_ctor_failed(Z_OBJ(object));
    int result = take_job_settings(into, Z_OBJ(object), false);
    zval_ptr_dtor(&object);
    return result;
}

/* `kind` is the encoded payload's, which has been found to be a job. */
static int resolve_settings(const push_call *call, zval *job, char kind, mpq_new_job *out)
{
    job_settings resolved = call->options;
    ZVAL_DEREF(job);
    int result = 0;
    if (kind == MPQUEUE_PAYLOAD_CLASS) {
        result = take_class_settings(&resolved, Z_STR_P(job));
    } else if (Z_TYPE_P(job) == IS_OBJECT && instanceof_function(Z_OBJCE_P(job), mpqueue_ce_Job)) {
        result = take_job_settings(&resolved, Z_OBJ_P(job), true);
    }
    const mpq_queue_config *queue = call->queue;
    out->timeout_ms = resolved.given[TIMEOUT] ? resolved.values[TIMEOUT] : queue->timeout_ms;
    out->fail_number = resolved.given[FAIL_NUMBER] ? resolved.values[FAIL_NUMBER] : queue->fail_number;
    out->fail_expire_ms = resolved.given[FAIL_EXPIRE] ? resolved.values[FAIL_EXPIRE] : queue->fail_expire_ms;
    out->flags = queue->timeout_retry ? MPQ_JOB_TIMEOUT_RETRY : 0;
    out->delay_ms = call->delay_ms;
    return result;
}

/* -- what every method begins with ---------------------------------------------------------------------------- */

static void throw_unknown_queue(const mpq_config *config, zend_string *name)
{
    zval given;
    smart_str message = {0};
    ZVAL_STR(&given, name);
    zend_string *shown = mpqueue_zval_shown(&given);
    smart_str_append_printf(&message, "queue %s is not configured; known queues: ", ZSTR_VAL(shown));
    for (size_t i = 0; i < config->queue_count; i++) {
        smart_str_append_printf(&message, "%s\"%s\"", i ? ", " : "", config->queues[i].name);
    }
    smart_str_0(&message);
    zend_throw_exception(mpqueue_ce_ConfigException, ZSTR_VAL(message.s), 0);
    smart_str_free(&message);
    zend_string_release(shown);
}

static const mpq_queue_config *find_queue(zend_string *name)
{
    if (!MPQUEUE_G(config)) {
        zend_throw_exception(mpqueue_ce_ConfigException,
                             "nothing is configured: call MPQueue\\Config::set() before MPQueue\\Queue is used", 0);
        return NULL;
    }
    const mpq_config *config = mpqueue_config_engine(MPQUEUE_G(config));
    const mpq_queue_config *queue = mpq_config_queue(config, ZSTR_VAL(name), ZSTR_LEN(name));
    if (!queue) {
        throw_unknown_queue(config, name);
    }
    return queue;
}

/* -- pushing -------------------------------------------------------------------------------------------------- */

/* 0, or -1 with an exception thrown; end_push() in both cases. */
static int begin_push(push_call *call, zend_string *queue, zval *delay, HashTable *options)
{
    memset(call, 0, sizeof *call);
    call->queue = find_queue(queue);
    if (!call->queue) {
        return -1;
    }
    call->config = mpqueue_config_addref(MPQUEUE_G(config));
    if (delay && mpqueue_delay_to_ms(delay, 3, &call->delay_ms) < 0) {
        return -1;
    }
    return options ? take_options(call, options) : 0;
}

static void end_push(push_call *call)
{
    mpqueue_config_release(call->config);
}

/* Appends the payload, signed if there are keys, to `bytes`, which may move; `out` gets its length and the settings. */
static int append_job(const push_call *call, zval *job, smart_str *bytes, mpq_new_job *out)
{
    const mpqueue_keys *keys = mpqueue_config_keys(call->config);
    size_t start = smart_str_get_len(bytes), payload;
    mpqueue_seal_begin(keys, bytes);
    payload = smart_str_get_len(bytes);
    if (mpqueue_payload_encode(job, call->args, bytes) < 0) {
        return -1;
    }
    mpqueue_seal_end(keys, call->queue->name, bytes, start);
    out->payload.len = ZSTR_LEN(bytes->s) - start;
    return resolve_settings(call, job, ZSTR_VAL(bytes->s)[payload], out);
}

/* The payload's bytes go to `bytes` and are borrowed by `out`. */
static int make_job(const push_call *call, zval *job, smart_str *bytes, mpq_new_job *out)
{
    if (append_job(call, job, bytes, out) < 0) {
        return -1;
    }
    out->payload.data = ZSTR_VAL(bytes->s);
    return 0;
}

static int send_jobs(const push_call *call, const mpq_new_job *jobs, size_t count, mpq_id *ids)
{
    mpq_error err = {0};
    size_t accepted = 0;
    mpq_producer *producer = mpqueue_producer(mpqueue_config_engine(call->config));
    if (!producer) {
        return -1;
    }
    if (mpq_producer_push(producer, call->queue->name, jobs, count, ids, &accepted, &err) == 0) {
        return 0;
    }
    if (accepted > 0) {
        size_t len = strlen(err.text);
        snprintf(err.text + len, sizeof err.text - len,
                 " (%zu of %zu jobs are stored; pushing all again adds none twice)", accepted, count);
    }
    mpqueue_throw(&err);
    return -1;
}

static zend_string *id_string(const mpq_id *id)
{
    char text[MPQ_ID_TEXT_LEN + 1];
    mpq_id_format(id, text);
    return zend_string_init(text, MPQ_ID_TEXT_LEN, false);
}

/* Private, so that nobody makes an object of it. */
ZEND_METHOD(MPQueue_Queue, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(MPQueue_Queue, push)
{
    zend_string *queue;
    zval *job, *delay = NULL;
    HashTable *options = NULL;

    ZEND_PARSE_PARAMETERS_START(2, 4)
    Z_PARAM_STR(queue)
    Z_PARAM_ZVAL(job)
    Z_PARAM_OPTIONAL
    Z_PARAM_ZVAL(delay)
    Z_PARAM_ARRAY_HT(options)
    ZEND_PARSE_PARAMETERS_END();

    push_call call;
    smart_str bytes = {0};
    mpq_new_job new_job = {0};
    mpq_id id;
    if (begin_push(&call, queue, delay, options) == 0 && make_job(&call, job, &bytes, &new_job) == 0 &&
        send_jobs(&call, &new_job, 1, &id) == 0) {
        RETVAL_STR(id_string(&id));
    }
    smart_str_free(&bytes);
    end_push(&call);
}

/* Fills new_jobs; every payload stays in `bytes`, which may move while it grows, so they are pointed at last. */
static int make_jobs(const push_call *call, HashTable *jobs, smart_str *bytes, mpq_new_job *new_jobs)
{
    size_t count = 0;
    zval *job;
    ZEND_HASH_FOREACH_VAL(jobs, job)
    {
        if (append_job(call, job, bytes, &new_jobs[count++]) < 0) {
            return -1;
        }
    }
    ZEND_HASH_FOREACH_END();
    for (size_t i = 0, start = 0; i < count; i++) {
        new_jobs[i].payload.data = ZSTR_VAL(bytes->s) + start;
        start += new_jobs[i].payload.len;
    }
    return 0;
}

static void add_id(HashTable *ids, zend_string *key, zend_ulong index, const mpq_id *id)
{
    zval value;
    ZVAL_STR(&value, id_string(id));
    if (key) {
        zend_hash_add_new(ids, key, &value);
    } else {
        zend_hash_index_add_new(ids, index, &value);
    }
}

static void return_ids(HashTable *jobs, const mpq_id *ids, zval *return_value)
{
    zend_string *key;
    zend_ulong index;
    array_init_size(return_value, zend_hash_num_elements(jobs));
    ZEND_HASH_FOREACH_KEY(jobs, index, key)
    {
        add_id(Z_ARRVAL_P(return_value), key, index, ids++);
    }
    ZEND_HASH_FOREACH_END();
}

ZEND_METHOD(MPQueue_Queue, pushMany)
{
    zend_string *queue;
    zval *delay = NULL;
    HashTable *jobs, *options = NULL;

    ZEND_PARSE_PARAMETERS_START(2, 4)
    Z_PARAM_STR(queue)
    Z_PARAM_ARRAY_HT(jobs)
    Z_PARAM_OPTIONAL
    Z_PARAM_ZVAL(delay)
    Z_PARAM_ARRAY_HT(options)
    ZEND_PARSE_PARAMETERS_END();

    push_call call;
    smart_str bytes = {0};
    uint32_t count = zend_hash_num_elements(jobs);
    mpq_new_job *new_jobs = ecalloc(count + 1, sizeof *new_jobs);
    mpq_id *ids = safe_emalloc(count + 1, sizeof *ids, 0);
    if (begin_push(&call, queue, delay, options) == 0 && make_jobs(&call, jobs, &bytes, new_jobs) == 0 &&
        (count == 0 || send_jobs(&call, new_jobs, count, ids) == 0)) {
        return_ids(jobs, ids, return_value);
    }
    efree(ids);
    efree(new_jobs);
    smart_str_free(&bytes);
    end_push(&call);
}

/* -- looking at queues ---------------------------------------------------------------------------------------- */

/* The store's handle for a configured queue; NULL: thrown. */
static mpq_broker *broker_for(zend_string *queue)
{
    if (!find_queue(queue)) {
        return NULL;
    }
    mpq_producer *producer = mpqueue_producer(mpqueue_config_engine(MPQUEUE_G(config)));
    return producer ? mpq_producer_broker(producer) : NULL;
}

ZEND_METHOD(MPQueue_Queue, counts)
{
    zend_string *queue;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(queue)
    ZEND_PARSE_PARAMETERS_END();

    mpq_counts counts;
    mpq_error err = {0};
    mpq_broker *broker = broker_for(queue);
    if (!broker) {
        RETURN_THROWS();
    }
    if (broker->ops->counts(broker, ZSTR_VAL(queue), &counts, &err) < 0) {
        mpqueue_throw(&err);
        RETURN_THROWS();
    }
    array_init_size(return_value, 6);
    add_assoc_long(return_value, "pushed", (zend_long)counts.pushed);
    add_assoc_long(return_value, "waiting", (zend_long)counts.ready);
    add_assoc_long(return_value, "delayed", (zend_long)counts.delayed);
    add_assoc_long(return_value, "running", (zend_long)counts.running);
    add_assoc_long(return_value, "failed", (zend_long)counts.failed);
    add_assoc_long(return_value, "done", (zend_long)counts.done);
}

ZEND_METHOD(MPQueue_Queue, failed)
{
    zend_string *queue;
    zend_long limit = 100;

    ZEND_PARSE_PARAMETERS_START(1, 2)
    Z_PARAM_STR(queue)
    Z_PARAM_OPTIONAL
    Z_PARAM_LONG(limit)
    ZEND_PARSE_PARAMETERS_END();

    if (limit < 1) {
        zend_argument_value_error(2, "must be greater than 0");
        RETURN_THROWS();
    }
    mpq_broker *broker = broker_for(queue);
    if (!broker) {
        RETURN_THROWS();
    }
    mpqueue_failed_records(broker, ZSTR_VAL(queue), (size_t)limit, return_value);
}

ZEND_METHOD(MPQueue_Queue, clear)
{
    zend_string *queue;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(queue)
    ZEND_PARSE_PARAMETERS_END();

    mpq_error err = {0};
    mpq_broker *broker = broker_for(queue);
    if (broker && broker->ops->clear(broker, ZSTR_VAL(queue), &err) < 0) {
        mpqueue_throw(&err);
    }
}

void mpqueue_queue_minit(void)
{
    mpqueue_ce_Queue = register_class_MPQueue_Queue();
}
