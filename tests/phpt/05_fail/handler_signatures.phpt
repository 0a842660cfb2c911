--TEST--
fail_handle may declare no, one or two parameters, by reference or not, and may be a function of an extension
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function boom() { throw new Exception('x'); }
    class Handlers
    {
        public static function fixed(&$info) { $info['x'] = 1; note('fixed ' . count($info)); }
        public function method(array $info, Throwable &$e) { note('method ' . get_class($e)); }
    }
    PHP, queue: "'fail_number' => 1, 'fail_handle' => function () { note('none'); }", more: <<<'PHP'
    ['name' => 'one', 'fail_number' => 1, 'worker_number' => 1, 'fail_handle' => 'Handlers::fixed'],
    ['name' => 'two', 'fail_number' => 1, 'worker_number' => 1, 'fail_handle' => [new Handlers, 'method']],
    ['name' => 'three', 'fail_number' => 1, 'worker_number' => 1, 'fail_handle' => 'array_is_list'],
    ['name' => 'four', 'fail_number' => 1, 'worker_number' => 1, 'fail_handle' => 'Handlers::missing'],
    ['name' => 'five', 'fail_number' => 1, 'worker_number' => 1],
    PHP);
$service->start();
foreach (['q' => 1, 'one' => 1, 'two' => 1, 'three' => 1, 'four' => 2, 'five' => 1] as $queue => $causes) {
    MPQueue\Queue::push($queue, 'boom');
    [$record] = $service->waitForFailed(1, $queue);
    echo $queue, ': ', implode(', ', array_map(fn ($cause) => ($cause['in_handler'] ? 'handler: ' : '') . $cause['message'], $record['causes'])), "\n";
}
$service->stop();
echo implode("\n", $service->notes()), "\n", $service->output();
--EXPECT--
q: x
one: x
two: x
three: x
four: x, handler: fail_handle of queue "four" can't be called: class Handlers does not have a method "missing"
five: x
none
fixed 15
method Exception
