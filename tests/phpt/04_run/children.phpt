--TEST--
What follows mpqueue_run() runs in the caller only; a worker runs what it registered itself
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Last { public function __destruct() { note('destructed in worker ' . (getmypid() === START ? 'no' : 'yes')); } }
    function job() { register_shutdown_function(fn () => note('shutdown of the job')); $GLOBALS['last'] = new Last; }
    PHP, main: "define('START', getmypid());",
    after: "if (\$argv[1] === 'worker:start') note('after ' . (getmypid() === START ? 'in the caller' : 'in a child'));");
$service->start();
MPQueue\Queue::push('q', 'job');
$service->waitForDone(1);
var_dump($service->stop());
print_r($service->notes());
--EXPECT--
int(0)
Array
(
    [0] => shutdown of the job
    [1] => destructed in worker yes
    [2] => after in the caller
)
