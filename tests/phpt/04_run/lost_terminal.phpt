--TEST--
A terminal that went away does not end the jobs that print to it
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function speak() { echo str_repeat('x', 100000); flush(); note('printed'); }
    PHP);
$process = proc_open(Service::php($service->dir . '/main.php', 'worker:start'),
    [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', "$service->dir/err", 'a']], $pipes);
fclose($pipes[1]);
$service->waitFor(fn () => $service->pid() > 0, 'the pid file');
MPQueue\Queue::pushMany('q', ['speak', 'speak', 'speak']);
$service->waitForDone(3);
print_r($service->notes());
var_dump(MPQueue\Queue::counts('q')['failed']);
proc_terminate($process, SIGTERM);
var_dump(proc_close($process));
--EXPECT--
Array
(
    [0] => printed
    [1] => printed
    [2] => printed
)
int(0)
int(0)
