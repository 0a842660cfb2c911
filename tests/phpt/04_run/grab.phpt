--TEST--
Grab mode: workers take jobs from the store by themselves, with the same ends
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function fine(int $i) { note("fine $i"); }
    function boom() { throw new Exception('x'); }
    function dies() { posix_kill(getmypid(), SIGKILL); sleep(5); }
    function slow() { while (true) usleep(1000); }
    PHP, queue: "'model' => MPQueue\Config::MODE_GRAB, 'worker_number' => 2, 'fail_number' => 2, 'timeout' => 0.5,
    'fail_handle' => function (\$info, \$e) { note(get_class(\$e)); }");
$service->start();
for ($i = 0; $i < 20; $i++) {
    MPQueue\Queue::push('q', 'fine', 0, ['args' => [$i]]);
}
MPQueue\Queue::pushMany('q', ['boom', 'dies', 'slow']);
$records = $service->waitForFailed(3);
$service->waitForDone(20);
foreach ($records as $record) {
    $lines[] = $record['job'] . ' ' . implode(' ', array_column($record['causes'], 'end'));
}
sort($lines);
echo implode("\n", $lines), "\n", count(preg_grep('/^fine \d+$/', array_unique($service->notes()))), "\n";
$handled = preg_grep('/Exception/', $service->notes());
sort($handled);
echo implode("\n", $handled), "\n";
MPQueue\Queue::push('q', 'slow', 0, ['timeout' => 30]);
usleep(200000);
$service->signal(SIGTERM);
usleep(100000);
$service->signal(SIGTERM);
var_dump($service->wait());
echo json_encode(MPQueue\Queue::counts('q')), "\n";
--EXPECT--
boom exception exception
dies signal signal
slow timeout
20
Exception
MPQueue\Exception\TimeoutException
MPQueue\Exception\WorkerDiedException
int(0)
{"pushed":24,"waiting":1,"delayed":0,"running":0,"failed":3,"done":20}
