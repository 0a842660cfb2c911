--TEST--
The arrays of multi-process-queue are accepted as they are
--FILE--
<?php
use MPQueue\Config;

require __DIR__ . '/../../support/php/produce.inc';

// README, "configuration example" and the Laravel section
$config = [
    'basics' => [
        'name' => 'mp-queue-1',
        'driver' => new \MPQueue\Driver\Redis('127.0.0.1'),
        'worker_start_handle' => function () {
        },
    ],
    'queue' => [
        [
            'name' => 'test',
            'fail_handle' => function () {
                var_dump('失败了');
            },
        ],
        [
            'name' => 'test2',
            'worker_number' => 4,
            'memory_limit' => 0,
        ],
    ],
    'log' => [
        'path' => __DIR__ . '/../storage/logs',
    ],
];
Config::set($config);
var_dump(Config::get() === $config);

// Its test/Config.php: null is absent, values as strings, Monolog's level, the default of a handle is ''.
Config::set([
    'basics' => [
        'name' => 'mp-queue-test',
        'pid_path' => null,
        'driver' => new \MPQueue\Driver\Redis('127.0.0.1', null, '', '0', 'mpq'),
        'worker_start_handle' => '',
    ],
    'worker_start_handle' => 'boot',
    'log' => ['path' => '/tmp', 'level' => 200, 'driver' => 'MPQueue\Log\Driver\RotatingFileLogDriver'],
    'queue' => [
        [
            'name' => 'test',
            'worker_number' => '3',
            'memory_limit' => '128',
            'sleep_seconds' => 0.001,
            'timeout' => '120',
            'fail_number' => 3,
            'fail_expire' => '0.5',
            'fail_handle' => ['Some\NotYetLoaded', 'failed'],
            'worker_start_handle' => 'Some\NotYetLoaded::start',
            'model' => 2,
        ],
    ],
]);
echo "accepted\n";

// README's name for it
attempt(fn () => Config::set(['log' => ['dirver' => 'RotatingFileLogDriver']] + $config));
attempt(fn () => Config::set(['log' => ['driver' => 'My\Logger']] + $config));
?>
--EXPECT--
bool(true)
accepted
returned NULL
MPQueue\Exception\ConfigException: log.driver must be left out: the log goes to files in log.path, got "My\Logger"
