--TEST--
Cycles that jobs leave behind are collected
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function cycle() { $a = new stdClass; $a->self = $a; $a->data = str_repeat('x', 20000); }
    function measure(string $what) { note($what . ' ' . memory_get_usage()); }
    PHP, queue: "'memory_limit' => 0");
$service->start();
MPQueue\Queue::push('q', 'measure', 0, ['args' => ['before']]);
MPQueue\Queue::pushMany('q', array_fill(0, 1600, 'cycle'));
MPQueue\Queue::push('q', 'measure', 0, ['args' => ['after']]);
[$before, $after] = array_map(fn ($note) => (int) explode(' ', $note)[1], $service->waitForNotes(2));
echo $after - $before < 13 << 20 ? "collected\n" : "grew by " . ($after - $before) . "\n";
usleep(200000);
MPQueue\Queue::push('q', 'measure', 0, ['args' => ['idle']]);
$idle = (int) explode(' ', $service->waitForNotes(3)[2])[1];
echo $idle - $before < 1 << 20 ? "collected\n" : "grew by " . ($idle - $before) . "\n";
$service->stop();
--EXPECT--
collected
collected
