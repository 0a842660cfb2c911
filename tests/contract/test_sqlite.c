#include "contract.h"

static bool fixture_start(mpq_broker_config *config)
{
    char path[128];
    snprintf(path, sizeof path, "%s/q-%ld.db", test_tmpdir(), (long)getpid());
    config->driver = MPQ_DRIVER_SQLITE;
    config->path = strdup(path);
    return config->path != NULL;
}

#include "cases.h"
