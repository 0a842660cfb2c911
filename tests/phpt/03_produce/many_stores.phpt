--TEST--
More stores than connections are kept for: the oldest is closed, every store stays right
--INI--
pcre.jit=0
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';

function use_store(int $n): void
{
    Config::set(['basics' => ['driver' => redis_driver(prefix: redis_prefix() . ".$n")], 'queue' => [['name' => 'q']]]);
}

function info(string $section, string $field): int
{
    preg_match("/$field:(\d+)/", redis('INFO', $section), $found);
    return (int)$found[1];
}

$open = info('clients', 'connected_clients');
for ($round = 1; $round <= 3; $round++) {
    for ($n = 1; $n <= 20; $n++) {
        use_store($n);
        Queue::push('q', 'strlen');
    }
}
$now = info('clients', 'connected_clients') - $open;
echo $now, " open\n";
$right = 0;
for ($n = 1; $n <= 20; $n++) {
    use_store($n);
    $right += Queue::counts('q')['pushed'] === 3;
}
echo $right, " right\n";
// The ones used last are kept.
$before = info('stats', 'total_connections_received');
for ($n = 20; $n > 4; $n--) {
    use_store($n);
    Queue::push('q', 'strlen');
}
echo info('stats', 'total_connections_received') - $before, " new\n";
?>
--EXPECT--
16 open
20 right
0 new
