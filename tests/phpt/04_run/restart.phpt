--TEST--
worker:restart ends the running service, if there is one, and starts a new one with the configuration of now
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: "function job() { note(getmypid() . ' ' . MPQueue\Config::get()['queue'][0]['worker_number']); }");
$config = file_get_contents("$service->dir/config.php");
$pids = [];
foreach ([1, 2] as $workers) {
    $service->write('config.php', str_replace("'worker_number' => 1", "'worker_number' => $workers", $config));
    [$status, $out, $err] = $service->console('worker:restart', '-d');
    $pids[] = $service->pid();
    echo $status, ' ', str_replace([$service->dir, ...$pids], ['DIR', 'FIRST', 'SECOND'], $out), $err;
    MPQueue\Queue::push('q', 'job');
    $service->waitForDone($workers);
}
var_dump($pids[0] !== $pids[1], Service::lives($pids[0]), Service::lives($pids[1]));
echo implode(' ', array_map(fn ($note) => explode(' ', $note)[1], $service->notes())), "\n";
$service->console('worker:stop');
var_dump(Service::lives($pids[1]));
--EXPECT--
0 service "t" is not running
service "t" started, pid FIRST; its log is in DIR/log/t
0 stopping service "t" (pid FIRST), running jobs are finished ...
stopped
service "t" started, pid SECOND; its log is in DIR/log/t
bool(true)
bool(false)
bool(true)
1 2
bool(false)
