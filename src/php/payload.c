#include "payload_internal.h"

#include "ext/standard/php_incomplete_class.h"
#include "ext/standard/php_var.h"
#include "zend_closures.h"
#include "zend_exceptions.h"
#include "zend_interfaces.h"

/* -- decoding ------------------------------------------------------------------------------------------------- */

static int undecodable(const char *fmt, ...) ZEND_ATTRIBUTE_FORMAT(printf, 1, 2);
static int undecodable(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    zend_string *message = zend_vstrpprintf(0, fmt, args);
    va_end(args);
    zend_throw_exception(mpqueue_ce_UndecodableJobException, ZSTR_VAL(message), 0);
    zend_string_release(message);
    return -1;
}

static int undecodable_class(zend_string *name)
{
    return undecodable("the class %s of this job does not exist here; is it loaded, or an autoloader registered, in "
                       "worker_start_handle?",
                       ZSTR_VAL(name));
}

/* Counted from 1, the kind included. Says why when unserialize() has thrown. */
static int undecodable_at(size_t at, size_t len)
{
    zend_object *thrown = EG(exception);
    if (!thrown || zend_is_unwind_exit(thrown) || zend_is_graceful_exit(thrown)) {
        return undecodable("the stored job is damaged at byte %zu of %zu", at, len);
    }
    zend_string *reason = mpqueue_exception_message(thrown);
    undecodable("the stored job can't be restored from byte %zu of %zu on: %s", at, len, ZSTR_VAL(reason));
    zend_string_release(reason);
    return -1;
}

/* The whole of the bytes. Objects' __unserialize and __wakeup run when the state is destroyed: what they throw is the
 * user's; what is thrown before that is about the bytes. */
static int unserialize(const char *data, size_t len, zval *out)
{
    const unsigned char *at = (const unsigned char *)data, *end = at + len;
    php_unserialize_data_t state;
    ZVAL_UNDEF(out);
    PHP_VAR_UNSERIALIZE_INIT(state);
    bool parsed = php_var_unserialize(out, &at, end, &state) && at == end;
    PHP_VAR_UNSERIALIZE_DESTROY(state);
    if (Z_ISREF_P(out)) {
        zend_unwrap_reference(out);
    }
    if (parsed && !EG(exception)) {
        return 0;
    }
    zval_ptr_dtor(out);
    ZVAL_UNDEF(out);
    return parsed ? -1 : undecodable_at((size_t)(at - (const unsigned char *)data) + 1, len + 1);
}

static int check_class(zval *object)
{
    if (Z_OBJCE_P(object) != php_ce_incomplete_class) {
        return 0;
    }
    zend_string *name = php_lookup_class_name(Z_OBJ_P(object));
    undecodable_class(name ? name : ZSTR_KNOWN(ZEND_STR_UNKNOWN));
    if (name) {
        zend_string_release(name);
    }
    return -1;
}

static int decode_object(const char *data, size_t len, mpqueue_payload *out)
{
    if (unserialize(data, len, &out->job) < 0) {
        return -1;
    }
    if (Z_TYPE(out->job) != IS_OBJECT) {
        return undecodable("the stored job is %s instead of an object", zend_zval_type_name(&out->job));
    }
    zend_class_entry *ce = Z_OBJCE(out->job);
    out->method = is_job_class(ce) ? zend_hash_str_find_ptr(&ce->function_table, ZEND_STRL("handle"))
                                   : zend_hash_str_find_ptr(&ce->function_table, ZEND_STRL("__invoke"));
    if (EXPECTED(out->method)) {
        return 0;
    }
    if (check_class(&out->job) < 0) {
        return -1;
    }
    return undecodable("the class %s is no job here: it does not extend MPQueue\\Job and has no __invoke()",
                       ZSTR_VAL(ce->name));
}

/* [subject, args] into job and args. */
static int decode_pair(const char *data, size_t len, mpqueue_payload *out)
{
    zval pair;
    if (unserialize(data, len, &pair) < 0) {
        return -1;
    }
    zval *subject = NULL, *args = NULL;
    if (Z_TYPE(pair) == IS_ARRAY) {
        subject = zend_hash_index_find_deref(Z_ARRVAL(pair), 0);
        args = zend_hash_index_find_deref(Z_ARRVAL(pair), 1);
    }
    bool complete = subject && args && Z_TYPE_P(args) == IS_ARRAY;
    if (complete) {
        ZVAL_COPY(&out->job, subject);
        if (has_args(Z_ARRVAL_P(args))) {
            ZVAL_COPY(&out->args, args);
        }
    }
    zval_ptr_dtor(&pair);
    return complete ? 0 : undecodable("the stored job has no subject and arguments");
}

static HashTable *args_of(const mpqueue_payload *payload)
{
    return Z_ISUNDEF(payload->args) ? NULL : Z_ARRVAL(payload->args);
}

/* Constructs the object in place of its class's name. */
static int construct(zend_class_entry *ce, mpqueue_payload *out)
{
    zval object;
    if (object_init_ex(&object, ce) != SUCCESS) {
        return -1;
    }
    zval_ptr_dtor(&out->job);
    ZVAL_COPY_VALUE(&out->job, &object);
    zend_function *constructor = Z_OBJ_HT(object)->get_constructor(Z_OBJ(object));
    if (constructor) {
        zend_call_known_function(constructor, Z_OBJ(object), ce, NULL, 0, NULL, args_of(out));
    }
    if (EG(exception)) {
        zend_object_store_ctor_failed(Z_OBJ(object));
        return -1;
    }
    out->method = zend_hash_str_find_ptr(&ce->function_table, ZEND_STRL("handle"));
    /* They were the constructor's, handle() takes none. */
    zval_ptr_dtor(&out->args);
    ZVAL_UNDEF(&out->args);
    return 0;
}

static int decode_class(const char *data, size_t len, mpqueue_payload *out)
{
    if (decode_pair(data, len, out) < 0) {
        return -1;
    }
    if (Z_TYPE(out->job) != IS_STRING) {
        return undecodable("the stored job has %s instead of a class name", zend_zval_type_name(&out->job));
    }
    zend_class_entry *ce = zend_lookup_class(Z_STR(out->job));
    if (EG(exception)) {
        return -1;
    }
    if (!ce) {
        return undecodable_class(Z_STR(out->job));
    }
    if (!is_job_class(ce) || !is_instantiable(ce)) {
        return undecodable("the class %s is no job here: it %s", ZSTR_VAL(ce->name),
                           is_job_class(ce) ? "is abstract" : "does not extend MPQueue\\Job");
    }
    return construct(ce, out);
}

static int decode_callable(const char *data, size_t len, mpqueue_payload *out)
{
    if (decode_pair(data, len, out) < 0) {
        return -1;
    }
    zval *scope = Z_TYPE(out->job) == IS_ARRAY ? zend_hash_index_find_deref(Z_ARRVAL(out->job), 0) : &out->job;
    if (scope && Z_TYPE_P(scope) == IS_OBJECT && check_class(scope) < 0) {
        return -1;
    }
    char *error = NULL;
    bool callable = zend_is_callable_ex(&out->job, NULL, 0, NULL, &out->call, &error);
    if (!callable) {
        memset(&out->call, 0, sizeof out->call);
        if (!EG(exception)) {
            undecodable("this job can't be called here: %s", error ? error : "it is not callable");
        }
    }
    if (error) {
        efree(error);
    }
    return callable && !EG(exception) ? 0 : -1;
}

static int decode_closure(const char *data, size_t len, mpqueue_payload *out)
{
    if (decode_pair(data, len, out) < 0) {
        return -1;
    }
    if (Z_TYPE(out->job) != IS_OBJECT || check_class(&out->job) < 0) {
        return EG(exception) ? -1 : undecodable("the stored job has no closure");
    }
    zend_function *getter = zend_hash_str_find_ptr(&Z_OBJCE(out->job)->function_table, ZEND_STRL("getclosure"));
    if (!getter) {
        return undecodable("the class %s has no getClosure()", ZSTR_VAL(Z_OBJCE(out->job)->name));
    }
    zval closure;
    zend_call_known_instance_method_with_0_params(getter, Z_OBJ(out->job), &closure);
    if (EG(exception)) {
        zval_ptr_dtor(&closure);
        return -1;
    }
    zval_ptr_dtor(&out->job);
    ZVAL_COPY_VALUE(&out->job, &closure);
    return Z_TYPE(closure) == IS_OBJECT && Z_OBJCE(closure) == zend_ce_closure
               ? 0
               : undecodable("the stored closure can't be restored");
}

static int decode_kind(const char *data, size_t len, mpqueue_payload *out)
{
    switch (out->kind) {
    case MPQUEUE_PAYLOAD_OBJECT:
        return decode_object(data, len, out);
    case MPQUEUE_PAYLOAD_CLASS:
        return decode_class(data, len, out);
    case MPQUEUE_PAYLOAD_CALLABLE:
        return decode_callable(data, len, out);
    case MPQUEUE_PAYLOAD_CLOSURE:
        return decode_closure(data, len, out);
    }
    return undecodable("the stored job is of an unknown kind (first byte 0x%02X)", (unsigned)out->kind);
}

int mpqueue_payload_decode(const char *data, size_t len, mpqueue_payload *out)
{
    memset(out, 0, sizeof *out);
    if (len == 0) {
        return undecodable("the stored job is empty");
    }
    out->kind = (enum mpqueue_payload_kind)(unsigned char)data[0];
    if (decode_kind(data + 1, len - 1, out) < 0) {
        mpqueue_payload_dtor(out);
        return -1;
    }
    return 0;
}

/* -- running -------------------------------------------------------------------------------------------------- */

void mpqueue_payload_call(mpqueue_payload *payload, zval *retval)
{
    ZVAL_UNDEF(retval);
    if (EXPECTED(payload->method)) {
        zend_call_known_function(payload->method, Z_OBJ(payload->job), Z_OBJCE(payload->job), retval, 0, NULL, NULL);
        return;
    }
    zend_fcall_info call = {.size = sizeof call, .retval = retval, .named_params = args_of(payload)};
    ZVAL_COPY_VALUE(&call.function_name, &payload->job);
    zend_call_function(&call, payload->call.function_handler ? &payload->call : NULL);
    /* A function made up for __call was freed by the call. */
    memset(&payload->call, 0, sizeof payload->call);
}

zend_object *mpqueue_payload_job_object(const mpqueue_payload *payload)
{
    return Z_TYPE(payload->job) == IS_OBJECT && is_job_class(Z_OBJCE(payload->job)) ? Z_OBJ(payload->job) : NULL;
}

void mpqueue_payload_dtor(mpqueue_payload *payload)
{
    if (payload->call.function_handler) {
        zend_release_fcall_info_cache(&payload->call);
    }
    zval_ptr_dtor(&payload->job);
    zval_ptr_dtor(&payload->args);
    memset(payload, 0, sizeof *payload);
}

/* -- describing ----------------------------------------------------------------------------------------------- */

static bool skip(mpq_slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->data, prefix, len) != 0) {
        return false;
    }
    *text = mpq_slice_of(text->data + len, text->len - len);
    return true;
}

/* Takes `s:3:"Foo"`, `O:3:"Foo"` and the like from the start of `text`. */
static bool take_name(mpq_slice *text, mpq_slice *name)
{
    size_t len = 0, at = 2;
    if (text->len < 3 || !memchr("sOCE", text->data[0], 4) || text->data[1] != ':') {
        return false;
    }
    for (; at < text->len && isdigit((unsigned char)text->data[at]) && len < text->len; at++) {
        len = len * 10 + (size_t)(text->data[at] - '0');
    }
    if (text->len < at + 2 || text->data[at] != ':' || text->data[at + 1] != '"' || len > text->len - at - 2) {
        return false;
    }
    *name = mpq_slice_of(text->data + at + 2, len);
    *text = mpq_slice_of(name->data + len, text->len - at - 2 - len);
    return true;
}

/* An array callable's class and method; an object's method comes after all of its data and is not looked for. */
static zend_string *describe_method(mpq_slice text)
{
    mpq_slice class_name, method;
    if (!take_name(&text, &class_name)) {
        return NULL;
    }
    bool found = skip(&text, "\";i:1;") && take_name(&text, &method);
    return found ? strpprintf(0, "%.*s::%.*s", (int)class_name.len, class_name.data, (int)method.len, method.data)
                 : zend_string_init(class_name.data, class_name.len, false);
}

zend_string *mpqueue_payload_describe(mpq_slice payload)
{
    mpq_slice name;
    mpq_slice text = mpqueue_seal_peek(payload);
    zend_string *described = NULL;
    if (skip(&text, "K")) {
        return zend_string_init(ZEND_STRL("closure"), false);
    }
    if (skip(&text, "Fa:2:{i:0;a:2:{i:0;")) {
        described = describe_method(text);
    } else if ((skip(&text, "O") || skip(&text, "Ca:2:{i:0;") || skip(&text, "Fa:2:{i:0;")) &&
               take_name(&text, &name)) {
        described = zend_string_init(name.data, name.len, false);
    }
    return described ? described : zend_string_init(ZEND_STRL("unknown"), false);
}
