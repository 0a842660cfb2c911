/* Configuration arrays, checked and converted to the engine's structs. */
#ifndef MPQUEUE_CONFIG_ARRAY_H
#define MPQUEUE_CONFIG_ARRAY_H

#include "../engine/mpq.h"
#include "php.h"

#include "seal.h"

/* A checked configuration: the engine's part, and the user code it names. Counted references, request-bound. */
typedef struct mpqueue_config mpqueue_config;

enum mpqueue_purpose {
    MPQUEUE_TO_PRODUCE, /* basics.driver and the queues' names are enough */
    MPQUEUE_TO_RUN      /* basics.name is needed too */
};

/* NULL: a ConfigException was thrown that lists everything that is wrong, one line for each. */
mpqueue_config *mpqueue_config_from_array(HashTable *array, enum mpqueue_purpose purpose);
mpqueue_config *mpqueue_config_addref(mpqueue_config *config);
void mpqueue_config_release(mpqueue_config *config); /* NULL is harmless */
/* At the end of a request, whatever references a fatal error has left. */
void mpqueue_config_free(mpqueue_config *config);

const mpq_config *mpqueue_config_engine(const mpqueue_config *config);
/* basics.signing_keys, NULL when there are none. */
const mpqueue_keys *mpqueue_config_keys(const mpqueue_config *config);
/* The array it was made of, borrowed; its signing keys are in SensitiveParameterValue objects. */
zval *mpqueue_config_array(const mpqueue_config *config);

/* Callables as the user wrote them, borrowed; NULL = not configured. Only their shape was checked: the class or
 * function may appear later, e.g. with an autoloader that worker_start_handle registers. Queues are counted as in the
 * engine's struct. */
zval *mpqueue_config_preload(mpqueue_config *config);
zval *mpqueue_config_worker_start(mpqueue_config *config);
zval *mpqueue_config_queue_worker_start(mpqueue_config *config, size_t queue);
zval *mpqueue_config_queue_fail_handle(mpqueue_config *config, size_t queue);

#endif
