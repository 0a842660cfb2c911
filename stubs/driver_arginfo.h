/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 9ae6c5a77192415e82dd025ac9f5a5ce94e023e9 */

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Driver_Redis___construct, 0, 0, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, host, IS_STRING, 0, "\'127.0.0.1\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, port, IS_LONG, 1, "6379")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, password, IS_STRING, 1, "\'\'")
	ZEND_ARG_TYPE_MASK(0, database, MAY_BE_LONG|MAY_BE_STRING, "0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 0, "\'mpq\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, user, IS_STRING, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, connect_timeout, IS_DOUBLE, 0, "2.0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, read_timeout, IS_DOUBLE, 0, "2.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Driver_Sqlite___construct, 0, 0, 1)
	ZEND_ARG_TYPE_INFO(0, path, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, durable, _IS_BOOL, 0, "false")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 0, "2.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Driver_Memory___construct, 0, 0, 0)
ZEND_END_ARG_INFO()


ZEND_METHOD(MPQueue_Driver_Redis, __construct);
ZEND_METHOD(MPQueue_Driver_Sqlite, __construct);
ZEND_METHOD(MPQueue_Driver_Memory, __construct);


static const zend_function_entry class_MPQueue_Driver_Driver_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Driver_Redis_methods[] = {
	ZEND_ME(MPQueue_Driver_Redis, __construct, arginfo_class_MPQueue_Driver_Redis___construct, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Driver_Sqlite_methods[] = {
	ZEND_ME(MPQueue_Driver_Sqlite, __construct, arginfo_class_MPQueue_Driver_Sqlite___construct, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Driver_Memory_methods[] = {
	ZEND_ME(MPQueue_Driver_Memory, __construct, arginfo_class_MPQueue_Driver_Memory___construct, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

static zend_class_entry *register_class_MPQueue_Driver_Driver(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Driver", "Driver", class_MPQueue_Driver_Driver_methods);
	class_entry = zend_register_internal_interface(&ce);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Driver_Redis(zend_class_entry *class_entry_MPQueue_Driver_Driver)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Driver", "Redis", class_MPQueue_Driver_Redis_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;
	zend_class_implements(class_entry, 1, class_entry_MPQueue_Driver_Driver);


	zend_add_parameter_attribute(zend_hash_str_find_ptr(&class_entry->function_table, "__construct", sizeof("__construct") - 1), 0, ZSTR_KNOWN(ZEND_STR_SENSITIVEPARAMETER), 0);

	zend_add_parameter_attribute(zend_hash_str_find_ptr(&class_entry->function_table, "__construct", sizeof("__construct") - 1), 2, ZSTR_KNOWN(ZEND_STR_SENSITIVEPARAMETER), 0);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Driver_Sqlite(zend_class_entry *class_entry_MPQueue_Driver_Driver)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Driver", "Sqlite", class_MPQueue_Driver_Sqlite_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;
	zend_class_implements(class_entry, 1, class_entry_MPQueue_Driver_Driver);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Driver_Memory(zend_class_entry *class_entry_MPQueue_Driver_Driver)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Driver", "Memory", class_MPQueue_Driver_Memory_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;
	zend_class_implements(class_entry, 1, class_entry_MPQueue_Driver_Driver);

	return class_entry;
}
