/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 4ad5d48a05bcb7096a613af8af6f87ae310ec81a */

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_MPQueue_Queue___construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Queue_push, 0, 2, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, queue, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, job, IS_MIXED, 0)
	ZEND_ARG_OBJ_TYPE_MASK(0, delay, DateTimeInterface|DateInterval, MAY_BE_DOUBLE|MAY_BE_LONG, "0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Queue_pushMany, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, queue, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, jobs, IS_ARRAY, 0)
	ZEND_ARG_OBJ_TYPE_MASK(0, delay, DateTimeInterface|DateInterval, MAY_BE_DOUBLE|MAY_BE_LONG, "0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Queue_counts, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, queue, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Queue_failed, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, queue, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, limit, IS_LONG, 0, "100")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_MPQueue_Queue_clear, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, queue, IS_STRING, 0)
ZEND_END_ARG_INFO()


ZEND_METHOD(MPQueue_Queue, __construct);
ZEND_METHOD(MPQueue_Queue, push);
ZEND_METHOD(MPQueue_Queue, pushMany);
ZEND_METHOD(MPQueue_Queue, counts);
ZEND_METHOD(MPQueue_Queue, failed);
ZEND_METHOD(MPQueue_Queue, clear);


static const zend_function_entry class_MPQueue_Queue_methods[] = {
	ZEND_ME(MPQueue_Queue, __construct, arginfo_class_MPQueue_Queue___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(MPQueue_Queue, push, arginfo_class_MPQueue_Queue_push, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(MPQueue_Queue, pushMany, arginfo_class_MPQueue_Queue_pushMany, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(MPQueue_Queue, counts, arginfo_class_MPQueue_Queue_counts, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(MPQueue_Queue, failed, arginfo_class_MPQueue_Queue_failed, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(MPQueue_Queue, clear, arginfo_class_MPQueue_Queue_clear, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_FE_END
};

static zend_class_entry *register_class_MPQueue_Queue(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "MPQueue", "Queue", class_MPQueue_Queue_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	return class_entry;
}
