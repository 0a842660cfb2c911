/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 9d8cf68c91302ffb72f8041f0f5f70c550d19b57 */




static const zend_function_entry class_MPQueue_Exception_QueueException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_ConfigException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_ConnectionException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_ConnectionTimeoutException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_BrokerException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_PayloadException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_ServiceException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_TimeoutException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_ExitException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_FatalErrorException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_OutOfMemoryException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_WorkerDiedException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_LostException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_MPQueue_Exception_UndecodableJobException_methods[] = {
	ZEND_FE_END
};

static zend_class_entry *register_class_MPQueue_Exception_QueueException(zend_class_entry *class_entry_RuntimeException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "QueueException", class_MPQueue_Exception_QueueException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_RuntimeException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_ConfigException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "ConfigException", class_MPQueue_Exception_ConfigException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_ConnectionException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "ConnectionException", class_MPQueue_Exception_ConnectionException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_ConnectionTimeoutException(zend_class_entry *class_entry_MPQueue_Exception_ConnectionException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "ConnectionTimeoutException", class_MPQueue_Exception_ConnectionTimeoutException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_ConnectionException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_BrokerException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "BrokerException", class_MPQueue_Exception_BrokerException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_PayloadException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "PayloadException", class_MPQueue_Exception_PayloadException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_ServiceException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "ServiceException", class_MPQueue_Exception_ServiceException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_TimeoutException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "TimeoutException", class_MPQueue_Exception_TimeoutException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_ExitException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "ExitException", class_MPQueue_Exception_ExitException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_FatalErrorException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "FatalErrorException", class_MPQueue_Exception_FatalErrorException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_OutOfMemoryException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "OutOfMemoryException", class_MPQueue_Exception_OutOfMemoryException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_WorkerDiedException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "WorkerDiedException", class_MPQueue_Exception_WorkerDiedException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_LostException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "LostException", class_MPQueue_Exception_LostException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}

static zend_class_entry *register_class_MPQueue_Exception_UndecodableJobException(zend_class_entry *class_entry_MPQueue_Exception_QueueException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue\\Exception", "UndecodableJobException", class_MPQueue_Exception_UndecodableJobException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_MPQueue_Exception_QueueException);

	return class_entry;
}
