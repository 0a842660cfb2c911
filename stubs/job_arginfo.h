/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 12a809e3d051bff3c0293777e716a2bd47d8cace */

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Job_getTimeout, 0, 0, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_MPQueue_Job_getFailNumber arginfo_class_MPQueue_Job_getTimeout

#define arginfo_class_MPQueue_Job_getFailExpire arginfo_class_MPQueue_Job_getTimeout

#define arginfo_class_MPQueue_Job_handle arginfo_class_MPQueue_Job_getTimeout

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Job_fail_handle, 0, 0, 2)
	ZEND_ARG_TYPE_INFO(1, jobInfo, IS_ARRAY, 0)
	ZEND_ARG_OBJ_INFO(0, e, Throwable, 0)
ZEND_END_ARG_INFO()


ZEND_METHOD(MPQueue_Job, getTimeout);
ZEND_METHOD(MPQueue_Job, getFailNumber);
ZEND_METHOD(MPQueue_Job, getFailExpire);
ZEND_METHOD(MPQueue_Job, fail_handle);


static const zend_function_entry class_MPQueue_Job_methods[] = {
	ZEND_ME(MPQueue_Job, getTimeout, arginfo_class_MPQueue_Job_getTimeout, ZEND_ACC_PUBLIC)
	ZEND_ME(MPQueue_Job, getFailNumber, arginfo_class_MPQueue_Job_getFailNumber, ZEND_ACC_PUBLIC)
	ZEND_ME(MPQueue_Job, getFailExpire, arginfo_class_MPQueue_Job_getFailExpire, ZEND_ACC_PUBLIC)
	ZEND_ABSTRACT_ME_WITH_FLAGS(MPQueue_Job, handle, arginfo_class_MPQueue_Job_handle, ZEND_ACC_PUBLIC|ZEND_ACC_ABSTRACT)
	ZEND_ME(MPQueue_Job, fail_handle, arginfo_class_MPQueue_Job_fail_handle, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

static zend_class_entry *register_class_MPQueue_Job(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue", "Job", class_MPQueue_Job_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_ABSTRACT;

	zval property_timeout_default_value;
	ZVAL_NULL(&property_timeout_default_value);
	zend_string *property_timeout_name = zend_string_init("timeout", sizeof("timeout") - 1, 1);
	zend_declare_property_ex(class_entry, property_timeout_name, &property_timeout_default_value, ZEND_ACC_PROTECTED, NULL);
	zend_string_release(property_timeout_name);

	zval property_fail_number_default_value;
	ZVAL_NULL(&property_fail_number_default_value);
	zend_string *property_fail_number_name = zend_string_init("fail_number", sizeof("fail_number") - 1, 1);
	zend_declare_property_ex(class_entry, property_fail_number_name, &property_fail_number_default_value, ZEND_ACC_PROTECTED, NULL);
	zend_string_release(property_fail_number_name);

	zval property_fail_expire_default_value;
	ZVAL_NULL(&property_fail_expire_default_value);
	zend_string *property_fail_expire_name = zend_string_init("fail_expire", sizeof("fail_expire") - 1, 1);
	zend_declare_property_ex(class_entry, property_fail_expire_name, &property_fail_expire_default_value, ZEND_ACC_PROTECTED, NULL);
	zend_string_release(property_fail_expire_name);

	return class_entry;
}
