#include "../../php_mpqueue.h"

#include "zend_attributes.h"

#include "../../stubs/config_arginfo.h"

zend_class_entry *mpqueue_ce_Config;

/* Private, so that nobody makes an object of it. */
ZEND_METHOD(MPQueue_Config, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(MPQueue_Config, set)
{
    HashTable *array;

    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_ARRAY_HT(array)
    ZEND_PARSE_PARAMETERS_END();

    mpqueue_config *config = mpqueue_config_from_array(array, MPQUEUE_TO_PRODUCE);
    if (!config) {
        RETURN_THROWS();
    }
    /* Released last: the destructors of what the old one held may look at the configuration. */
    mpqueue_config *old = MPQUEUE_G(config);
    MPQUEUE_G(config) = config;
    mpqueue_config_release(old);
}

ZEND_METHOD(MPQueue_Config, get)
{
    ZEND_PARSE_PARAMETERS_NONE();
    if (!MPQUEUE_G(config)) {
        RETURN_NULL();
    }
    RETURN_COPY(mpqueue_config_array(MPQUEUE_G(config)));
}

void mpqueue_config_minit(void)
{
    mpqueue_ce_Config = register_class_MPQueue_Config();
}
