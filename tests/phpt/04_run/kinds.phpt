--TEST--
Every kind of job runs, in the order of the pushes
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Hello extends MPQueue\Job
    {
        public function __construct(private string $name = 'nobody') {}
        public function handle() { note("object $this->name"); }
    }
    class Invokable
    {
        public function __invoke(string $a = '-') { note("invoked $a"); }
        public function method(string $a) { note("method $a"); }
        public static function fixed(string $a) { note("static $a"); }
    }
    function plain(string $a, int $b) { note("function $a $b"); return false; }
    PHP);
$service->start();
MPQueue\Queue::push('q', new Hello("\0\xff bytes"));
MPQueue\Queue::push('q', Hello::class);
MPQueue\Queue::push('q', Hello::class, 0, ['args' => ['constructed']]);
MPQueue\Queue::push('q', new Invokable);
MPQueue\Queue::push('q', 'plain', 0, ['args' => ['x', 7]]);
MPQueue\Queue::push('q', 'plain', 0, ['args' => ['b' => 8, 'a' => 'named']]);
MPQueue\Queue::push('q', 'Invokable::fixed', 0, ['args' => ['a']]);
MPQueue\Queue::push('q', ['Invokable', 'fixed'], 0, ['args' => ['b']]);
MPQueue\Queue::push('q', [new Invokable, 'method'], 0, ['args' => ['c']]);
$service->waitForDone(9);
echo str_replace("\0", '\0', implode("\n", $service->notes())), "\n";
var_dump($service->stop());
echo $service->output();
--EXPECTF--
object \0%c bytes
object nobody
object constructed
invoked -
function x 7
function named 8
static a
static b
method c
int(0)
