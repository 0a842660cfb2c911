/*
 * mpqueue: background jobs for PHP. The module, and what its files under src/php share.
 *
 * The engine (src/engine) knows nothing of PHP; mpq.h is the only header of it that src/php includes.
 */
#ifndef PHP_MPQUEUE_H
#define PHP_MPQUEUE_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php.h"

#include "src/engine/mpq.h"
#include "src/php/compat.h"
#include "src/php/config_array.h"
#include "src/php/driver.h"
#include "src/php/exception.h"
#include "src/php/failed.h"
#include "src/php/payload.h"
#include "src/php/value.h"

#define PHP_MPQUEUE_VERSION "0.1.0"

extern zend_module_entry mpqueue_module_entry;
#define phpext_mpqueue_ptr &mpqueue_module_entry

ZEND_BEGIN_MODULE_GLOBALS(mpqueue)
mpqueue_config *config;  /* of MPQueue\Config::set; ends with the request */
mpqueue_handle *handles; /* connections of producers; live as long as the process */
ZEND_END_MODULE_GLOBALS(mpqueue)

ZEND_EXTERN_MODULE_GLOBALS(mpqueue)
#define MPQUEUE_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(mpqueue, v)

#if defined(ZTS) && defined(COMPILE_DL_MPQUEUE)
ZEND_TSRMLS_CACHE_EXTERN()
#endif

extern zend_class_entry *mpqueue_ce_Config;
extern zend_class_entry *mpqueue_ce_Job;
extern zend_class_entry *mpqueue_ce_Queue;

/* One for each file that declares classes; called by MINIT. */
void mpqueue_exception_minit(void);
void mpqueue_driver_minit(void);
void mpqueue_config_minit(void);
void mpqueue_job_minit(void);
void mpqueue_queue_minit(void);

#ifdef MPQUEUE_DEV
void mpqueue_dev_minit(int type);
#endif

#ifdef MPQ_HAVE_SUPERVISOR
/* The running side: mpqueue_run() and all that belongs to it. */
void mpqueue_run_minit(INIT_FUNC_ARGS);
void mpqueue_run_mshutdown(SHUTDOWN_FUNC_ARGS);
void mpqueue_run_rinit(INIT_FUNC_ARGS);
void mpqueue_run_rshutdown(SHUTDOWN_FUNC_ARGS);
#endif

#endif
