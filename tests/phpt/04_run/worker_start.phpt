--TEST--
worker_start_handle: the service's, then the queue's, once in each worker before its first job
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job() { note("job " . getmypid()); usleep(20000); }
    PHP, basics: "'worker_start_handle' => function () { note('service ' . getmypid()); }",
    queue: "'worker_number' => 2, 'worker_start_handle' => 'started'",
    main: "function started() { note('queue ' . getmypid()); }");
$service->start();
MPQueue\Queue::pushMany('q', array_fill(0, 10, 'job'));
$service->waitForDone(10);
$service->stop();
$by_worker = [];
foreach ($service->notes() as $note) {
    [$what, $pid] = explode(' ', $note);
    $by_worker[$pid][] = $what;
}
var_dump(count($by_worker));
foreach ($by_worker as $notes) {
    var_dump(array_slice($notes, 0, 2) === ['service', 'queue'], array_unique(array_slice($notes, 2)) === ['job']);
}
--EXPECT--
int(2)
bool(true)
bool(true)
bool(true)
bool(true)
