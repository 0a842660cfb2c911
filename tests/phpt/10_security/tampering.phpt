--TEST--
A job with a missing or wrong signature goes to the failed list unopened
--EXTENSIONS--
posix
--FILE--
<?php
putenv('MPQUEUE_TEST_STORE=redis');
require __DIR__ . '/../../support/php/service.inc';
require __DIR__ . '/../../support/php/produce.inc';
$service = new Service(jobs: <<<'PHP'
    class Victim extends MPQueue\Job
    {
        public $text = 'some text';
        public function __wakeup() { if (defined('IN_SERVICE')) note('OPENED'); }
        public function __destruct() { if (defined('IN_SERVICE')) note('DESTRUCTED'); }
        public function handle() { note('RUN'); }
        public function fail_handle(array &$jobInfo, Throwable $e) { note('ASKED'); }
    }
    PHP, main: <<<'PHP'
    if ($argv[1] === 'worker:start') {
        define('IN_SERVICE', true);
        spl_autoload_register(fn ($class) => note("AUTOLOADS $class"));
    }
    PHP, basics: "'signing_keys' => [str_repeat('k', 40)]", queue: <<<'PHP'
    'fail_handle' => function ($info, $e) { note('handler ' . json_encode($info['job']) . ' ' . get_class($e) . ' ' . md5($info['payload'])); }
    PHP, more: "['name' => 'other', 'worker_number' => 1, 'fail_handle' => fn (\$info) => note('handler ' . json_encode(\$info['job']) . ' of other')],");

$key = fn (string $queue) => basename($service->dir) . ":{{$queue}}:ready";
MPQueue\Queue::push('q', new Victim);
$good = redis('RPOP', $key('q'));
$payload = envelope($good)['payload'];
$length = strlen($payload);

/** The same job with another payload. */
function with(string $payload, ?int $phase = null): string
{
    global $good;
    $header = substr($good, 0, 72);
    $header = substr_replace($header, random_bytes(16), 8, 16);
    $header = substr_replace($header, pack('V', strlen($payload)), 56, 4);
    return substr_replace($header, chr($phase ?? ord($header[3])), 3, 1) . $payload . substr($good, 72 + strlen(envelope($good)['payload']));
}

$forged = [];
for ($i = 0; $i < $length; $i++) { // every single byte, one bit of it
    $forged["byte $i"] = substr_replace($payload, $payload[$i] ^ chr(1 << $i % 8), $i, 1);
}
$inner = substr($payload, 34);
$sign = fn (string $inner, string $key, string $queue = 'q', string $version = "\1") =>
    "S$version" . hash_hmac('sha256', $version . chr(strlen($queue)) . $queue . $inner, $key, true) . $inner;
$forged += [
    'unsigned' => $inner,
    'unsigned, other kind' => 'Fa:2:{i:0;s:4:"note";i:1;a:1:{i:0;s:3:"RUN";}}',
    'unsigned, unknown class' => 'O:7:"Unknown":0:{}',
    'empty' => '', 'kind only' => 'S', 'no signature' => "S\1", 'cut signature' => substr($payload, 0, 33), 'no payload' => substr($payload, 0, 34),
    'no signature, payload' => "S\1$inner", 'cut' => substr($payload, 0, -1), 'longer' => "$payload;",
    'signed twice, inner one right' => 'S' . "\1" . str_repeat("\0", 32) . $payload,
    'another key' => $sign($inner, str_repeat('l', 40)), 'a shorter key' => $sign($inner, str_repeat('k', 39)), 'empty key' => $sign($inner, ''),
    'another queue' => $sign($inner, str_repeat('k', 40), 'other'), 'no queue' => $sign($inner, str_repeat('k', 40), ''),
    'another version' => $sign($inner, str_repeat('k', 40), 'q', "\2"),
    'plain hash' => "S\1" . hash('sha256', "\1\1q$inner", true) . $inner,
];
foreach ($forged as $one) {
    redis('RPUSH', $key('q'), with($one));
}
redis('RPUSH', $key('q'), with($forged['unsigned'], 1)); // already in the phase of its failure handler
redis('RPUSH', $key('other'), with($payload));           // moved
$count = count($forged) + 1;
$service->start();
$records = $service->waitForFailed($count);
$service->waitForFailed(1, 'other');
redis('RPUSH', $key('q'), with($sign($inner, str_repeat('k', 40)))); // the helper can sign
$service->waitForDone(1);
[$status, $console] = $service->console('queue:failed', '--queue', 'q', '--limit', '1000');
var_dump($service->stop());

$messages = [];
foreach (MPQueue\Queue::failed('q', 1000) as $record) {
    foreach ($record['causes'] as $cause) {
        $message = "$cause[end] " . count($record['causes']) . " $cause[class] $cause[message]";
        $messages[$message] = ($messages[$message] ?? 0) + 1;
    }
}
ksort($messages);
print_r($messages);
$notes = array_count_values(preg_replace('/ [0-9a-f]{32}$/', '', $service->notes()));
ksort($notes);
print_r($notes);
var_dump($count - array_sum($messages), count(array_unique(preg_grep('/^handler null MPQ/', $service->notes()))) >= count($forged) - 1, $status, substr_count($console, 'Victim') > 30);
--EXPECTF--
int(0)
Array
(
    [undecodable 1 MPQueue\Exception\UndecodableJobException the stored job is not signed, and the service runs signed jobs only (basics.signing_keys): it was not opened] => 5
    [undecodable 1 MPQueue\Exception\UndecodableJobException the stored job's signature is cut off or of an unknown version: it was not opened] => 6
    [undecodable 1 MPQueue\Exception\UndecodableJobException the stored job's signature is wrong: the job was changed, was pushed to another queue, or was signed with a key that is not in basics.signing_keys here. It was not opened] => %d
)
Array
(
    [DESTRUCTED] => 1
    [OPENED] => 1
    [RUN] => 1
    [handler null MPQueue\Exception\UndecodableJobException] => %d
    [handler null MPQueue\Exception\WorkerDiedException] => 1
    [handler null of other] => 1
)
int(1)
bool(true)
int(0)
bool(true)
