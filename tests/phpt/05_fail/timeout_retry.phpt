--TEST--
With timeout_retry a timeout is an ordinary failure
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: "function slow() { note('run'); while (true) usleep(1000); }",
    queue: "'timeout' => 0.1, 'timeout_retry' => true, 'fail_number' => 3, 'fail_expire' => 0.01");
$service->start();
MPQueue\Queue::push('q', 'slow');
[$record] = $service->waitForFailed(1);
$service->stop();
echo implode(' ', $service->notes()), "\n", implode(' ', array_column($record['causes'], 'end')), "\n";
--EXPECT--
run run run
timeout timeout timeout
