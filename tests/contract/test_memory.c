#include "contract.h"

static bool fixture_start(mpq_broker_config *config)
{
    config->driver = MPQ_DRIVER_MEMORY;
    return true;
}

#include "cases.h"
