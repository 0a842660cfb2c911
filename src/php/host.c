#include "host.h"
#include "../../php_mpqueue.h"
#include "fork.h"
#include "guard.h"
#include "hygiene.h"
#include "interrupt.h"
#include "jobinfo.h"

#include "zend_exceptions.h"

/* ---- forks ---- */

static void before_fork(void *self)
{
    (void)self;
    mpqueue_fork_before();
}

static void after_fork(void *self, enum mpq_role role)
{
    (void)self;
    mpqueue_fork_after(role);
}

/* ---- callables of the configuration ---- */

typedef struct callback {
    zval *callable; /* borrowed */
    const char *setting;
} callback;

/* 0, or -1 with an exception. The cache is good for one call. */
static int resolve(const callback *call, zend_fcall_info *fci, zend_fcall_info_cache *fcc)
{
    char *problem = NULL;

    if (zend_fcall_info_init(call->callable, 0, fci, fcc, NULL, &problem) == SUCCESS) {
        if (problem) {
            efree(problem);
        }
        return 0;
    }
    if (!EG(exception)) {
        zend_throw_exception_ex(mpqueue_ce_ConfigException, 0, "%s can't be called: %s", call->setting,
                                problem ? problem : "no valid callback");
    }
    if (problem) {
        efree(problem);
    }
    return -1;
}

/* User functions ignore arguments they do not declare; functions of extensions refuse them. */
static uint32_t accepted(const zend_fcall_info_cache *fcc, uint32_t count)
{
    const zend_function *fn = fcc->function_handler;
    bool is_strict = fn->type == ZEND_INTERNAL_FUNCTION && !(fn->common.fn_flags & ZEND_ACC_VARIADIC);
    return is_strict && fn->common.num_args < count ? fn->common.num_args : count;
}

static bool call_callable(const callback *call, zval *args, uint32_t count)
{
    zend_fcall_info fci;
    zend_fcall_info_cache fcc;
    zval result;
    bool returned;

    if (resolve(call, &fci, &fcc) != 0) {
        return false;
    }
    ZVAL_UNDEF(&result);
    fci.retval = &result;
    fci.params = args;
    fci.param_count = accepted(&fcc, count);
    zend_call_function(&fci, &fcc);
    returned = Z_TYPE(result) != IS_UNDEF;
    zval_ptr_dtor(&result);
    return returned;
}

static bool call_without_arguments(void *arg)
{
    return call_callable(arg, NULL, 0);
}

static int run_callback(zval *callable, const char *setting, mpq_error *err)
{
    callback call = {callable, setting};
    mpq_outcome outcome;
    char how[900];

    if (!callable) {
        return 0;
    }
    mpqueue_guard_call(call_without_arguments, &call, &outcome);
    mpqueue_fork_no_time_limit();
    if (outcome.end == MPQ_END_DONE) {
        return 0;
    }
    mpqueue_guard_describe(&outcome, how, sizeof how);
    return mpq_error_set(err, MPQ_ERROR_CONFIG, "%s %s", setting, how);
}

static int preload(void *self, mpq_error *err)
{
    mpqueue_host *host = self;
    return run_callback(mpqueue_config_preload(host->config), "basics.preload", err);
}

static int worker_start(void *self, uint32_t queue_index, mpq_error *err)
{
    mpqueue_host *host = self;
    char setting[MPQ_QUEUE_NAME_MAX + 64];

    if (run_callback(mpqueue_config_worker_start(host->config), "basics.worker_start_handle", err) < 0) {
        return -1;
    }
    snprintf(setting, sizeof setting, "worker_start_handle of queue \"%s\"",
             mpqueue_config_engine(host->config)->queues[queue_index].name);
    return run_callback(mpqueue_config_queue_worker_start(host->config, queue_index), setting, err);
}

/* ---- jobs ---- */

/* On the heap of C, not in a body's locals: a fatal error leaves a body half-way. */
typedef struct current_run {
    mpqueue_host *host;
    const mpq_run *run;
    bool is_decoded; /* what is thrown from now on is the job's doing */
    char text[2048]; /* of a timeout that the job did not let through */
} current_run;

static current_run current;

static int decode(const current_run *it, mpqueue_payload *out)
{
    const mpqueue_keys *keys = mpqueue_config_keys(it->host->config);
    mpq_slice payload;

    if (mpqueue_seal_open(keys, it->run->queue, it->run->job->payload, &payload) != 0) {
        return -1;
    }
    return mpqueue_payload_decode(payload.data, payload.len, out);
}

static bool run_payload(void *arg)
{
    current_run *it = arg;
    mpqueue_payload payload;
    zval result;
    bool returned;

    if (decode(it, &payload) != 0) {
        return false;
    }
    it->is_decoded = true;
    ZVAL_UNDEF(&result);
    mpqueue_payload_call(&payload, &result);
    returned = Z_TYPE(result) != IS_UNDEF;
    zval_ptr_dtor(&result);
    mpqueue_payload_dtor(&payload);
    return returned;
}

/* ---- failure handlers ---- */

typedef struct failure {
    zval info; /* reference to the array: both handlers work on the same one */
    zval exception;
    bool is_final; /* the job's own handler has dealt with it */
} failure;

static bool ask_job(zend_object *job, failure *it)
{
    zend_function *method = zend_hash_str_find_ptr(&job->ce->function_table, ZEND_STRL("fail_handle"));
    zval args[2], result;
    bool returned;

    if (!method) {
        return true;
    }
    ZVAL_COPY_VALUE(&args[0], &it->info);
    ZVAL_COPY_VALUE(&args[1], &it->exception);
    ZVAL_UNDEF(&result);
    zend_call_known_function(method, job, job->ce, &result, 2, args, NULL);
    returned = Z_TYPE(result) != IS_UNDEF;
    it->is_final = Z_TYPE(result) != IS_FALSE;
    zval_ptr_dtor(&result);
    return returned;
}

static bool ask_queue(current_run *run, failure *it)
{
    char setting[MPQ_QUEUE_NAME_MAX + 64];
    callback call = {mpqueue_config_queue_fail_handle(run->host->config, run->run->queue_index), setting};
    zval args[2];

    if (!call.callable) {
        return true;
    }
    snprintf(setting, sizeof setting, "fail_handle of queue \"%s\"", run->run->queue);
    ZVAL_COPY_VALUE(&args[0], &it->info);
    ZVAL_COPY_VALUE(&args[1], &it->exception);
    return call_callable(&call, args, 2);
}

/* What could not be decoded has been recorded when the job was run; here it only means that there is nobody to ask. */
static bool decode_for_handler(const current_run *run, mpqueue_payload *payload)
{
    if (decode(run, payload) == 0) {
        return true;
    }
    if (EG(exception) && !zend_is_unwind_exit(EG(exception))) {
        zend_clear_exception();
    }
    return false;
}

static bool ask_handlers(current_run *run, mpqueue_payload *payload, failure *it)
{
    zend_object *job = payload ? mpqueue_payload_job_object(payload) : NULL;

    if (EG(exception)) {
        return false;
    }
    if (job && !ask_job(job, it)) {
        return false;
    }
    return it->is_final || EG(exception) || ask_queue(run, it);
}

static bool run_handlers(void *arg)
{
    current_run *run = arg;
    mpqueue_payload payload;
    failure it = {.is_final = false};
    mpq_cause cause;
    bool decoded = decode_for_handler(run, &payload), returned;

    if (EG(exception)) {
        return false;
    }
    run->is_decoded = true;
    mpqueue_jobinfo_build(run->run, decoded ? &payload.job : NULL, &it.info);
    ZVAL_MAKE_REF(&it.info);
    mpqueue_jobinfo_last_cause(run->run->job, &cause);
    /* With signed jobs, nothing that is only in the history may load code. */
    mpqueue_jobinfo_exception(&cause, mpqueue_config_keys(run->host->config) == NULL, &it.exception);
    ZVAL_MAKE_REF(&it.exception);
    returned = ask_handlers(run, decoded ? &payload : NULL, &it);
    zval_ptr_dtor(&it.info);
    zval_ptr_dtor(&it.exception);
    if (decoded) {
        mpqueue_payload_dtor(&payload);
    }
    return returned;
}

/* ---- one run ---- */

static bool close_output(void *arg)
{
    (void)arg;
    mpqueue_hygiene_close_output();
    return true;
}

static const char *subject_of(const mpq_run *run)
{
    return run->job->phase == MPQ_PHASE_HANDLER ? "failure handler" : "job";
}

/* A run that was interrupted is a timeout, whatever it made of the exception: its limit has passed. */
static void turn_into_timeout(mpq_outcome *out, const mpq_run *run)
{
    static const char class_name[] = "MPQueue\\Exception\\TimeoutException";
    mpq_slice threw = out->cause.class_name;
    char limit[128], how[1500];

    if (out->end == MPQ_END_EXCEPTION && threw.len == sizeof class_name - 1 &&
        memcmp(threw.data, class_name, threw.len) == 0) {
        out->end = MPQ_END_TIMEOUT;
        return;
    }
    mpqueue_interrupt_describe(subject_of(run), run->job->timeout_ms, limit, sizeof limit);
    mpqueue_guard_describe(out, how, sizeof how);
    snprintf(current.text, sizeof current.text, "%s, caught the TimeoutException and then %s", limit, how);
    out->end = MPQ_END_TIMEOUT;
    out->cause.code = 0;
    out->cause.class_name = mpq_slice_of(class_name, sizeof class_name - 1);
    out->cause.message = mpq_slice_of(current.text, strlen(current.text));
}

/* Only a job whose payload is bad is undecodable; one that throws the exception of that name is not. */
static bool is_undecodable(const mpq_outcome *out)
{
    static const char class_name[] = "MPQueue\\Exception\\UndecodableJobException";
    return !current.is_decoded && out->end == MPQ_END_EXCEPTION && out->cause.class_name.len == sizeof class_name - 1 &&
           memcmp(out->cause.class_name.data, class_name, sizeof class_name - 1) == 0;
}

static void run_job(void *self, const mpq_run *run, mpq_outcome *out)
{
    mpq_outcome closing;

    mpqueue_hygiene_remember();
    current.host = self;
    current.run = run;
    current.is_decoded = false;
    mpqueue_interrupt_arm(subject_of(run), run->job->timeout_ms);
    mpqueue_guard_call(run->job->phase == MPQ_PHASE_HANDLER ? run_handlers : run_payload, &current, out);
    if (is_undecodable(out)) {
        out->end = MPQ_END_UNDECODABLE;
    }
    if (!out->leave && mpqueue_hygiene_has_output()) {
        mpqueue_guard_call_aside(close_output, NULL, &closing);
        if (out->end == MPQ_END_DONE || closing.leave) {
            *out = closing;
        }
    }
    if (mpqueue_interrupt_disarm()) {
        turn_into_timeout(out, run);
    }
    out->recycle = mpqueue_hygiene_is_beyond_repair();
}

static uint64_t between_jobs(void *self)
{
    (void)self;
    return mpqueue_hygiene_restore();
}

static void idle(void *self)
{
    (void)self;
    mpqueue_hygiene_collect();
}

static void interrupt(void *self)
{
    (void)self;
    mpqueue_interrupt_raise();
}

/* ---- the rest ---- */

static void title(void *self, const char *text)
{
    zend_function *fn = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("cli_set_process_title"));
    zval argument, result;

    (void)self;
    if (!fn) {
        return;
    }
    ZVAL_STRING(&argument, text);
    ZVAL_UNDEF(&result);
    zend_call_known_function(fn, NULL, NULL, &result, 1, &argument, NULL);
    zval_ptr_dtor(&argument);
    zval_ptr_dtor(&result);
}

void mpqueue_host_init(mpqueue_host *host, mpqueue_config *config)
{
    host->config = config;
    host->table = (mpq_host){
        .self = host,
        .before_fork = before_fork,
        .after_fork = after_fork,
        .preload = preload,
        .worker_start = worker_start,
        .run_job = run_job,
        .between_jobs = between_jobs,
        .idle = idle,
        .interrupt = interrupt,
        .title = title,
    };
}
