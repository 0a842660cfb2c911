--TEST--
A worker that is killed by a signal: the job is run again at once, and fails when it keeps killing
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function crashes() { note('crash ' . getmypid()); posix_kill(getmypid(), SIGSEGV); sleep(5); }
    function killed() { note('kill ' . getmypid()); posix_kill(getmypid(), SIGKILL); sleep(5); }
    PHP, queue: <<<'PHP'
    'fail_number' => 2, 'fail_expire' => 30,
    'fail_handle' => function ($info, $e) { note(get_class($e) . ' ' . $e->getCode() . ' ' . $e->getMessage()); }
    PHP);
$service->start();
MPQueue\Queue::push('q', 'crashes');
$service->waitForFailed(1);
MPQueue\Queue::push('q', 'killed');
$records = $service->waitForFailed(2);
var_dump($service->stop());
echo preg_replace('/(crash|kill) \d+/', '$1', implode("\n", $service->notes())), "\n";
foreach ($records as $record) {
    foreach ($record['causes'] as $cause) {
        echo $cause['run'], ' ', $cause['end'], ' ', $cause['signal'], "\n";
    }
}
--EXPECTF--
int(0)
crash
crash
MPQueue\Exception\WorkerDiedException 11 %S11%S
kill
kill
MPQueue\Exception\WorkerDiedException 9 %S9%S
%d signal %d
%d signal %d
%d signal %d
%d signal %d
