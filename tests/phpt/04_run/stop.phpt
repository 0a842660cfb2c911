--TEST--
SIGTERM and SIGINT let the running job finish; what has not begun stays in the queue
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
foreach ([SIGTERM, SIGINT] as $signal) {
    $service = new Service(jobs: <<<'PHP'
        function long() { note('begin'); for ($i = 0; $i < 30; $i++) usleep(10000); note('end'); }
        PHP);
    $service->start();
    MPQueue\Queue::pushMany('q', ['long', 'long', 'long']);
    $service->waitForNotes(1);
    $service->signal($signal);
    var_dump($service->wait());
    echo implode(' ', $service->notes()), ' ', json_encode(MPQueue\Queue::counts('q')), "\n";
}
--EXPECT--
int(0)
begin end {"pushed":3,"waiting":2,"delayed":0,"running":0,"failed":0,"done":1}
int(0)
begin end {"pushed":3,"waiting":2,"delayed":0,"running":0,"failed":0,"done":1}
