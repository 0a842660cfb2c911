#include "../../php_mpqueue.h"

#include "zend_exceptions.h"

#include "../../stubs/job_arginfo.h"

zend_class_entry *mpqueue_ce_Job;

static void return_property(zend_object *job, const char *name, size_t len, zval *return_value)
{
    zval buffer;
    RETVAL_COPY_DEREF(zend_read_property(mpqueue_ce_Job, job, name, len, false, &buffer));
}

ZEND_METHOD(MPQueue_Job, getTimeout)
{
    ZEND_PARSE_PARAMETERS_NONE();
    return_property(Z_OBJ_P(ZEND_THIS), ZEND_STRL("timeout"), return_value);
}

ZEND_METHOD(MPQueue_Job, getFailNumber)
{
    ZEND_PARSE_PARAMETERS_NONE();
    return_property(Z_OBJ_P(ZEND_THIS), ZEND_STRL("fail_number"), return_value);
}

ZEND_METHOD(MPQueue_Job, getFailExpire)
{
    ZEND_PARSE_PARAMETERS_NONE();
    return_property(Z_OBJ_P(ZEND_THIS), ZEND_STRL("fail_expire"), return_value);
}

ZEND_METHOD(MPQueue_Job, fail_handle)
{
    zval *info;
    zval *exception;

    ZEND_PARSE_PARAMETERS_START(2, 2)
    Z_PARAM_ZVAL(info)
    Z_PARAM_OBJECT_OF_CLASS(exception, zend_ce_throwable)
    ZEND_PARSE_PARAMETERS_END();
    ZVAL_DEREF(info);
    if (Z_TYPE_P(info) != IS_ARRAY) {
        zend_argument_type_error(1, "must be of type array, %s given", zend_zval_type_name(info));
        RETURN_THROWS();
    }
    RETURN_FALSE;
}

void mpqueue_job_minit(void)
{
    mpqueue_ce_Job = register_class_MPQueue_Job();
}
