/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 53478ad709873f4a7d1f2716220c44f59e70ac95 */

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_mpqueue_run, 0, 1, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, config, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, argv, IS_ARRAY, 1, "null")
ZEND_END_ARG_INFO()


ZEND_FUNCTION(mpqueue_run);


static const zend_function_entry ext_functions[] = {
	ZEND_FE(mpqueue_run, arginfo_mpqueue_run)
	ZEND_FE_END
};

static void register_run_symbols(int module_number)
{

	zend_add_parameter_attribute(zend_hash_str_find_ptr(CG(function_table), "mpqueue_run", sizeof("mpqueue_run") - 1), 0, ZSTR_KNOWN(ZEND_STR_SENSITIVEPARAMETER), 0);
}
