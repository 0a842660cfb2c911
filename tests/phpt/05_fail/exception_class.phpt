--TEST--
A handler gets an object of the class that was thrown, whatever its constructor wants
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Demanding extends Exception { public function __construct(private array $needed) { parent::__construct('demanding', 3); } }
    class Odd extends Exception { public function __construct() { $this->message = ['an', 'array']; $this->code = 'HY000'; } }
    class Sub extends Error {}
    function throws(string $how)
    {
        switch ($how) {
            case 'demanding': throw new Demanding([1]);
            case 'odd': throw new Odd;
            case 'error': throw new Sub('error', 9);
            case 'gone': eval('class Gone extends Exception {}'); throw new Gone('gone');
            case 'anonymous': throw new class('anonymous') extends Exception {};
            case 'chain': throw new LogicException('outer', 0, new RuntimeException('inner'));
            case 'bytes': throw new Exception("\0\xff");
            case 'type': strlen();
        }
    }
    PHP, queue: <<<'PHP'
    'fail_number' => 1, 'max_jobs' => 1,
    'fail_handle' => function ($info, $e) {
        $class = str_contains(get_class($e), '@') ? 'anonymous' : get_class($e);
        note($class . ' ' . strtr(json_encode($e->getMessage(), JSON_INVALID_UTF8_SUBSTITUTE), ["\\u0000/" => '@/']) . ' ' . $e->getCode() . ' ' . ($e->getLine() === $info['cause']['line'] ? 'ok' : 'line'));
    },
    PHP);
$service->start();
foreach ($how = ['demanding', 'odd', 'error', 'gone', 'chain', 'bytes', 'type'] as $i => $one) {
    MPQueue\Queue::push('q', 'throws', 0, ['args' => [$one]]);
    $service->waitForNotes($i + 1);
}
echo implode("\n", $service->notes()), "\n";
foreach (MPQueue\Queue::failed('q') as $record) {
    if ($record['causes'][0]['message'] === 'outer') {
        echo preg_replace(['/^#.*\n/m', '/ in .*:\d+/'], ['', ''], $record['causes'][0]['trace']), "\n";
    }
}
$service->stop();
--EXPECTF--
Demanding "demanding" 3 ok
Odd "" 0 ok
Sub "error" 9 ok
MPQueue\Exception\QueueException "Gone: gone" 0 ok
LogicException "outer" 0 ok
Exception "\u0000\ufffd" 0 ok
ArgumentCountError "strlen() expects exactly 1 argument, 0 given" 0 ok
caused by RuntimeException: inner
%A
