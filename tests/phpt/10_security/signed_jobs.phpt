--TEST--
Signed jobs of every kind run, and are stored as documented
--SKIPIF--
<?php if (!getenv('MPQUEUE_TEST_AUTOLOAD')) die('skip laravel/serializable-closure is not there: set MPQUEUE_TEST_AUTOLOAD'); ?>
--EXTENSIONS--
posix
tokenizer
--FILE--
<?php
putenv('MPQUEUE_TEST_STORE=redis');
require __DIR__ . '/../../support/php/service.inc';
require __DIR__ . '/../../support/php/produce.inc';
$service = new Service(jobs: <<<'PHP'
    require_once getenv('MPQUEUE_TEST_AUTOLOAD');
    class Signed extends MPQueue\Job
    {
        protected $fail_number = 1;
        public function __construct(private string $what = 'class') {}
        public function handle() { note("handles $this->what"); if ($this->what === 'throws') throw new LogicException('thrown'); }
        public function fail_handle(array &$jobInfo, Throwable $e) { note("handler of $this->what " . $e::class . ' ' . get_class($jobInfo['job'])); }
        public static function of(string $what) { note("static $what"); }
    }
    function pushes() { MPQueue\Queue::push('q', 'notes', 0, ['args' => ['pushed by a job']]); }
    function notes(string $what) { note($what); }
    PHP, basics: "'signing_keys' => [str_repeat('k', 32)]");
use MPQueue\Queue;
Queue::push('q', new Signed('object'));
Queue::push('q', Signed::class, 0, ['args' => ['by name']]);
Queue::push('q', 'notes', 0, ['args' => ['function']]);
Queue::push('q', ['Signed', 'of'], 0, ['args' => ['method']]);
$local = 'closure';
Queue::push('q', function () use ($local) { note($local); });
Queue::pushMany('q', [new Signed('many'), 'pushes', Signed::class]);
Queue::push('q', new Signed('throws'));
$stored = redis('LRANGE', basename($service->dir) . ':{q}:ready', '0', '-1');
foreach ($stored as $bytes) {
    $envelope = envelope($bytes);
    $payload = $envelope['payload'];
    $inner = substr($payload, 34);
    $right = $payload[0] === 'S' && $payload[1] === "\1"
        && substr($payload, 2, 32) === hash_hmac('sha256', "\1\1q$inner", str_repeat('k', 32), true);
    echo $inner[0], $right ? ' signed, ' : ' WRONG, ', strlen($bytes), ' bytes, failures: ', $envelope['fail_number'], "\n";
}
$service->start();
$service->waitForDone(9);
[$record] = $service->waitForFailed(1);
echo $record['job'], ' ', $record['causes'][0]['class'], "\n";
var_dump($service->stop());
$notes = $service->notes();
sort($notes);
echo implode("\n", $notes), "\n";
--EXPECTF--
O signed, %d bytes, failures: 1
C signed, %d bytes, failures: 1
F signed, %d bytes, failures: 3
F signed, %d bytes, failures: 3
K signed, %d bytes, failures: 3
O signed, %d bytes, failures: 1
F signed, %d bytes, failures: 3
C signed, %d bytes, failures: 1
O signed, %d bytes, failures: 1
Signed LogicException
int(0)
closure
function
handler of throws LogicException Signed
handles by name
handles class
handles many
handles object
handles throws
pushed by a job
static method
