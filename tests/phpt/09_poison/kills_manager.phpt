--TEST--
Poison: a job that kills the manager ends in the failed list when the service was restarted fail_number times
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function kills() { note('run'); file_put_contents(__DIR__ . '/program', proc_get_status(proc_open('exec sleep 100', [], $pipes))['pid']); posix_kill(posix_getppid(), SIGKILL); sleep(10); }
    function stops() { note('stops'); posix_kill(posix_getppid(), SIGTERM); usleep(200000); note('stopped'); }
    function stops_at_once() { note('at once'); posix_kill(posix_getppid(), SIGTERM); usleep(100000); posix_kill(posix_getppid(), SIGTERM); sleep(10); note('not reached'); }
    function next_one() { note('next'); }
    PHP, queue: "'fail_number' => 3, 'fail_handle' => fn (\$info, \$e) => note(\$e::class)");
MPQueue\Queue::push('q', 'kills');
MPQueue\Queue::push('q', 'next_one');
$starts = 0;
do {
    $service->start();
    $starts++;
    $service->waitFor(fn () => !Service::lives($service->pid()) || MPQueue\Queue::counts('q')['failed'] > 0, 'the poison to strike');
    $program = (int) file_get_contents("$service->dir/program");
    if (!Service::lives($service->pid())) {
        $status = $service->wait();
    } else {
        echo Service::lives($program) ? "its program goes on\n" : "its program is gone\n";
    }
} while ($starts < 9 && MPQueue\Queue::counts('q')['failed'] === 0);
echo "$starts starts, the last end was $status\n";
$service->waitForDone(1);
foreach (MPQueue\Queue::failed('q') as $record) {
    echo $record['job'], ': ', implode(' and ', array_map(fn ($cause) => "$cause[end], $cause[message]", $record['causes'])), "\n";
}
MPQueue\Queue::push('q', 'stops');
var_dump($service->wait());
MPQueue\Queue::push('q', 'stops_at_once');
$service->start();
var_dump($service->wait());
echo json_encode(array_slice(MPQueue\Queue::counts('q'), 1)), "\n", implode(', ', $service->notes()), "\n";
--EXPECT--
its program is gone
4 starts, the last end was -9
kills: service_lost, the whole service was killed under the job and service_lost, the whole service was killed under the job and service_lost, the whole service was killed under the job
int(0)
int(0)
{"waiting":1,"delayed":0,"running":0,"failed":1,"done":2}
run, run, run, MPQueue\Exception\LostException, next, stops, stopped, at once
