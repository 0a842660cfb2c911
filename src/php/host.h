/* Fills in the engine's table of what it asks of its embedder. */
#ifndef MPQUEUE_HOST_H
#define MPQUEUE_HOST_H

#include "../engine/mpq.h"
#include "php.h"

#include "config_array.h"

typedef struct mpqueue_host {
    mpqueue_config *config; /* borrowed */
    mpq_host table;
} mpqueue_host;

void mpqueue_host_init(mpqueue_host *host, mpqueue_config *config);

#endif
