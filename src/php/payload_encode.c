#include "payload_internal.h"

#include "ext/standard/php_var.h"
#include "zend_closures.h"
#include "zend_exceptions.h"
#include "zend_interfaces.h"

#define SERIALIZABLE_CLOSURE "Laravel\\SerializableClosure\\SerializableClosure"
#define ACCEPTED                                                                                                       \
    "A job is a MPQueue\\Job object or the name of such a class, an object with __invoke(), a function's name, "       \
    "\"A::b\", [class, method], [object, method], or a closure"

static int encode_callable(zval *callable, HashTable *args, smart_str *out);

static int refuse(const char *fmt, ...) ZEND_ATTRIBUTE_FORMAT(printf, 1, 2);
static int refuse(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    zend_string *message = zend_vstrpprintf(0, fmt, args);
    va_end(args);
    zend_throw_exception(mpqueue_ce_PayloadException, ZSTR_VAL(message), 0);
    zend_string_release(message);
    return -1;
}

/* Wraps what serialize() or the closure library has thrown, unless it was an exit(). */
static int refuse_because_of_exception(const char *subject)
{
    zend_object *thrown = EG(exception);
    if (zend_is_unwind_exit(thrown) || zend_is_graceful_exit(thrown)) {
        return -1;
    }
    zend_string *reason = mpqueue_exception_message(thrown);
    refuse("%s can't be serialized: %s", subject, ZSTR_VAL(reason));
    zend_string_release(reason);
    return -1;
}

static void serialize(zval *value, smart_str *out)
{
    php_serialize_data_t data;
    PHP_VAR_SERIALIZE_INIT(data);
    php_var_serialize(out, value, &data);
    PHP_VAR_SERIALIZE_DESTROY(data);
}

static int append_object(zval *object, smart_str *out)
{
    smart_str_appendc(out, MPQUEUE_PAYLOAD_OBJECT);
    serialize(object, out);
    if (EXPECTED(!EG(exception))) {
        return 0;
    }
    zend_string *subject = strpprintf(0, "the job of class %s", ZSTR_VAL(Z_OBJCE_P(object)->name));
    int result = refuse_because_of_exception(ZSTR_VAL(subject));
    zend_string_release(subject);
    return result;
}

/* [subject, args] */
static int append_pair(enum mpqueue_payload_kind kind, zval *subject, HashTable *args, const char *name, smart_str *out)
{
    zval pair, copy;
    array_init_size(&pair, 2);
    ZVAL_COPY(&copy, subject);
    zend_hash_next_index_insert(Z_ARRVAL(pair), &copy);
    if (has_args(args)) {
        ZVAL_ARR(&copy, zend_array_dup(args));
    } else {
        ZVAL_EMPTY_ARRAY(&copy);
    }
    zend_hash_next_index_insert(Z_ARRVAL(pair), &copy);
    smart_str_appendc(out, (char)kind);
    serialize(&pair, out);
    zval_ptr_dtor(&pair);
    return EG(exception) ? refuse_because_of_exception(name) : 0;
}

static int encode_class(zend_class_entry *ce, HashTable *args, smart_str *out)
{
    if (!is_job_class(ce)) {
        return refuse("the class %s is no job: it does not extend MPQueue\\Job. " ACCEPTED, ZSTR_VAL(ce->name));
    }
    if (!is_instantiable(ce) || (ce->ce_flags & ZEND_ACC_ANON_CLASS)) {
        return refuse("the class %s is no job: it is %s", ZSTR_VAL(ce->name),
                      is_instantiable(ce) ? "anonymous, so no worker can find it" : "abstract");
    }
    zval name;
    ZVAL_STR(&name, ce->name);
    return append_pair(MPQUEUE_PAYLOAD_CLASS, &name, args, "the arguments of the job's constructor", out);
}

/* What can be looked up here is checked here. Only a public method can be called from a worker. */
static int check_callable(zval *callable)
{
    zend_fcall_info_cache call;
    char *error = NULL;
    bool callable_here = zend_is_callable_ex(callable, NULL, 0, NULL, &call, &error);
    bool is_public = callable_here && (call.function_handler->common.fn_flags & ZEND_ACC_PUBLIC);
    bool is_method = callable_here && call.function_handler->common.scope;
    if (callable_here) {
        zend_release_fcall_info_cache(&call);
    }
    if (EG(exception)) { /* of an autoloader */
        callable_here = false;
    } else if (!callable_here) {
        refuse("this is no job that can be called: %s", error ? error : "it is not callable");
    } else if (is_method && !is_public) {
        callable_here = false;
        refuse("this is no job that can be called: its method is not public");
    }
    if (error) {
        efree(error);
    }
    return callable_here ? 0 : -1;
}

/* A class that does not exist here may exist in the worker; one that does has to have the method. */
static int check_static_method(zval *callable, zend_string *class_name)
{
    bool known = zend_lookup_class(class_name) != NULL;
    if (EG(exception)) {
        return -1;
    }
    return known ? check_callable(callable) : 0;
}

static int encode_method_name(zval *callable, size_t class_len, HashTable *args, smart_str *out)
{
    if (class_len == 0 || class_len + 2 == Z_STRLEN_P(callable)) {
        return refuse("\"%s\" is no job: in \"A::b\" both class and method are needed", Z_STRVAL_P(callable));
    }
    zend_string *class_name = zend_string_init(Z_STRVAL_P(callable), class_len, false);
    int result = check_static_method(callable, class_name);
    zend_string_release(class_name);
    return result < 0 ? -1 : encode_callable(callable, args, out);
}

static const zend_function *find_function(zend_string *name)
{
    const char *text = ZSTR_VAL(name);
    size_t len = ZSTR_LEN(name);
    if (len > 0 && text[0] == '\\') {
        text++;
        len--;
    }
    zend_string *lower = zend_string_init(text, len, false);
    zend_str_tolower(ZSTR_VAL(lower), len);
    const zend_function *function = zend_hash_find_ptr(EG(function_table), lower);
    zend_string_release(lower);
    return function;
}

/* The autoloaders are not asked about what is spelled exactly like a function. Otherwise a class comes first: a class
 * named Mail is meant, not the function mail(). */
static int encode_name(zval *name, HashTable *args, smart_str *out)
{
    const char *colons = zend_memnstr(Z_STRVAL_P(name), "::", 2, Z_STRVAL_P(name) + Z_STRLEN_P(name));
    if (colons) {
        return encode_method_name(name, (size_t)(colons - Z_STRVAL_P(name)), args, out);
    }
    const zend_function *function = find_function(Z_STR_P(name));
    bool exactly = function && zend_string_equals(function->common.function_name, Z_STR_P(name));
    zend_class_entry *ce =
        zend_lookup_class_ex(Z_STR_P(name), NULL, exactly ? ZEND_FETCH_CLASS_NO_AUTOLOAD : ZEND_FETCH_CLASS_DEFAULT);
    if (EG(exception)) {
        return -1;
    }
    if (exactly && ce && !zend_string_equals(ce->name, Z_STR_P(name))) {
        ce = NULL; /* "mail" is the function, whether or not the class Mail is loaded */
    }
    if (ce && (is_job_class(ce) || !function)) {
        return encode_class(ce, args, out);
    }
    if (function) {
        return encode_callable(name, args, out);
    }
    zend_string *shown = mpqueue_zval_shown(name);
    refuse("%s is no job: there is no function and no class of that name. " ACCEPTED, ZSTR_VAL(shown));
    zend_string_release(shown);
    return -1;
}

/* A closure like strlen(...) or $object->method(...) goes out as the callable it was made of. False for others. */
static bool name_of_closure(zval *closure, zval *out)
{
    zend_class_entry *called_scope;
    zend_function *function;
    zend_object *object;
    Z_OBJ_HANDLER_P(closure, get_closure)(Z_OBJ_P(closure), &called_scope, &function, &object, true);
    if (!(function->common.fn_flags & ZEND_ACC_FAKE_CLOSURE)) {
        return false;
    }
    zend_string *name = function->common.function_name;
    if (!object && !function->common.scope) {
        ZVAL_STR_COPY(out, name);
        return true;
    }
    array_init_size(out, 2);
    if (object) {
        GC_ADDREF(object);
        add_next_index_object(out, object);
    } else {
        add_next_index_str(out, zend_string_copy(called_scope->name));
    }
    add_next_index_str(out, zend_string_copy(name));
    return true;
}

static int wrap_closure(zval *closure, zval *wrapped)
{
    zend_string *name = zend_string_init(ZEND_STRL(SERIALIZABLE_CLOSURE), false);
    zend_class_entry *ce = zend_lookup_class(name);
    zend_string_release(name);
    if (EG(exception)) {
        return -1;
    }
    if (!ce || !ce->constructor) {
        return refuse("this job is a closure: install laravel/serializable-closure (composer require "
                      "laravel/serializable-closure) or push a MPQueue\\Job object instead");
    }
    if (object_init_ex(wrapped, ce) != SUCCESS) {
        return -1;
    }
    zend_call_known_instance_method_with_1_params(ce->constructor, Z_OBJ_P(wrapped), NULL, closure);
    if (!EG(exception)) {
        return 0;
    }
    zval_ptr_dtor(wrapped);
    return refuse_because_of_exception("this closure");
}

static int encode_closure(zval *closure, HashTable *args, smart_str *out)
{
    zval plain;
    int result;
    if (name_of_closure(closure, &plain)) {
        result = check_callable(&plain) < 0 ? -1 : encode_callable(&plain, args, out);
    } else if (wrap_closure(closure, &plain) < 0) {
        return -1;
    } else {
        result = append_pair(MPQUEUE_PAYLOAD_CLOSURE, &plain, args, "this closure", out);
    }
    zval_ptr_dtor(&plain);
    return result;
}

static int encode_object(zval *object, HashTable *args, smart_str *out)
{
    zend_class_entry *ce = Z_OBJCE_P(object);
    if (ce == zend_ce_closure) {
        return encode_closure(object, args, out);
    }
    if (is_job_class(ce)) {
        return has_args(args) ? refuse("args are for callables and class names; the job of class %s is an object, "
                                       "which carries its data itself",
                                       ZSTR_VAL(ce->name))
                              : append_object(object, out);
    }
    if (!zend_hash_str_exists(&ce->function_table, ZEND_STRL("__invoke"))) {
        return refuse(
            "an object of class %s is no job: it does not extend MPQueue\\Job and has no __invoke(). " ACCEPTED,
            ZSTR_VAL(ce->name));
    }
    return has_args(args) ? encode_callable(object, args, out) : append_object(object, out);
}

static int encode_array(zval *array, HashTable *args, smart_str *out)
{
    zval *scope = zend_hash_index_find_deref(Z_ARRVAL_P(array), 0);
    zval *method = zend_hash_index_find_deref(Z_ARRVAL_P(array), 1);
    if (zend_hash_num_elements(Z_ARRVAL_P(array)) != 2 || !scope || !method || Z_TYPE_P(method) != IS_STRING ||
        (Z_TYPE_P(scope) != IS_STRING && Z_TYPE_P(scope) != IS_OBJECT)) {
        return refuse("an array of %u is no job: it must be [class, method] or [object, method]. " ACCEPTED,
                      zend_hash_num_elements(Z_ARRVAL_P(array)));
    }
    int checked = Z_TYPE_P(scope) == IS_STRING ? check_static_method(array, Z_STR_P(scope)) : check_callable(array);
    return checked < 0 ? -1 : encode_callable(array, args, out);
}

static int encode_callable(zval *callable, HashTable *args, smart_str *out)
{
    return append_pair(MPQUEUE_PAYLOAD_CALLABLE, callable, args, "the job, or its arguments,", out);
}

int mpqueue_payload_encode(zval *job, HashTable *args, smart_str *out)
{
    ZVAL_DEREF(job);
    switch (Z_TYPE_P(job)) {
    case IS_OBJECT:
        return encode_object(job, args, out);
    case IS_STRING:
        return encode_name(job, args, out);
    case IS_ARRAY:
        return encode_array(job, args, out);
    }
    zend_string *shown = mpqueue_zval_shown(job);
    refuse("%s is no job. " ACCEPTED, ZSTR_VAL(shown));
    zend_string_release(shown);
    return -1;
}
