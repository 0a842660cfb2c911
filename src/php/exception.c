#include "../../php_mpqueue.h"

#include "ext/spl/spl_exceptions.h"
#include "zend_exceptions.h"

#include "../../stubs/exception_arginfo.h"

zend_class_entry *mpqueue_ce_QueueException;
zend_class_entry *mpqueue_ce_ConfigException;
zend_class_entry *mpqueue_ce_ConnectionException;
zend_class_entry *mpqueue_ce_ConnectionTimeoutException;
zend_class_entry *mpqueue_ce_BrokerException;
zend_class_entry *mpqueue_ce_PayloadException;
zend_class_entry *mpqueue_ce_ServiceException;

zend_class_entry *mpqueue_ce_TimeoutException;
zend_class_entry *mpqueue_ce_ExitException;
zend_class_entry *mpqueue_ce_FatalErrorException;
zend_class_entry *mpqueue_ce_OutOfMemoryException;
zend_class_entry *mpqueue_ce_WorkerDiedException;
zend_class_entry *mpqueue_ce_LostException;
zend_class_entry *mpqueue_ce_UndecodableJobException;

static zend_class_entry *class_for(enum mpq_error_kind kind)
{
    switch (kind) {
    case MPQ_ERROR_CONFIG:
        return mpqueue_ce_ConfigException;
    case MPQ_ERROR_CONNECT:
        return mpqueue_ce_ConnectionException;
    case MPQ_ERROR_TIMEOUT:
        return mpqueue_ce_ConnectionTimeoutException;
    case MPQ_ERROR_BROKER:
        return mpqueue_ce_BrokerException;
    case MPQ_ERROR_PAYLOAD:
        return mpqueue_ce_PayloadException;
    case MPQ_ERROR_SYSTEM:
    case MPQ_ERROR_STATE:
        return mpqueue_ce_ServiceException;
    case MPQ_ERROR_MEMORY:
    case MPQ_ERROR_NONE:
        break;
    }
    return mpqueue_ce_QueueException;
}

void mpqueue_throw(const mpq_error *err)
{
    zend_throw_exception(class_for(err->kind), err->text, err->sys_errno);
}

zend_string *mpqueue_exception_message(zend_object *exception)
{
    zval buffer;
    return zval_get_string(
        zend_read_property_ex(exception->ce, exception, ZSTR_KNOWN(ZEND_STR_MESSAGE), true, &buffer));
}

void mpqueue_exception_minit(void)
{
    zend_class_entry *base = register_class_MPQueue_Exception_QueueException(spl_ce_RuntimeException);
    mpqueue_ce_QueueException = base;
    mpqueue_ce_ConfigException = register_class_MPQueue_Exception_ConfigException(base);
    mpqueue_ce_ConnectionException = register_class_MPQueue_Exception_ConnectionException(base);
    mpqueue_ce_ConnectionTimeoutException =
        register_class_MPQueue_Exception_ConnectionTimeoutException(mpqueue_ce_ConnectionException);
    mpqueue_ce_BrokerException = register_class_MPQueue_Exception_BrokerException(base);
    mpqueue_ce_PayloadException = register_class_MPQueue_Exception_PayloadException(base);
    mpqueue_ce_ServiceException = register_class_MPQueue_Exception_ServiceException(base);
    mpqueue_ce_TimeoutException = register_class_MPQueue_Exception_TimeoutException(base);
    mpqueue_ce_ExitException = register_class_MPQueue_Exception_ExitException(base);
    mpqueue_ce_FatalErrorException = register_class_MPQueue_Exception_FatalErrorException(base);
    mpqueue_ce_OutOfMemoryException = register_class_MPQueue_Exception_OutOfMemoryException(base);
    mpqueue_ce_WorkerDiedException = register_class_MPQueue_Exception_WorkerDiedException(base);
    mpqueue_ce_LostException = register_class_MPQueue_Exception_LostException(base);
    mpqueue_ce_UndecodableJobException = register_class_MPQueue_Exception_UndecodableJobException(base);
}
