--TEST--
Poison: a destructor that hangs after its job can not keep the queue from working
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Hangs { public $me; public function __destruct() { note('destructor'); while (true) usleep(1000); } }
    function leaves() { $one = new Hangs; $one->me = $one; }
    function next_one() { note('next'); }
    PHP, queue: "'timeout' => 1");
$service->start();
MPQueue\Queue::push('q', 'leaves');
$service->waitForNotes(1);
MPQueue\Queue::push('q', 'next_one');
$service->waitForDone(2);
var_dump($service->stop());
echo implode(' ', $service->notes()), "\n";
--EXPECT--
int(0)
destructor next
