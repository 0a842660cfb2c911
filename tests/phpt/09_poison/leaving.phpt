--TEST--
Poison: what a job leaves for the worker's end can not keep the queue from working
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Clings { public function __destruct() { note('clings'); while (true) { try { while (true); } catch (Throwable) {} } } }
    class Dies { public function __destruct() { note('dies'); posix_kill(getmypid(), SIGKILL); } }
    function registers() { register_shutdown_function(function () { note('shutdown'); while (true) usleep(1000); }); }
    function keeps(string $class) { static $kept; $kept = new $class; }
    function throws_at_the_end() { register_shutdown_function(fn () => throw new Exception('at the end')); }
    function exits_at_the_end() { register_shutdown_function(fn () => exit(3)); }
    function next_one() { note('next'); }
    PHP, queue: "'max_jobs' => 1", basics: "'stop_timeout' => 0.3");
$service->start();
foreach ([['registers'], ['keeps', 'Clings'], ['keeps', 'Dies'], ['throws_at_the_end'], ['exits_at_the_end']] as $i => $job) {
    MPQueue\Queue::push('q', array_shift($job), 0, ['args' => $job]);
    MPQueue\Queue::push('q', 'next_one');
    $service->waitForDone(2 * $i + 2);
}
var_dump($service->stop());
echo implode(' ', $service->notes()), ' ', MPQueue\Queue::counts('q')['failed'], "\n";
--EXPECT--
int(0)
shutdown next clings next dies next next next 0
