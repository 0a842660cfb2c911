--TEST--
Buffers that a job leaves open are printed and closed, as a part of the job
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function leaves() { ob_start(); echo "left\n"; ob_start(fn ($text) => strtoupper($text)); echo "in upper case\n"; }
    function throws() { ob_start(function ($text) { throw new Exception('in callback'); }); echo 'x'; }
    function leaves_callback() { ob_start(function ($text) { if ($text !== '') exit(4); return ''; }); echo 'y'; }
    function slow_callback() { ob_start(function ($text) { while (true); }); echo 'z'; }
    function level() { note('level ' . ob_get_level()); }
    PHP, basics: "'timeout_grace' => 5", queue: "'fail_number' => 1, 'timeout' => 0.3");
$service->start();
foreach (['leaves', 'throws', 'leaves_callback', 'slow_callback'] as $job) {
    MPQueue\Queue::push('q', $job);
    MPQueue\Queue::push('q', 'level');
}
$service->waitForFailed(3);
$service->waitForDone(5);
var_dump($service->stop());
echo implode(', ', $service->notes()), "\n";
foreach (MPQueue\Queue::failed('q') as $record) {
    $ends[] = $record['job'] . ' ' . $record['causes'][0]['end'];
}
sort($ends);
echo implode(', ', $ends), "\n", $service->output();
--EXPECTF--
int(0)
level 0, level 0, level 0, level 0
leaves_callback exit, slow_callback timeout, throws exception
left
IN UPPER CASE
%A
