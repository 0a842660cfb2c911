/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 279b058730ca41dff4117ef5b77f03c0504b0619 */

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Config___construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Config_set, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, config, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Config_get, 0, 0, IS_ARRAY, 1)
ZEND_END_ARG_INFO()


ZEND_METHOD(MPQueue_Config, __construct);
ZEND_METHOD(MPQueue_Config, set);
ZEND_METHOD(MPQueue_Config, get);


static const zend_function_entry class_MPQueue_Config_methods[] = {
	ZEND_ME(MPQueue_Config, __construct, arginfo_class_MPQueue_Config___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(MPQueue_Config, set, arginfo_class_MPQueue_Config_set, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(MPQueue_Config, get, arginfo_class_MPQueue_Config_get, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_FE_END
};

static zend_class_entry *register_class_MPQueue_Config(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue", "Config", class_MPQueue_Config_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	zval const_MODE_DISTRIBUTE_value;
	ZVAL_LONG(&const_MODE_DISTRIBUTE_value, 1);
	zend_string *const_MODE_DISTRIBUTE_name = zend_string_init_interned("MODE_DISTRIBUTE", sizeof("MODE_DISTRIBUTE") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_MODE_DISTRIBUTE_name, &const_MODE_DISTRIBUTE_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_MODE_DISTRIBUTE_name);

	zval const_MODE_GRAB_value;
	ZVAL_LONG(&const_MODE_GRAB_value, 2);
	zend_string *const_MODE_GRAB_name = zend_string_init_interned("MODE_GRAB", sizeof("MODE_GRAB") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_MODE_GRAB_name, &const_MODE_GRAB_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_MODE_GRAB_name);


	zend_add_parameter_attribute(zend_hash_str_find_ptr(&class_entry->function_table, "set", sizeof("set") - 1), 0, ZSTR_KNOWN(ZEND_STR_SENSITIVEPARAMETER), 0);

	return class_entry;
}
