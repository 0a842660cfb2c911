--TEST--
worker:reload brings new code without losing a job; a generation that can not start changes nothing
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job() { note(version()); }
    function long() { usleep(400000); note('long ' . version()); }
    PHP, basics: "'preload' => function () { require __DIR__ . '/code.php'; }, 'start_timeout' => 3", queue: "'worker_number' => 2");
$service->write('code.php', "<?php function version() { return 'one'; }");
$service->start();
MPQueue\Queue::push('q', 'job');
$service->waitForDone(1);
MPQueue\Queue::push('q', 'long');
$service->waitFor(fn () => MPQueue\Queue::counts('q')['running'] === 1, 'the long job');
usleep(50000);

$service->write('code.php', "<?php function version() { return 'two'; }");
[$status, $out, $err] = $service->console('worker:reload');
echo "$status $out$err";
MPQueue\Queue::push('q', 'job');
$service->waitForDone(3);

$service->write('code.php', '<?php this is not php');
[$status, $out, $err] = $service->console('worker:reload');
echo "$status $out", preg_match('/^mpqueue: .*basics.preload threw ParseError: .*/m', $err) ? "told why\n" : $err;
MPQueue\Queue::push('q', 'job');
$service->waitForDone(4);
var_dump($service->stop());
$notes = $service->notes();
sort($notes);
print_r($notes);
--EXPECT--
0 service "t" reloaded
1 told why
int(0)
Array
(
    [0] => long one
    [1] => one
    [2] => two
    [3] => two
)
