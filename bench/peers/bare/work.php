<?php
require getenv('PEERS_LIB') . '/record.php';

const EXCHANGE = <<<'LUA'
redis.call('DEL', KEYS[2])
local jobs = redis.call('LPOP', KEYS[1], 16)
if not jobs then return {} end
redis.call('RPUSH', KEYS[2], unpack(jobs))
return jobs
LUA;

function perform(string $envelope): void
{
    Record::ran(json_decode($envelope, true)['id']);
}

function settle_and_take(Redis $redis, string $script, string $mine): void
{
    while ($jobs = $redis->evalSha($script, ['jobs', $mine], 2)) {
        array_map('perform', $jobs);
    }
}

pcntl_async_signals(true);
pcntl_signal(SIGTERM, fn () => exit(0), false);
$redis = new Redis();
$redis->connect(getenv('PEERS_SOCKET'));
$mine = 'jobs:' . getenv('PEERS_WORKER');
$many = getenv('PEERS_ROW') === 'Lua of 16' ? $redis->script('load', EXCHANGE) : null;
while (true) {
    $many && settle_and_take($redis, $many, $mine);
    $job = $redis->rawCommand('BLMOVE', 'jobs', $mine, 'LEFT', 'RIGHT', '1');
    if ($job) {
        perform($job);
        $redis->lRem($mine, $job, 1);
    }
}
