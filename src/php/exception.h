/* The classes of MPQueue\Exception, and the one function that turns an engine's error into one of them. */
#ifndef MPQUEUE_EXCEPTION_H
#define MPQUEUE_EXCEPTION_H

#include "../engine/mpq.h"
#include "php.h"

extern zend_class_entry *mpqueue_ce_QueueException; /* the base of all */
extern zend_class_entry *mpqueue_ce_ConfigException;
extern zend_class_entry *mpqueue_ce_ConnectionException;
extern zend_class_entry *mpqueue_ce_ConnectionTimeoutException;
extern zend_class_entry *mpqueue_ce_BrokerException;
extern zend_class_entry *mpqueue_ce_PayloadException;
extern zend_class_entry *mpqueue_ce_ServiceException;

/* What a failure handler is told when the job did not throw by itself. */
extern zend_class_entry *mpqueue_ce_TimeoutException;
extern zend_class_entry *mpqueue_ce_ExitException;
extern zend_class_entry *mpqueue_ce_FatalErrorException;
extern zend_class_entry *mpqueue_ce_OutOfMemoryException;
extern zend_class_entry *mpqueue_ce_WorkerDiedException;
extern zend_class_entry *mpqueue_ce_LostException;
extern zend_class_entry *mpqueue_ce_UndecodableJobException;

/* Throws the exception for err->kind with err->text; its code is err->sys_errno. What is being thrown already becomes
 * its previous exception. */
void mpqueue_throw(const mpq_error *err);

/* The message of any \Throwable. Released by the caller. */
zend_string *mpqueue_exception_message(zend_object *exception);

#endif
