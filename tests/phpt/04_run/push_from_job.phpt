--TEST--
A job can push; the configuration is the service's
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function first() { MPQueue\Queue::push('q', 'second', 0.02, ['args' => [MPQueue\Config::get()['basics']['name']]]); }
    function second(string $name) { note("second $name " . getmypid()); }
    PHP, queue: "'worker_number' => 2");
$service->start();
MPQueue\Queue::pushMany('q', array_fill(0, 20, 'first'));
$service->waitForDone(40);
echo count($service->notes()), ' ', substr($service->notes()[0], 0, 8), "\n";
var_dump(MPQueue\Queue::counts('q'), $service->stop());
--EXPECT--
20 second t
array(6) {
  ["pushed"]=>
  int(40)
  ["waiting"]=>
  int(0)
  ["delayed"]=>
  int(0)
  ["running"]=>
  int(0)
  ["failed"]=>
  int(0)
  ["done"]=>
  int(40)
}
int(0)
