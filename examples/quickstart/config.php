<?php

// One file for both sides: the start script runs these queues, the producer pushes to them.
return [
    'basics' => [
        'name' => 'quickstart',
        // An embedded file, no server needed. For several hosts: new MPQueue\Driver\Redis('127.0.0.1').
        'driver' => new MPQueue\Driver\Sqlite(sys_get_temp_dir() . '/mpqueue-quickstart.db'),
    ],
    'queue' => [
        [
            'name' => 'mail',
            'worker_number' => 2,
            'timeout' => 30,     // seconds for one run
            'fail_number' => 3,  // the third failure is final
            'fail_expire' => 1,  // seconds until the next attempt
            'fail_handle' => function (array $jobInfo, Throwable $e) {
                echo "given up after {$jobInfo['exec_number']} attempts: {$e->getMessage()}\n";
            },
        ],
    ],
];
