<?php
return [
    'default' => env('PEERS_CACHE', 'file'),
    'stores' => [
        'file' => ['driver' => 'file', 'path' => storage_path('framework/cache')],
        'array' => ['driver' => 'array', 'serialize' => false],
    ],
];
