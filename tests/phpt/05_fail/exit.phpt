--TEST--
exit() in a job is a failure; the worker goes on, and its own exit status stays 0
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function leaves(int|string $how) { note(getmypid()); try { exit($how); } finally { note('never'); } }
    function leaves_in_generator() { $g = (function () { yield 1; exit(6); })(); foreach ($g as $x); }
    function leaves_in_fiber() { (new Fiber(function () { Fiber::suspend(); exit(7); }))->start(); $f = new Fiber(fn () => exit(8)); $f->start(); }
    function fine() { note(getmypid()); }
    PHP, queue: <<<'PHP'
    'fail_number' => 1, 'fail_handle' => function ($info, $e) { note(get_class($e) . ' ' . $e->getCode() . ' ' . $e->getMessage()); }
    PHP);
$service->start();
MPQueue\Queue::push('q', 'leaves', 0, ['args' => [3]]);
MPQueue\Queue::push('q', 'leaves', 0, ['args' => [0]]);
MPQueue\Queue::push('q', 'leaves', 0, ['args' => ["said at exit\n"]]);
MPQueue\Queue::push('q', 'leaves_in_generator');
MPQueue\Queue::push('q', 'leaves_in_fiber');
$records = $service->waitForFailed(5);
MPQueue\Queue::push('q', 'fine');
$service->waitForDone(1);
var_dump($service->stop());
$notes = $service->notes();
var_dump(count(array_unique(array_filter($notes, 'is_numeric'))));
echo implode("\n", array_filter($notes, fn ($note) => !is_numeric($note))), "\n";
echo $service->output();
foreach ($records as $record) {
    $exits[] = $record['causes'][0]['end'] . ' ' . $record['causes'][0]['exit_status'];
}
sort($exits);
echo implode(', ', $exits), "\n";
--EXPECT--
int(0)
int(1)
MPQueue\Exception\ExitException 3 exit(3) was called
MPQueue\Exception\ExitException 0 exit(0) was called
MPQueue\Exception\ExitException 0 exit(0) was called
MPQueue\Exception\ExitException 6 exit(6) was called
MPQueue\Exception\ExitException 8 exit(8) was called
said at exit
exit 0, exit 0, exit 3, exit 6, exit 8
