<?php
$server = ['host' => env('PEERS_SOCKET'), 'port' => 0];

return [
    'default' => null,
    'connections' => [],
    'redis' => ['client' => 'phpredis', 'options' => ['prefix' => ''], 'default' => $server],
];
