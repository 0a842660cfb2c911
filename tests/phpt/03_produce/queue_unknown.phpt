--TEST--
A queue that is not configured is refused by every method, with the names that are known
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';

Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'mail'], ['name' => 'report']]]);
attempt(fn () => Queue::push('mial', 'strlen'));
attempt(fn () => Queue::pushMany("mail\0", ['strlen']));
attempt(fn () => Queue::counts(''));
attempt(fn () => Queue::failed('Mail'));
attempt(fn () => Queue::clear(str_repeat('long', 1000)));
attempt(fn () => Queue::failed('mail', 0));
attempt(fn () => Queue::failed('mail', -1));
?>
--EXPECT--
MPQueue\Exception\ConfigException: queue "mial" is not configured; known queues: "mail", "report"
MPQueue\Exception\ConfigException: queue "mail\x00" is not configured; known queues: "mail", "report"
MPQueue\Exception\ConfigException: queue "" is not configured; known queues: "mail", "report"
MPQueue\Exception\ConfigException: queue "Mail" is not configured; known queues: "mail", "report"
MPQueue\Exception\ConfigException: queue "longlonglonglonglonglonglonglonglonglonglonglonglonglonglong..." is not configured; known queues: "mail", "report"
ValueError: MPQueue\Queue::failed(): Argument #2 ($limit) must be greater than 0
ValueError: MPQueue\Queue::failed(): Argument #2 ($limit) must be greater than 0
