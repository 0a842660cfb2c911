--TEST--
With strict types a delay is no string
--FILE--
<?php
declare(strict_types=1);
require __DIR__ . '/../../support/php/produce.inc';
MPQueue\Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'q']]]);
attempt(fn () => MPQueue\Queue::push('q', 'strlen', '1'));
attempt(fn () => MPQueue\Queue::push('q', 'strlen', null));
attempt(fn () => MPQueue\Queue::push('q', 'strlen', false));
attempt(fn () => strlen(MPQueue\Queue::push('q', 'strlen', 1)));
?>
--EXPECT--
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, string given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, null given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, bool given
returned 32
