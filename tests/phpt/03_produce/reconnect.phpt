--TEST--
One connection for all pushes, made again when it is lost
--INI--
pcre.jit=0
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';

function connections(): int
{
    preg_match('/total_connections_received:(\d+)/', redis('INFO', 'stats'), $found);
    return (int)$found[1];
}

$before = connections();
for ($i = 0; $i < 5; $i++) {
    use_redis(['timeout' => $i]); // settings of queues don't matter for the connection
    Queue::push('q', 'strlen');
    Queue::counts('q');
}
echo connections() - $before, "\n";
for ($i = 0; $i < 3; $i++) {
    redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    Queue::push('q', 'strlen');
    redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    Queue::pushMany('q', ['strlen', 'strlen']);
}
echo Queue::counts('q')['pushed'], ' ', count(stored()), ' ', count(array_unique(array_column(stored(), 'id'))), "\n";
redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
echo Queue::counts('q')['pushed'], "\n";
redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
echo count(Queue::failed('q')), "\n";
redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
Queue::clear('q');
echo Queue::counts('q')['pushed'], "\n";
redis('SCRIPT', 'FLUSH');
echo strlen(Queue::push('q', 'strlen')), ' ', Queue::counts('q')['pushed'], "\n";
?>
--EXPECT--
1
14 14 14
14
0
0
32 1
