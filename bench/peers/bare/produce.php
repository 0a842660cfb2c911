<?php
require getenv('PEERS_LIB') . '/produce.php';

function envelope(int $id): string
{
    return json_encode(['id' => $id, 'text' => TEXT]);
}

$redis = new Redis();
$redis->connect(getenv('PEERS_SOCKET'));
produce($argv, fn (int $id) => $redis->rPush('jobs', envelope($id)), fn (array $ids) => $redis->rPush('jobs', ...array_map('envelope', $ids)));
