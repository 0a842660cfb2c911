<?php

declare(strict_types=1);

// The configuration of the demo's service; the start script and the producer read the same file.
$dir = getenv('MPQUEUE_DEMO_DIR');
$dsn = (string) getenv('MPQUEUE_DEMO_DSN');

return [
    'basics' => [
        'name' => 'mpqueue-demo',
        'pid_path' => $dir,
        'driver' => $dsn !== ''
            ? new MPQueue\Driver\Redis($dsn)
            : new MPQueue\Driver\Sqlite("$dir/queue.db"),
        'stop_timeout' => 5,
    ],
    'log' => ['path' => "$dir/log"],
    'queue' => [
        [
            'name' => getenv('MPQUEUE_DEMO_QUEUE'),
            'worker_number' => (int) getenv('MPQUEUE_DEMO_WORKERS'),
        ],
    ],
];
