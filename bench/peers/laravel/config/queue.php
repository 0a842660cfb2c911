<?php
$wait = env('PEERS_BLOCK_FOR');

return [
    'default' => 'redis',
    'connections' => [
        'redis' => ['driver' => 'redis', 'connection' => 'default', 'queue' => 'default', 'retry_after' => 90,
            'block_for' => $wait === null ? null : (int) $wait],
    ],
    'failed' => ['driver' => 'null'],
];
