--TEST--
preload runs once for all workers of a generation, and they have what it loaded
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job() { note(LOADED . ' ' . ($GLOBALS['booted'] ?? 'not booted')); }
    PHP, basics: <<<'PHP'
    'preload' => function () { define('LOADED', 'loaded'); $GLOBALS['booted'] = 'booted'; note('preload'); }
    PHP, queue: "'worker_number' => 3, 'max_jobs' => 2");
$service->start();
MPQueue\Queue::pushMany('q', array_fill(0, 10, 'job'));
$service->waitForDone(10);
print_r(array_count_values($service->notes()));
$service->stop();
--EXPECT--
Array
(
    [preload] => 1
    [loaded booted] => 10
)
