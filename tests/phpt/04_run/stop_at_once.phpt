--TEST--
A second signal, or the end of stop_timeout, hands the running job back, uncounted
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$jobs = <<<'PHP'
    function endless() { note('begin'); while (true) usleep(10000); }
    function polite() { note('again'); }
    PHP;
foreach (['' => true, "'stop_timeout' => 0.3" => false] as $basics => $twice) {
    $service = new Service(jobs: $jobs, basics: $basics, queue: "'fail_number' => 1");
    $service->start();
    MPQueue\Queue::push('q', 'endless');
    $service->waitForNotes(1);
    $from = microtime(true);
    $service->signal(SIGTERM);
    usleep(200000);
    if ($twice) {
        $service->signal(SIGTERM);
    }
    var_dump($service->wait());
    var_dump(microtime(true) - $from < 5);
    echo json_encode(MPQueue\Queue::counts('q')), "\n";
}
--EXPECT--
int(0)
bool(true)
{"pushed":1,"waiting":1,"delayed":0,"running":0,"failed":0,"done":0}
int(0)
bool(true)
{"pushed":1,"waiting":1,"delayed":0,"running":0,"failed":0,"done":0}
