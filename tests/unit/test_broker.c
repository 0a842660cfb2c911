/* What brokers of all drivers share: batches, and how a driver is found. */
#include "broker.h"
#include "test.h"

TEST(batch_keeps_envelopes_apart)
{
    mpq_batch batch;
    mpq_batch_init(&batch);
    CHECK_INT(batch.next_due_us, -1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 300; i++)
            mpq_batch_append(&batch, mpq_slice_of("0123456789", i % 11));
        CHECK_INT(batch.count, 300);
        for (size_t i = 0; i < 300; i++) {
            mpq_slice envelope = mpq_batch_envelope(&batch, i);
            CHECK(envelope.len == i % 11 && memcmp(envelope.data, "0123456789", envelope.len) == 0);
        }
        batch.lost = true;
        batch.refused = batch.garbage = batch.ready = 5;
        strcpy(batch.from, "them");
        mpq_batch_clear(&batch);
        CHECK(!batch.lost && !batch.refused && !batch.garbage && !batch.ready && !batch.from[0] && !batch.count);
    }
    mpq_batch_fini(&batch);
}

TEST(broker_of_an_unknown_driver_is_refused)
{
    mpq_broker_config config;
    mpq_broker *broker = NULL;
    mpq_error err;
    mpq_broker_config_init(&config);
    config.driver = (enum mpq_driver)9;
    CHECK(mpq_broker_ops_for(config.driver) == NULL);
    CHECK_INT(mpq_broker_open(&config, &broker, &err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK(broker == NULL);
    mpq_broker_close(broker);
    CHECK(mpq_broker_ops_for(MPQ_DRIVER_REDIS) == &mpq_broker_redis);
    CHECK(mpq_broker_ops_for(MPQ_DRIVER_SQLITE) == &mpq_broker_sqlite);
    CHECK(mpq_broker_ops_for(MPQ_DRIVER_MEMORY) == &mpq_broker_memory);
    mpq_broker_config_fini(&config);
}
