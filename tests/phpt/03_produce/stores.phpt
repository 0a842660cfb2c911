--TEST--
The same on every store: push, pushMany, counts, clear; any bytes come back unchanged
--INI--
pcre.jit=0
--FILE--
<?php
use MPQueue\{Config, Driver, Queue};

require __DIR__ . '/../../support/php/produce.inc';

$all = implode('', array_map('chr', range(0, 255)));
foreach (['memory' => new Driver\Memory, 'sqlite' => new Driver\Sqlite(sys_get_temp_dir() . '/' . getmypid() . '.db'),
    'durable' => new Driver\Sqlite(sys_get_temp_dir() . '/' . getmypid() . 'd.db', true), 'redis' => redis_driver()] as $name => $driver) {
    Config::set(['basics' => ['driver' => $driver], 'queue' => [['name' => '邮件 1'], ['name' => 'other']]]);
    Queue::clear('邮件 1');
    $ids = [Queue::push('邮件 1', 'strlen', options: ['args' => [$all]]), Queue::push('邮件 1', 'strlen', 3600)];
    $ids = [...$ids, ...array_values(Queue::pushMany('邮件 1', ['strlen', 'trim', 'x' => 'ltrim'])), Queue::push('other', 'strlen')];
    echo $name, ': ', count(array_unique($ids)), ' ids, ', preg_match('/^[0-9a-f]{32}$/', $ids[0]) ? 'hex' : $ids[0], "\n";
    echo json_encode(Queue::counts('邮件 1')), ' ', json_encode(Queue::failed('邮件 1')), "\n";
    Queue::clear('邮件 1');
    echo json_encode(Queue::counts('邮件 1')), ' ', Queue::counts('other')['waiting'], "\n";
    Queue::push('邮件 1', 'strlen');
    echo Queue::counts('邮件 1')['waiting'], "\n";
}
use_redis();
Queue::push('q', 'strlen', options: ['args' => [$all]]);
$stored = last_stored();
var_dump($stored['payload'] === 'F' . serialize(['strlen', [$all]]), abs($stored['created_at_ms'] - microtime(true) * 1000) < 5000);
?>
--EXPECT--
memory: 6 ids, hex
{"pushed":5,"waiting":4,"delayed":1,"running":0,"failed":0,"done":0} []
{"pushed":0,"waiting":0,"delayed":0,"running":0,"failed":0,"done":0} 1
1
sqlite: 6 ids, hex
{"pushed":5,"waiting":4,"delayed":1,"running":0,"failed":0,"done":0} []
{"pushed":0,"waiting":0,"delayed":0,"running":0,"failed":0,"done":0} 1
1
durable: 6 ids, hex
{"pushed":5,"waiting":4,"delayed":1,"running":0,"failed":0,"done":0} []
{"pushed":0,"waiting":0,"delayed":0,"running":0,"failed":0,"done":0} 1
1
redis: 6 ids, hex
{"pushed":5,"waiting":4,"delayed":1,"running":0,"failed":0,"done":0} []
{"pushed":0,"waiting":0,"delayed":0,"running":0,"failed":0,"done":0} 1
1
bool(true)
bool(true)
