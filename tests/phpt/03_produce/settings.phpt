--TEST--
timeout, fail_number and fail_expire: from the options, else from the job, else from the queue
--FILE--
<?php
use MPQueue\{Job, Queue};

require __DIR__ . '/../../support/php/produce.inc';

class Plain extends Job { function handle() {} }
class Own extends Job
{
    protected $timeout = 1.5;
    protected $fail_number = '4';
    protected $fail_expire = 0;
    function handle() {}
}
class Half extends Own { protected $timeout = null; }
class Getters extends Job
{
    protected $timeout = 99;
    public function __construct(private float $t = 7, private ?int $n = null) {}
    function handle() {}
    function getTimeout() { return $this->t; }
    function getFailNumber() { return $this->n; }
}
class Computed extends Job
{
    const SECONDS = 5;
    protected $timeout = self::SECONDS * 2;
    public function __construct() { throw new Exception('never constructed here'); }
    public function __destruct() { echo "destructed here\n"; }
    function handle() {}
}
class ByReference extends Job
{
    function __construct(&$n) { $this->fail_number = &$n; }
    function handle() {}
}
class Wrong extends Job { protected $fail_number = -1; function handle() {} }
class Throws extends Job { function handle() {} function getFailExpire() { throw new DomainException('getter'); } }

use_redis(['timeout' => 0.25, 'fail_number' => 6, 'fail_expire' => 2.0004, 'timeout_retry' => true]);
function show(mixed $job, array $options = []): void
{
    attempt(function () use ($job, $options) {
        $id = Queue::push('q', $job, 0, $options);
        $e = last_stored();
        $id === $e['id'] or die('wrong id');
        return "$e[timeout_ms] $e[fail_number] $e[fail_expire_ms], flags $e[flags], phase $e[phase], failures $e[failures]";
    });
}

show('strlen');
show(new Plain);
show(Plain::class);
show(new Own);
show(Own::class);
show('\\' . Own::class);
show(new Half);
show(new Getters);
show(new Getters(8.25, 2));
show(Getters::class);
show(Computed::class);
$n = 3;
$job = new ByReference($n);
$n = 5;
show($job);
echo "-- options\n";
show(new Own, ['timeout' => 9]);
show(new Own, ['fail_number' => 0, 'fail_expire' => '0.0004']);
show('strlen', ['timeout' => 0, 'fail_number' => '7', 'fail_expire' => 4294967]);
show(new Own, ['timeout' => null, 'args' => null]);
show(new Wrong, ['fail_number' => 1]);
show(new Throws, ['fail_expire' => 1]);
echo "-- wrong\n";
show(new Wrong);
show(Wrong::class);
show(new Throws);
foreach ([['tiemout' => 1], [5], ['timeout' => -1], ['timeout' => 'soon'], ['timeout' => 4294968], ['fail_number' => 1.5],
    ['fail_number' => 4294967296], ['fail_expire' => []], ['args' => 'x'], ["a\0b" => 1]] as $options) {
    show('strlen', $options);
}
?>
--EXPECT--
returned '250 6 2000, flags 1, phase 0, failures 0'
returned '250 6 2000, flags 1, phase 0, failures 0'
returned '250 6 2000, flags 1, phase 0, failures 0'
returned '1500 4 0, flags 1, phase 0, failures 0'
returned '1500 4 0, flags 1, phase 0, failures 0'
returned '1500 4 0, flags 1, phase 0, failures 0'
returned '250 4 0, flags 1, phase 0, failures 0'
returned '7000 6 2000, flags 1, phase 0, failures 0'
returned '8250 2 2000, flags 1, phase 0, failures 0'
returned '99000 6 2000, flags 1, phase 0, failures 0'
returned '10000 6 2000, flags 1, phase 0, failures 0'
returned '250 5 2000, flags 1, phase 0, failures 0'
-- options
returned '9000 4 0, flags 1, phase 0, failures 0'
returned '1500 0 1, flags 1, phase 0, failures 0'
returned '0 7 4294967000, flags 1, phase 0, failures 0'
returned '1500 4 0, flags 1, phase 0, failures 0'
returned '250 1 2000, flags 1, phase 0, failures 0'
returned '250 6 1000, flags 1, phase 0, failures 0'
-- wrong
MPQueue\Exception\PayloadException: Wrong::$fail_number must be a whole number >= 0, got -1
MPQueue\Exception\PayloadException: Wrong::$fail_number must be a whole number >= 0, got -1
DomainException: getter
MPQueue\Exception\ConfigException: option "tiemout" is not known; there are: timeout, fail_number, fail_expire, args
MPQueue\Exception\ConfigException: option "0" is not known; there are: timeout, fail_number, fail_expire, args
MPQueue\Exception\ConfigException: option timeout must be a number of seconds >= 0, got -1
MPQueue\Exception\ConfigException: option timeout must be a number of seconds >= 0, got "soon"
MPQueue\Exception\ConfigException: option timeout must be at most 4294967 seconds, got 4294968
MPQueue\Exception\ConfigException: option fail_number must be a whole number >= 0, got 1.5
MPQueue\Exception\ConfigException: option fail_number must be a whole number >= 0, got 4294967296
MPQueue\Exception\ConfigException: option fail_expire must be a number of seconds >= 0, got an array of 0
MPQueue\Exception\ConfigException: option args must be an array, got "x"
MPQueue\Exception\ConfigException: option "a" is not known; there are: timeout, fail_number, fail_expire, args
