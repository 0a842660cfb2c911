/* The table of all settings: their names, types, ranges, and where their values go. */
#ifndef MPQUEUE_SETTING_H
#define MPQUEUE_SETTING_H

#include "config_array.h"
#include "seal.h"

/* A queue's user code. */
typedef struct mpqueue_queue_hooks {
    zval worker_start;
    zval fail_handle;
} mpqueue_queue_hooks;

struct mpqueue_config {
    uint32_t references;
    mpq_config engine;
    zval array;
    zval preload;
    zval worker_start;
    mpqueue_queue_hooks *queues;
    mpqueue_keys *keys; /* NULL = payloads are not signed */
};

/* What one element of `queue` is converted to, before it is split between the engine and mpqueue_queue_hooks. */
typedef struct mpqueue_queue_draft {
    mpq_queue_config engine;
    mpqueue_queue_hooks hooks;
} mpqueue_queue_draft;

typedef struct mpqueue_setting mpqueue_setting;

struct mpqueue_setting {
    const char *key;
    /* Converts a value that is not null into the field. NULL, or the end of the sentence that says what it must be. */
    const char *(*convert)(const mpqueue_setting *setting, zval *value, void *field);
    size_t offset; /* of the field, in the section's target */
    double min, max;
    const char *must;
};

typedef struct mpqueue_section {
    const mpqueue_setting *settings;
    size_t count;
} mpqueue_section;

extern const mpqueue_section mpqueue_section_top;    /* into mpqueue_config; without those that have no converter */
extern const mpqueue_section mpqueue_section_basics; /* into mpqueue_config */
extern const mpqueue_section mpqueue_section_log;    /* into mpqueue_config */
extern const mpqueue_section mpqueue_section_queue;  /* into mpqueue_queue_draft */

/* What was given for it is to be in no message. */
bool mpqueue_setting_is_secret(const mpqueue_setting *setting);

#define MPQUEUE_QUEUE_MUST "must be a list of queues: [['name' => 'mail'], ...]"

#endif
