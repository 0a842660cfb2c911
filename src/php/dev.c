/* Functions for tests, in modules configured with --enable-mpqueue-dev only. */
#include "../../php_mpqueue.h"

#include "../../stubs/dev_arginfo.h"

ZEND_FUNCTION(mpqueue_dev_encode)
{
    zval *job;
    HashTable *args = NULL;

    ZEND_PARSE_PARAMETERS_START(1, 2)
    Z_PARAM_ZVAL(job)
    Z_PARAM_OPTIONAL
    Z_PARAM_ARRAY_HT(args)
    ZEND_PARSE_PARAMETERS_END();

    smart_str bytes = {0};
    if (mpqueue_payload_encode(job, args, &bytes) < 0) {
        smart_str_free(&bytes);
        RETURN_THROWS();
    }
    RETURN_STR(smart_str_extract(&bytes));
}

ZEND_FUNCTION(mpqueue_dev_run)
{
    zend_string *bytes;
    mpqueue_payload payload;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(bytes)
    ZEND_PARSE_PARAMETERS_END();

    if (mpqueue_payload_decode(ZSTR_VAL(bytes), ZSTR_LEN(bytes), &payload) < 0) {
        RETURN_THROWS();
    }
    mpqueue_payload_call(&payload, return_value);
    mpqueue_payload_dtor(&payload);
}

ZEND_FUNCTION(mpqueue_dev_decode)
{
    zend_string *bytes;
    mpqueue_payload payload;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(bytes)
    ZEND_PARSE_PARAMETERS_END();

    if (mpqueue_payload_decode(ZSTR_VAL(bytes), ZSTR_LEN(bytes), &payload) < 0) {
        RETURN_THROWS();
    }
    RETVAL_COPY(&payload.job);
    mpqueue_payload_dtor(&payload);
}

ZEND_FUNCTION(mpqueue_dev_describe)
{
    zend_string *bytes;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(bytes)
    ZEND_PARSE_PARAMETERS_END();

    RETURN_STR(mpqueue_payload_describe(mpq_slice_of(ZSTR_VAL(bytes), ZSTR_LEN(bytes))));
}

void mpqueue_dev_minit(int type)
{
    zend_register_functions(NULL, ext_functions, NULL, type);
}
