--TEST--
Closures without the library: a clear exception; what it throws; when it is gone in the worker
--SKIPIF--
<?php
if (!function_exists('mpqueue_dev_encode')) die('skip needs a module configured with --enable-mpqueue-dev');
?>
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';
Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'q']]]);

attempt(fn () => Queue::push('q', fn () => 1));
attempt(fn () => Queue::push('q', function () {}, 0, ['args' => [1]]));
// Named functions do not need it.
echo strlen(Queue::push('q', strlen(...), 0, ['args' => ['x']])), "\n";

spl_autoload_register(function (string $class) {
    echo "autoload $class\n";
    throw new LogicException('autoloader');
});
attempt(fn () => Queue::push('q', fn () => 1));
spl_autoload_unregister(spl_autoload_functions()[0]);
attempt(fn () => mpqueue_dev_decode('Ka:2:{i:0;O:47:"Laravel\SerializableClosure\SerializableClosure":0:{}i:1;a:0:{}}'));

// One that does nothing but throw or answer wrongly.
eval('namespace Laravel\SerializableClosure; class SerializableClosure {
    public function __construct(public $closure) { if (\Fake::$throws) throw new \DomainException("refused"); $this->closure = null; }
    public function getClosure() { if (\Fake::$throws) throw new \DomainException("no signature"); return \Fake::$answer; }
}');
class Fake { static $throws = true; static $answer; }
attempt(fn () => Queue::push('q', fn () => 1));
Fake::$throws = false;
$bytes = mpqueue_dev_encode(fn () => 1, [2]);
echo $bytes, "\n";
attempt(fn () => mpqueue_dev_decode($bytes));
Fake::$answer = 'strlen';
attempt(fn () => mpqueue_dev_decode($bytes));
Fake::$answer = fn ($x) => $x * 2;
attempt(fn () => mpqueue_dev_run($bytes));
Fake::$throws = true;
attempt(fn () => mpqueue_dev_decode($bytes));
?>
--EXPECT--
MPQueue\Exception\PayloadException: this job is a closure: install laravel/serializable-closure (composer require laravel/serializable-closure) or push a MPQueue\Job object instead
MPQueue\Exception\PayloadException: this job is a closure: install laravel/serializable-closure (composer require laravel/serializable-closure) or push a MPQueue\Job object instead
32
autoload Laravel\SerializableClosure\SerializableClosure
LogicException: autoloader
MPQueue\Exception\UndecodableJobException: the class Laravel\SerializableClosure\SerializableClosure of this job does not exist here; is it loaded, or an autoloader registered, in worker_start_handle?
MPQueue\Exception\PayloadException: this closure can't be serialized: refused
  <- DomainException: refused
Ka:2:{i:0;O:47:"Laravel\SerializableClosure\SerializableClosure":1:{s:7:"closure";N;}i:1;a:1:{i:0;i:2;}}
MPQueue\Exception\UndecodableJobException: the stored closure can't be restored
MPQueue\Exception\UndecodableJobException: the stored closure can't be restored
returned 4
DomainException: no signature
