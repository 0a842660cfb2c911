--TEST--
Workers are replaced after max_jobs, and when they use more than memory_limit
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$jobs = <<<'PHP'
    function job() { note(getmypid()); }
    function hoard() { $GLOBALS['kept'][] = str_repeat('x', 3 << 20); note(getmypid()); }
    PHP;
foreach (["'max_jobs' => 3" => 'job', "'memory_limit' => 8" => 'hoard', "'memory_limit' => 0" => 'hoard'] as $queue => $job) {
    $service = new Service(jobs: $jobs, queue: $queue);
    $service->start();
    MPQueue\Queue::pushMany('q', array_fill(0, 9, $job));
    $service->waitForDone(9);
    $service->stop();
    echo "$queue: ", implode(' ', array_count_values($service->notes())), "\n";
}
--EXPECTF--
'max_jobs' => 3: 3 3 3
'memory_limit' => 8: %d %d %d%S
'memory_limit' => 0: 9
