--TEST--
Queue::failed(): records with their jobs, bytes that are no record, the limit
--FILE--
<?php
use MPQueue\Queue;

require __DIR__ . '/../../support/php/produce.inc';

use_redis();
var_dump(Queue::failed('q'));
function record(string $id, string $payload): string
{
    return 'MQ' . pack('CCVH32PVVVVVVVV', 1, 1, 0, $id, 1795174063255, 3, 0, 1500, 3, 250, 0, strlen($payload), 0) . str_repeat("\0", 8) . $payload;
}
$id = '00000000000000010000000000000002';
redis('HSET', redis_key('q', 'failed'), $id, record($id, 'OO:4:"Mail":0:{}'));
print_r(Queue::failed('q'));
redis('HSET', redis_key('q', 'failed'), 'x', "any\0bytes", 'y', record($id, 'short') . 'tail');
$lines = [];
foreach (Queue::failed('q') as $key => $record) {
    $lines[] = ($key === $id ? 'by id' : gettype($key)) . " $record[job] " . strlen($record['payload']) . ' '
        . var_export($record['id'], true) . ' ' . ($record['problem'] ?? 'no problem') . "\n";
}
sort($lines);
echo implode($lines);
for ($i = 0; $i < 300; $i++) {
    $id = sprintf('%032x', $i);
    redis('HSET', redis_key('q', 'failed'), $id, record($id, 'Fa:2:{i:0;s:6:"strlen";i:1;a:0:{}}'));
}
var_dump(count(Queue::failed('q')), count(Queue::failed('q', 7)), count(Queue::failed('q', 1)), count(Queue::failed('q', PHP_INT_MAX)));
?>
--EXPECT--
array(0) {
}
Array
(
    [00000000000000010000000000000002] => Array
        (
            [id] => 00000000000000010000000000000002
            [job] => Mail
            [payload] => OO:4:"Mail":0:{}
            [created_at] => 1795174063.255
            [timeout] => 1.5
            [fail_number] => 3
            [fail_expire] => 0.25
            [failures] => 3
            [causes] => Array
                (
                )

        )

)
by id Mail 16 '00000000000000010000000000000002' no problem
integer unknown 81 NULL the job is damaged: 5 bytes should follow its header, 9 do
integer unknown 9 NULL these 9 bytes are not a job
int(100)
int(7)
int(1)
int(303)
