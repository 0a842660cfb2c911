/* What differs between the PHP versions that are supported (8.2 and newer). */
#ifndef MPQUEUE_COMPAT_H
#define MPQUEUE_COMPAT_H

#include "php.h"

#if PHP_VERSION_ID < 80200
#error "mpqueue needs PHP 8.2 or newer"
#endif

#endif
