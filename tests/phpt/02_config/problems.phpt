--TEST--
Everything that is wrong is reported at once, with its path
--FILE--
<?php
use MPQueue\Config;
use MPQueue\Driver\Memory;

require __DIR__ . '/../../support/php/produce.inc';

attempt(fn () => Config::set([
    'basics' => ['driver' => 'redis', 'name' => 'a b', 'lease' => 0, 'pid_path' => '', 'max_payload' => '64M',
        'stop_timeout' => INF, 'preload' => 5],
    'log' => ['level' => 'loud', 'path' => "a\0b"],
    'queue' => [
        ['name' => 'mail', 'wokers' => 2, 'worker_number' => 0, 'memory_limit' => -1, 'sleep_seconds' => 0],
        ['name' => 'mail', 'timeout' => 'abc', 'fail_number' => 1.5, 'fail_expire' => -0.1, 'timeout_retry' => 'yes'],
        5,
        ['timeout' => 4294968, 'model' => 3, 'fail_handle' => 'a b', 'worker_start_handle' => ['A']],
        'x' => ['name' => 'a{b', 'fail_handle' => new ArrayObject],
    ],
]));
foreach ([
    [],
    ['basics' => 1, 'queue' => 'mail', 'log' => new stdClass],
    ['basics' => ['driver' => new Memory], 'queue' => []],
    ['basics' => ['driver' => new Memory], 'queue' => null],
    ['basics' => ['driver' => new Memory], 'queue' => ['name' => 'mail', 'timeout' => 3]],
    ['basics' => ['driver' => new Memory], 'queue' => [['name' => '']]],
    ['basics' => ['driver' => new Memory], 'queue' => [['name' => ['mail']]]],
    ['basics' => ['driver' => new Memory, 7 => 1], 'queue' => [['name' => 'a']], 8 => 2],
    ['basics' => ['driver' => new Memory, 'worker_start_handle' => 'a'], 'worker_start_handle' => 'b', 'queue' => [['name' => 'a']]],
    ['basics' => ['driver' => new Memory], 'queue' => array_map(fn ($i) => ['name' => "q$i"], range(1, 65))],
    ['basics' => ['driver' => new Memory], 'queue' => [['name' => 'a', 'worker_number' => 1000], ['name' => 'b', 'worker_number' => 25]]],
    ['basics' => ['driver' => (new ReflectionClass(new class extends MPQueue\Job { function handle() {} }))->newInstance()], 'queue' => [['name' => 'a']]],
] as $config) {
    echo "--\n";
    attempt(fn () => Config::set($config));
}
var_dump(Config::get());
?>
--EXPECT--
MPQueue\Exception\ConfigException: basics.driver must be a MPQueue\Driver\Redis, MPQueue\Driver\Sqlite or MPQueue\Driver\Memory object, got "redis"
basics.name must be 1 to 64 characters of A-Z a-z 0-9 . _ -, got "a b"
basics.lease must be a number of seconds from 1 to 3600, got 0
basics.pid_path must be the path of a directory, got ""
basics.max_payload must be a number of bytes from 1024 to 536870912, got "64M"
basics.stop_timeout must be at most 4294967 seconds, got INF
basics.preload must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got 5
log.level must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog, got "loud"
log.path must be the path of a directory, got "a\x00b"
queue[0].wokers is not a known setting (did you mean worker_number?)
queue[0].worker_number must be a whole number from 1 to 1024, got 0
queue[0].memory_limit must be a whole number of MiB, or 0 for no limit, got -1
queue[0].sleep_seconds must be a number of seconds from 0.001 to 3600, got 0
queue[1].timeout must be a number of seconds >= 0, got "abc"
queue[1].fail_number must be a whole number >= 0, got 1.5
queue[1].fail_expire must be a number of seconds >= 0, got -0.1
queue[1].timeout_retry must be true or false, got "yes"
queue[1].name must be different for each queue, got "mail"
queue[2] must be an array with the settings of one queue, got 5
queue[3].timeout must be at most 4294967 seconds, got 4294968
queue[3].model must be MPQueue\Config::MODE_DISTRIBUTE (1) or MPQueue\Config::MODE_GRAB (2), got 3
queue[3].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got "a b"
queue[3].worker_start_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 1
queue[3].name is missing
queue["x"].name must not contain { or }, got "a{b"
queue["x"].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an object of class ArrayObject
--
MPQueue\Exception\ConfigException: basics.driver is missing: set a MPQueue\Driver\Redis or MPQueue\Driver\Sqlite object
queue is missing: it must be a list of queues: [['name' => 'mail'], ...]
--
MPQueue\Exception\ConfigException: basics must be an array, got 1
basics.driver is missing: set a MPQueue\Driver\Redis or MPQueue\Driver\Sqlite object
log must be an array, got an object of class stdClass
queue must be a list of queues: [['name' => 'mail'], ...], got "mail"
--
MPQueue\Exception\ConfigException: queue is missing: it must be a list of queues: [['name' => 'mail'], ...]
--
MPQueue\Exception\ConfigException: queue is missing: it must be a list of queues: [['name' => 'mail'], ...]
--
MPQueue\Exception\ConfigException: queue["name"] must be an array with the settings of one queue, got "mail"
queue["timeout"] must be an array with the settings of one queue, got 3
--
MPQueue\Exception\ConfigException: queue[0].name must be 1 to 128 bytes long, got ""
--
MPQueue\Exception\ConfigException: queue[0].name must be a string, got an array of 1
--
MPQueue\Exception\ConfigException: [8] is not a known setting
basics.7 is not a known setting
--
MPQueue\Exception\ConfigException: worker_start_handle is set at the top level and in basics: keep one of them
--
MPQueue\Exception\ConfigException: queue must have at most 64 queues, got 65
--
MPQueue\Exception\ConfigException: queue must have at most 1024 workers in all, got 1025
--
MPQueue\Exception\ConfigException: basics.driver must be a MPQueue\Driver\Redis, MPQueue\Driver\Sqlite or MPQueue\Driver\Memory object, got an object of class MPQueue\Job@anonymous
NULL
