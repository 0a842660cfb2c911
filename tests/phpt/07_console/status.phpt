--TEST--
worker:status shows every process and what it works on
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: "function long() { note('began'); usleep(1500000); }",
    more: "['name' => 'other', 'worker_number' => 2]");
foreach (['worker:status', 'worker:reload'] as $command) {
    [$status, $out, $err] = $service->console($command);
    echo $status, ' ', $out, $err;
}
$service->start();
$id = MPQueue\Queue::push('q', 'long');
$service->waitForNotes(1);
usleep(120000);
[$status, $out, $err] = $service->console('worker:status');
echo preg_replace(['/ +/', '/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/', '/\d+\.\d/', "/$id/"], [' ', 'DATE', '1.0', 'ID'], $out), $err, $status, "\n";
preg_match_all('/^\S+ +(\w+) +(\d+)/m', $out, $rows);
foreach ($rows[2] as $i => $pid) {
    echo $rows[1][$i], ' ', is_dir("/proc/$pid") ? 'lives' : 'is gone', ' ', trim(str_replace("\0", ' ', file_get_contents("/proc/$pid/cmdline"))), "\n";
}
var_dump($service->stop());
foreach ($rows[2] as $pid) {
    if (Service::lives((int) $pid)) {
        echo "$pid is left\n";
    }
}
--EXPECTF--
1 service "t" is not running
1 service "t" is not running
queue type pid state generation started uptime jobs memory current job
- manager %d %s DATE 1.0 s - - -
- dispatcher %d %s
- template %d %s 1 DATE 1.0 s - - -
q worker %d busy 1 DATE 1.0 s 0 %s ID for 1.0 s
other worker %d idle 1 DATE 1.0 s 0 %s
other worker %d idle 1 DATE 1.0 s 0 %s
0
manager lives mpqueue: manager t
dispatcher lives mpqueue: dispatcher t
template lives mpqueue: template t
worker lives mpqueue: worker q
worker lives mpqueue: worker other
worker lives mpqueue: worker other
int(0)
