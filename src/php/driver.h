/* Driver objects (where the queues are kept), and the connections that producers keep to them. */
#ifndef MPQUEUE_DRIVER_H
#define MPQUEUE_DRIVER_H

#include "../engine/mpq.h"
#include "php.h"

extern zend_class_entry *mpqueue_ce_Driver; /* the interface; only the three classes below implement it */
extern zend_class_entry *mpqueue_ce_Redis;
extern zend_class_entry *mpqueue_ce_Sqlite;
extern zend_class_entry *mpqueue_ce_Memory;

/* One kept connection; a list of them lives in the module's globals. */
typedef struct mpqueue_handle mpqueue_handle;

/* What the object was constructed with; NULL when its constructor did not succeed. Borrowed from the object. */
const mpq_broker_config *mpqueue_driver_config(zend_object *object);

/* The process's producer for these settings, opened when there is none yet. Stays open after the request. NULL: an
 * exception was thrown. */
mpq_producer *mpqueue_producer(const mpq_config *config);

void mpqueue_handles_close(mpqueue_handle *first);

#endif
