/*
 * Jobs to bytes and back.
 *
 * The first byte tells the kind, the rest is serialize()d (in front of a signed one comes what seal.h adds):
 *   'O'  a MPQueue\Job object, or any object with __invoke()
 *   'C'  [class name of a MPQueue\Job, constructor arguments]
 *   'F'  [callable, arguments]: "function", "Class::method", [class, method], [object, method], an invokable object
 *   'K'  [Laravel\SerializableClosure\SerializableClosure, arguments]
 */
#ifndef MPQUEUE_PAYLOAD_H
#define MPQUEUE_PAYLOAD_H

#include "../engine/mpq.h"
#include "php.h"
#include "zend_smart_str.h"

enum mpqueue_payload_kind {
    MPQUEUE_PAYLOAD_OBJECT = 'O',
    MPQUEUE_PAYLOAD_CLASS = 'C',
    MPQUEUE_PAYLOAD_CALLABLE = 'F',
    MPQUEUE_PAYLOAD_CLOSURE = 'K'
};

/* Something to run. Request-bound. */
typedef struct mpqueue_payload {
    enum mpqueue_payload_kind kind;
    zval job;                   /* object (kinds O, C), Closure (K), or the callable as it was pushed (F) */
    zval args;                  /* array, or undefined when there are none */
    zend_function *method;      /* of the object in `job`, what call() runs; NULL for F and K */
    zend_fcall_info_cache call; /* F: resolved; used up by call() */
} mpqueue_payload;

/* Appends the bytes of `job` to `out`. `args` (NULL = none) are a callable's or a constructor's arguments. -1: an
 * exception was thrown (PayloadException; what serialize() threw is its previous one). */
int mpqueue_payload_encode(zval *job, HashTable *args, smart_str *out);

/* Any bytes are safe. Runs user code (__unserialize, __wakeup, autoloaders, constructors of kind C), so it belongs
 * inside the guard and the time limit of the job. -1: an exception was thrown, nothing in `out` needs a dtor.
 * UndecodableJobException says that these bytes can't become a job here (no class of that name, damaged); any other
 * exception came from user code and counts like one that the job itself has thrown. */
int mpqueue_payload_decode(const char *data, size_t len, mpqueue_payload *out);

/* Runs it, once; call it with an internal function's frame on the stack. `retval` stays undefined when it did not
 * return. */
void mpqueue_payload_call(mpqueue_payload *payload, zval *retval);

/* The MPQueue\Job object (its fail_handle() is to be asked), or NULL. Borrowed. */
zend_object *mpqueue_payload_job_object(const mpqueue_payload *payload);

void mpqueue_payload_dtor(mpqueue_payload *payload);

/* What a stored payload would run, without decoding it: "App\SendMail", "strlen", "Foo::bar", "closure", "unknown". */
zend_string *mpqueue_payload_describe(mpq_slice payload);

#endif
