--TEST--
A producer needs the driver and the queues' names only
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';

attempt(fn () => Queue::push('q', 'strlen'));
attempt(fn () => Queue::counts('q'));
var_dump(Config::get());
Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'q']]]);
echo strlen(Queue::push('q', 'strlen', options: ['args' => ['x']])), "\n";
?>
--EXPECT--
MPQueue\Exception\ConfigException: nothing is configured: call MPQueue\Config::set() before MPQueue\Queue is used
MPQueue\Exception\ConfigException: nothing is configured: call MPQueue\Config::set() before MPQueue\Queue is used
NULL
32
