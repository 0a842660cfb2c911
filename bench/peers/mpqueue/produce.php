<?php
use MPQueue\{Config, Queue};

require getenv('PEERS_LIB') . '/produce.php';
require __DIR__ . '/Noop.php';
require __DIR__ . '/settings.php';

Config::set(settings());
produce($argv, fn (int $id) => Queue::push('jobs', new Noop($id, TEXT)),
    fn (array $ids) => Queue::pushMany('jobs', array_map(fn (int $id) => new Noop($id, TEXT), $ids)));
