--TEST--
set_time_limit() of a job, and max_execution_time of the start script, end with the job
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function cpu() { $used = getrusage(); return $used['ru_utime.tv_sec'] + $used['ru_utime.tv_usec'] / 1e6; }
    function burns() { $until = cpu() + 1.3; while (cpu() < $until); note('burned'); }
    function limits() { set_time_limit(1); note('limited'); }
    PHP, main: 'set_time_limit(1);', queue: "'fail_number' => 1",
    basics: "'preload' => fn () => set_time_limit(1), 'worker_start_handle' => fn () => set_time_limit(1)");
$service->start('-d', 'max_execution_time=1');
MPQueue\Queue::pushMany('q', ['burns', 'limits', 'burns']);
$service->waitForDone(3);
echo implode(' ', $service->notes()), "\n";
var_dump(MPQueue\Queue::counts('q')['failed'], $service->stop());
--EXPECT--
burned limited burned
int(0)
int(0)
