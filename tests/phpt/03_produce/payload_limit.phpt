--TEST--
basics.max_payload: what is larger is refused before anything is stored; large jobs below it go through
--FILE--
<?php
use MPQueue\Queue;

require __DIR__ . '/../../support/php/produce.inc';

use_redis(basics: ['max_payload' => 2000]);
$fits = 2000 - strlen('F' . serialize(['strlen', [str_repeat('x', 1000)]])) + 1000;
attempt(fn () => strlen(Queue::push('q', 'strlen', options: ['args' => [str_repeat('x', $fits)]])));
attempt(fn () => Queue::push('q', 'strlen', options: ['args' => [str_repeat('x', $fits + 1)]]));
attempt(fn () => Queue::pushMany('q', [['Big', 'one'], [['Big', 'two'], str_repeat('x', 3000)][0], [str_repeat('B', 2000), 'm']]));
echo Queue::counts('q')['pushed'], "\n";

use_redis();
$bytes = random_bytes(5_000_000);
Queue::push('q', 'strlen', options: ['args' => [$bytes]]);
var_dump(last_stored()['payload'] === 'F' . serialize(['strlen', [$bytes]]));
?>
--EXPECT--
returned 32
MPQueue\Exception\PayloadException: job 1 is 2001 bytes, the limit is 2000 (max_payload): store large data elsewhere and push a reference
MPQueue\Exception\PayloadException: job 3 is 2053 bytes, the limit is 2000 (max_payload): store large data elsewhere and push a reference
1
bool(true)
