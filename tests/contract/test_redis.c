#include "contract.h"
#include "redis_server.h"

static bool fixture_start(mpq_broker_config *config)
{
    static redis_server server;
    if (!redis_server_available())
        return false;
    redis_server_start(&server, NULL);
    if (test_failed())
        exit(1);
    mpq_broker_config_fini(config);
    redis_server_config(&server, config);
    return true;
}

#include "cases.h"
