--TEST--
pushMany(): keys and order are kept, settings and delay count for all, nothing is stored when one is no job
--FILE--
<?php
use MPQueue\{Job, Queue};

require __DIR__ . '/../../support/php/produce.inc';

class Numbered extends Job
{
    public function __construct(public int $n) {}
    function handle() {}
    function getTimeout() { return $this->n / 1000; }
}
class Last extends Job { function handle() {} function __serialize(): array { throw new DomainException('the last one'); } }

use_redis();
var_dump(Queue::pushMany('q', []));
$ids = Queue::pushMany('q', ['first' => 'strlen', 7 => 'trim', '-3' => new Numbered(250)], 0, ['fail_number' => 9]);
echo implode(' ', array_keys($ids)), "\n";
foreach (stored() as $e) {
    echo array_search($e['id'], $ids), ' ', str_replace("\0", '~', $e['payload']), " $e[timeout_ms] $e[fail_number]\n";
}
redis('DEL', redis_key('q', 'ready'));

// More than fit into one round trip.
$jobs = [];
for ($i = 1; $i <= 2500; $i++) {
    $jobs["job $i"] = new Numbered($i);
}
$ids = Queue::pushMany('q', $jobs);
$stored = stored();
var_dump(count($stored), array_column($stored, 'id') === array_values($ids), array_keys($ids) === array_keys($jobs),
    array_column($stored, 'timeout_ms') === range(1, 2500));
redis('DEL', redis_key('q', 'ready'));

attempt(fn () => Queue::pushMany('q', ['strlen', new Numbered(1), 'no such function']));
attempt(fn () => Queue::pushMany('q', [...array_fill(0, 1500, 'strlen'), new Last]));
attempt(fn () => Queue::pushMany('q', ['strlen', new Numbered(-5)]));
attempt(fn () => Queue::pushMany('nowhere', ['strlen']));
attempt(fn () => Queue::pushMany('q', 'strlen'));
echo Queue::counts('q')['waiting'], ' ', Queue::counts('q')['pushed'], "\n";

$ids = Queue::pushMany('q', ['strlen', 'trim'], 60);
echo count(redis('ZRANGE', redis_key('q', 'delayed'), '0', '-1')), ' ', count($ids), "\n";

// Values behind references are followed.
$name = 'strlen';
$list = [&$name];
echo count(Queue::pushMany('q', $list)), ' ', last_stored()['payload'], "\n";
?>
--EXPECT--
array(0) {
}
first 7 -3
first Fa:2:{i:0;s:6:"strlen";i:1;a:0:{}} 120000 9
7 Fa:2:{i:0;s:4:"trim";i:1;a:0:{}} 120000 9
-3 OO:8:"Numbered":4:{s:10:"~*~timeout";N;s:14:"~*~fail_number";N;s:14:"~*~fail_expire";N;s:1:"n";i:250;} 250 9
int(2500)
bool(true)
bool(true)
bool(true)
MPQueue\Exception\PayloadException: "no such function" is no job: there is no function and no class of that name. A job is a MPQueue\Job object or the name of such a class, an object with __invoke(), a function's name, "A::b", [class, method], [object, method], or a closure
MPQueue\Exception\PayloadException: the job of class Last can't be serialized: the last one
  <- DomainException: the last one
MPQueue\Exception\PayloadException: Numbered::$timeout must be a number of seconds >= 0, got -0.005
MPQueue\Exception\ConfigException: queue "nowhere" is not configured; known queues: "q"
TypeError: MPQueue\Queue::pushMany(): Argument #2 ($jobs) must be of type array, string given
0 2503
2 2
1 Fa:2:{i:0;s:6:"strlen";i:1;a:0:{}}
