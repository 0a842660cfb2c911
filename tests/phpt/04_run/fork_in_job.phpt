--TEST--
A process that a job forks ends with the job and never becomes a second worker
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function returns() { if (pcntl_fork() === 0) { return; } pcntl_wait($status); note('returned ' . pcntl_wexitstatus($status)); }
    function exits() { if (pcntl_fork() === 0) { exit(5); } pcntl_wait($status); note('exited ' . pcntl_wexitstatus($status)); }
    function throws() { if (pcntl_fork() === 0) { throw new Exception('child'); } pcntl_wait($status); note('threw ' . pcntl_wexitstatus($status)); }
    function done() { note('done'); }
    PHP);
$service->start();
MPQueue\Queue::pushMany('q', ['returns', 'exits', 'throws', 'done']);
$service->waitForDone(4);
usleep(50000);
print_r($service->notes());
echo json_encode(MPQueue\Queue::counts('q')), "\n";
var_dump($service->stop());
--EXPECT--
Array
(
    [0] => returned 0
    [1] => exited 5
    [2] => threw 255
    [3] => done
)
{"pushed":4,"waiting":0,"delayed":0,"running":0,"failed":0,"done":4}
int(0)
