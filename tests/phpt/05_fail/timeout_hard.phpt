--TEST--
A job that does not let itself be interrupted is killed after the grace
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function stubborn() { note(getmypid()); while (true) { try { while (true); } catch (Throwable) {} } }
    function blocked() { note(getmypid()); pcntl_sigprocmask(SIG_BLOCK, range(1, 31)); exec('sleep 5'); }
    PHP, basics: "'timeout_grace' => 0.2", queue: <<<'PHP'
    'timeout' => 0.2, 'fail_handle' => function ($info, $e) { note($info['type'] . ' ' . get_class($e)); }
    PHP);
$service->start();
foreach (['stubborn', 'blocked'] as $i => $job) {
    $from = microtime(true);
    MPQueue\Queue::push('q', $job);
    $service->waitForFailed($i + 1);
    $for = microtime(true) - $from;
    echo $for >= 0.4 && $for < 3 ? "in time\n" : "took $for\n";
}
var_dump($service->stop());
foreach (MPQueue\Queue::failed('q') as $record) {
    echo count($record['causes']), ' ', $record['causes'][0]['end'], "\n";
}
echo implode("\n", preg_grep('/^\d+$/', $service->notes(), PREG_GREP_INVERT)), "\n";
--EXPECT--
in time
in time
int(0)
1 timeout
1 timeout
2 MPQueue\Exception\TimeoutException
2 MPQueue\Exception\TimeoutException
