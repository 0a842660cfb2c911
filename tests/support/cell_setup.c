/* Before a cell begins: two services, their store and the proxy, the books, what a dead owner holds. */
#include "cell_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"
#include "test.h"

static void configure_queues(mpq_config *config)
{
    static const enum mpq_mode modes[LEDGER_QUEUES] = {MPQ_MODE_DISTRIBUTE, MPQ_MODE_GRAB};
    free(config->queues->name);
    free(config->queues);
    config->queues = calloc(LEDGER_QUEUES, sizeof *config->queues);
    config->queue_count = LEDGER_QUEUES;
    for (size_t i = 0; i < LEDGER_QUEUES; i++) {
        mpq_queue_config_init(&config->queues[i]);
        config->queues[i].name = strdup(cell_queue_names[i]);
        config->queues[i].workers = i == 0 ? CELL_WORKERS - 1 : 1;
        config->queues[i].sleep_ms = 100;
        config->queues[i].mode = modes[i];
    }
}

static void configure_store(mpq_broker_config *store, const char *socket_path)
{
    char path[512];
    mpq_broker_config_fini(store);
    mpq_broker_config_init(store);
    if (socket_path) {
        store->driver = MPQ_DRIVER_REDIS;
        free(store->host);
        store->host = NULL;
        store->socket_path = strdup(socket_path);
        free(store->prefix);
        store->prefix = strdup(cell_life.cell->name);
    } else {
        store->driver = MPQ_DRIVER_SQLITE;
        snprintf(path, sizeof path, "%s/%s.db", test_tmpdir(), cell_life.cell->name);
        store->path = strdup(path);
    }
    store->connect_timeout_ms = 1000;
    store->read_timeout_ms = 4000;
}

static void set_up_service(fake_service *service, const char *suffix, uint32_t node, const char *socket_path)
{
    char name[32];
    snprintf(name, sizeof name, "%s%s", cell_life.cell->name, suffix);
    fake_service_init(service, name);
    configure_queues(&service->config);
    configure_store(&service->config.broker, socket_path);
    service->config.lease_ms = CELL_LEASE_MS;
    service->config.stop_timeout_ms = 10000;
    service->host = &cell_life.hosts[node].host;
}

/* In every child of the service that follows the plan. */
static void be(enum mpq_role role)
{
    static const enum cell_role roles[] = {[MPQ_ROLE_MANAGER] = CELL_MANAGER,
                                           [MPQ_ROLE_DISPATCHER] = CELL_DISPATCHER,
                                           [MPQ_ROLE_TEMPLATE] = CELL_TEMPLATE,
                                           [MPQ_ROLE_WORKER] = CELL_WORKER};
    mpq_crash_be((uint32_t)roles[role]);
}

static void write_books(void)
{
    static const struct {
        enum ledger_kind kind;
        uint32_t delay_ms, bytes;
    } mix[] = {{LEDGER_DONE, 0, 0},       {LEDGER_SLOW, 0, 0},   {LEDGER_FAIL_ONCE, 0, 200}, {LEDGER_DONE, 0, 0},
               {LEDGER_FAIL, 0, 0},       {LEDGER_DONE, 120, 0}, {LEDGER_DONE, 0, 6000},     {LEDGER_SLOW, 0, 0},
               {LEDGER_FAIL_ONCE, 60, 0}, {LEDGER_DONE, 0, 0}};
    for (uint32_t i = 0; i < CELL_JOBS; i++) {
        size_t at = i % (sizeof mix / sizeof *mix);
        bool deadly = i == 12 || i == 14;
        ledger_add(cell_life.ledger, deadly ? LEDGER_DIE_ONCE : mix[at].kind, i % 3 == 2,
                   i < CELL_SEEDED ? 0 : mix[at].delay_ms, mix[at].bytes);
    }
    /* The dead owner has two of each queue. */
    for (uint32_t i = 0; i < CELL_SEEDED; i++)
        cell_life.ledger->jobs[i].queue = i % 2;
}

static void give_to_dead_owner(uint32_t queue)
{
    mpq_error err;
    mpq_broker *broker = NULL;
    mpq_batch batch;
    mpq_exchange exchange = {.want = CELL_SEEDED / LEDGER_QUEUES};
    mpq_batch_init(&batch);
    if (mpq_broker_open(&cell_life.direct, &broker, &err) < 0 ||
        broker->ops->attach(broker, cell_queue_names[queue], "dead@nowhere:1.0", 1, MPQ_ATTACH_FRESH, NULL, &err) !=
            0 ||
        mpq_broker_exchange(broker, &exchange, 2000, &batch, &err) < 0 || batch.count != CELL_SEEDED / LEDGER_QUEUES)
        cell_blame("the dead owner could not be made: %s", err.text);
    mpq_broker_close(broker);
    mpq_batch_fini(&batch);
}

void cell_set_up(void)
{
    char path[96];
    cell_life.ledger = process_shared_memory(sizeof *cell_life.ledger);
    cell_life.plan = process_shared_memory(sizeof *cell_life.plan);
    for (uint32_t node = 0; node < LEDGER_NODES; node++) {
        ledger_host_init(&cell_life.hosts[node], cell_life.ledger, node);
        cell_life.hosts[node].after_fork = be;
    }
    snprintf(path, sizeof path, "%.60s/%s.proxy", test_tmpdir(), cell_life.cell->name);
    if (cell_life.cell->redis_path && !proxy_start(&cell_life.proxy, path, cell_life.cell->redis_path))
        cell_blame("the proxy does not start");
    set_up_service(&cell_life.service, "a", 0, cell_life.cell->redis_path ? path : NULL);
    set_up_service(&cell_life.rival, "b", 1, cell_life.cell->redis_path);
    configure_store(&cell_life.direct, cell_life.cell->redis_path);
    write_books();
    cell_life.own = cell_open_producer(&cell_life.direct);
    for (uint32_t i = 0; i < CELL_SEEDED; i++)
        cell_push(cell_life.own, i, 1);
    for (uint32_t i = 0; i < LEDGER_QUEUES; i++)
        give_to_dead_owner(i);
}
