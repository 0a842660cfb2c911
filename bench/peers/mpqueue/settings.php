<?php
function settings(?int $workers = null): array
{
    return [
        'basics' => ['name' => 'peers', 'pid_path' => getenv('PEERS_DIR'), 'driver' => new MPQueue\Driver\Redis('unix://' . getenv('PEERS_SOCKET'))],
        'log' => ['path' => getenv('PEERS_DIR')],
        'queue' => [['name' => 'jobs', 'worker_number' => $workers]],
    ];
}
