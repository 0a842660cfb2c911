--TEST--
worker:start -d returns when the service has started; worker:stop ends it
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job() { echo "printed by a job\n"; note(getmypid()); }
    PHP, after: 'echo "back in the caller\n";');
[$status, $out, $err] = $service->console('worker:start', '-d');
$pid = $service->pid();
echo $status, ' ', str_replace([$service->dir, $pid], ['DIR', 'PID'], $out), $err;
var_dump(posix_getsid($pid) !== posix_getsid(getmypid()), Service::lives($pid));
MPQueue\Queue::push('q', 'job');
$service->waitForDone(1);
[$status, $out, $err] = $service->console('worker:stop');
echo $status, ' ', str_replace($pid, 'PID', $out), $err;
var_dump(Service::lives($pid));
echo file_get_contents("$service->dir/log/t/output.log");
[$status, $out, $err] = $service->console('worker:stop');
echo "$status $out$err";

$service->write('config.php', str_replace("'driver'", "'worker_start_handle' => fn () => exit(9), 'start_timeout' => 2, 'driver'",
    file_get_contents("$service->dir/config.php")));
[$status, $out, $err] = $service->console('worker:start', '--daemon');
echo $status, ' ', $out, preg_match('/mpqueue: .*worker_start_handle called exit\(9\)/', $err) ? "told why\n" : $err;
--EXPECT--
0 service "t" started, pid PID; its log is in DIR/log/t
back in the caller
bool(true)
bool(true)
0 stopping service "t" (pid PID), running jobs are finished ...
stopped
back in the caller
bool(false)
printed by a job
0 service "t" is not running
back in the caller
1 back in the caller
told why
