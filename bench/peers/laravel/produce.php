<?php
use App\Noop;
use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\Facades\Queue;

require getenv('PEERS_LIB') . '/produce.php';
require __DIR__ . '/vendor/autoload.php';

$app = require __DIR__ . '/bootstrap/app.php';
$app->make(Kernel::class)->bootstrap();
produce($argv, fn (int $id) => Noop::dispatch($id, TEXT), fn (array $ids) => Queue::bulk(array_map(fn (int $id) => new Noop($id, TEXT), $ids)));
