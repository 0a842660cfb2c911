--TEST--
A payload that can not become a job fails at once, with its bytes; the worker goes on
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Woken
    {
        public function __construct(public int $n) {}
        public function __wakeup() { note('wakeup'); throw new RuntimeException('not awake'); }
        public function __invoke() { note('NEVER'); }
    }
    function fine() { note('fine ' . getmypid()); }
    if (!isset($_SERVER['argv'][1]) || $_SERVER['argv'][1] !== 'worker:start') {
        class OnlyHere extends MPQueue\Job { public $data = "\0\xff"; public function handle() {} }
    }
    PHP, queue: <<<'PHP'
    'fail_number' => 2,
    'fail_handle' => function ($info, $e) {
        note(get_class($e) . ' ' . json_encode($info['job']) . ' ' . md5($info['payload'] ?? ''));
    }
    PHP);
$service->start();
MPQueue\Queue::push('q', 'fine');
MPQueue\Queue::push('q', new OnlyHere);
$records = $service->waitForFailed(1);
MPQueue\Queue::push('q', new Woken(1));
$service->waitForFailed(2);
MPQueue\Queue::push('q', 'fine');
$service->waitForDone(2);
var_dump($service->stop());
$notes = $service->notes();
var_dump($notes[0] === end($notes));
echo implode("\n", preg_grep('/^fine/', $notes, PREG_GREP_INVERT)), "\n";
echo $records[0]['causes'][0]['end'], ' ', count($records[0]['causes']), ' ', $records[0]['causes'][0]['message'], "\n";
var_dump(md5($records[0]['payload']));
--EXPECTF--
int(0)
bool(true)
MPQueue\Exception\UndecodableJobException null %x
wakeup
wakeup
wakeup
RuntimeException null %x
undecodable 1 %sOnlyHere%s
string(32) "%x"
