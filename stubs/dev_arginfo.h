/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: f1f12148f91c29578f93da2dffc4a6c424169fd5 */

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_mpqueue_dev_encode, 0, 1, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, job, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, args, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_mpqueue_dev_run, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, payload, IS_STRING, 0)
ZEND_END_ARG_INFO()

#define arginfo_mpqueue_dev_decode arginfo_mpqueue_dev_run

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_mpqueue_dev_describe, 0, 1, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, payload, IS_STRING, 0)
ZEND_END_ARG_INFO()


ZEND_FUNCTION(mpqueue_dev_encode);
ZEND_FUNCTION(mpqueue_dev_run);
ZEND_FUNCTION(mpqueue_dev_decode);
ZEND_FUNCTION(mpqueue_dev_describe);


static const zend_function_entry ext_functions[] = {
	ZEND_FE(mpqueue_dev_encode, arginfo_mpqueue_dev_encode)
	ZEND_FE(mpqueue_dev_run, arginfo_mpqueue_dev_run)
	ZEND_FE(mpqueue_dev_decode, arginfo_mpqueue_dev_decode)
	ZEND_FE(mpqueue_dev_describe, arginfo_mpqueue_dev_describe)
	ZEND_FE_END
};
