--TEST--
Long jobs behind many short ones get all workers, not only as many as there are processors
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Short extends MPQueue\Job { public function handle() {} }
    class Long extends MPQueue\Job
    {
        public function handle()
        {
            note('begun');
            while (count(file(__DIR__ . '/notes')) < 12) {
                usleep(1000);
            }
        }
    }
    PHP, queue: "'worker_number' => 12");
$service->start();
MPQueue\Queue::pushMany('q', array_map(fn () => new Short, range(1, 5000)));
$service->waitForDone(5000);
MPQueue\Queue::pushMany('q', array_merge(
    array_map(fn () => new Short, range(1, 300)),
    array_map(fn () => new Long, range(1, 12)),
));
$service->waitForDone(5312); // never, unless all twelve run at once
echo count($service->notes()), " at once\n", $service->stop(), "\n";
?>
--EXPECT--
12 at once
0
