--TEST--
At its time limit a job gets a TimeoutException, in loops, callbacks and sleeps; that is final
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function loop() { try { while (true); } finally { note('finally'); } }
    function sleeps() { sleep(10); }
    function callbacks() { $a = range(1, 100000); while (true) usort($a, fn ($x, $y) => $y <=> $x); }
    class Limited extends MPQueue\Job
    {
        protected $timeout = 0.3;
        public function handle() { note('began'); while (true) usleep(1000); }
        public function fail_handle(array &$jobInfo, Throwable $e) { note("type {$jobInfo['type']} timeout {$jobInfo['timeout']} " . get_class($e) . ': ' . $e->getMessage()); }
    }
    PHP, basics: "'timeout_grace' => 5", queue: "'timeout' => 0.2, 'fail_number' => 3");
$service->start();
foreach (['loop', 'sleeps', 'callbacks', new Limited] as $i => $job) {
    $from = microtime(true);
    MPQueue\Queue::push('q', $job);
    $service->waitForFailed($i + 1);
    $for = microtime(true) - $from;
    echo $for >= 0.2 && $for < 2 ? "in time\n" : "took $for\n";
}
var_dump($service->stop());
$lines = [];
foreach (MPQueue\Queue::failed('q') as $record) {
    $lines[] = count($record['causes']) . ' ' . $record['causes'][0]['end'] . ' ' . $record['causes'][0]['class'] . ' ' . $record['causes'][0]['message'];
}
sort($lines); // the records are in no order
echo implode("\n", $lines), "\n";
echo implode("\n", $service->notes()), "\n";
--EXPECT--
in time
in time
in time
in time
int(0)
1 timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s
1 timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s
1 timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s
1 timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.3 s
finally
began
type 2 timeout 0.3 MPQueue\Exception\TimeoutException: job exceeded its time limit of 0.3 s
