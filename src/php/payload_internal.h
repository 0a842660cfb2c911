/* What both directions of payload.h need to know of classes and arguments. */
#ifndef MPQUEUE_PAYLOAD_INTERNAL_H
#define MPQUEUE_PAYLOAD_INTERNAL_H

#include "../../php_mpqueue.h"

static inline bool is_job_class(const zend_class_entry *ce)
{
    return instanceof_function(ce, mpqueue_ce_Job);
}

static inline bool is_instantiable(const zend_class_entry *ce)
{
    return !(ce->ce_flags & (ZEND_ACC_INTERFACE | ZEND_ACC_TRAIT | ZEND_ACC_ENUM | ZEND_ACC_IMPLICIT_ABSTRACT_CLASS |
                             ZEND_ACC_EXPLICIT_ABSTRACT_CLASS));
}

static inline bool has_args(const HashTable *args)
{
    return args && zend_hash_num_elements(args) > 0;
}

#endif
