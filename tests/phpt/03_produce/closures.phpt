--TEST--
Closures travel with laravel/serializable-closure
--SKIPIF--
<?php
if (!function_exists('mpqueue_dev_encode')) die('skip needs a module configured with --enable-mpqueue-dev');
if (!getenv('MPQUEUE_TEST_AUTOLOAD')) die('skip laravel/serializable-closure is not there: set MPQUEUE_TEST_AUTOLOAD');
?>
--EXTENSIONS--
tokenizer
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';
require getenv('MPQUEUE_TEST_AUTOLOAD');

class Service
{
    public int $factor = 3;
    private $open;

    public function bound(): Closure
    {
        return function (int $x) {
            return $x * $this->factor;
        };
    }

    public function unserializable(): Closure
    {
        $anonymous = new class {};
        return function () use ($anonymous) {
            return $anonymous;
        };
    }
}

$added = 10;
$counter = 0;
$jobs = [
    [fn ($x) => $x + $added, [5]],
    [function ($x, $y) use ($added, &$counter) {
        $counter++;
        return $x - $y + $added + $counter;
    }, ['y' => 1, 'x' => 2]],
    [static fn () => basename(__DIR__)],
    [(new Service)->bound(), [7]],
    [function (string $bytes) {
        return bin2hex($bytes);
    }, ["\0\xff"]],
];
foreach ($jobs as $job) {
    $bytes = mpqueue_dev_encode(...$job);
    echo $bytes[0], ' ', mpqueue_dev_describe($bytes), ' ', get_debug_type(mpqueue_dev_decode($bytes)), ' ',
        mpqueue_dev_run($bytes), ' ', mpqueue_dev_run($bytes), "\n";
}
attempt(fn () => mpqueue_dev_encode((new Service)->unserializable()));
$thrower = mpqueue_dev_encode(function () {
    throw new DomainException('inside');
});
attempt(fn () => mpqueue_dev_run($thrower));

use_redis();
$id = MPQueue\Queue::push('q', fn () => 1, options: ['timeout' => 4]);
$stored = stored()[0];
var_dump($stored['id'] === $id, $stored['timeout_ms'], mpqueue_dev_run($stored['payload']));
?>
--EXPECT--
K closure Closure 15 15
K closure Closure 12 12
K closure Closure 03_produce 03_produce
K closure Closure 21 21
K closure Closure 00ff 00ff
MPQueue\Exception\PayloadException: this closure can't be serialized: Serialization of 'class@anonymous' is not allowed
  <- Exception: Serialization of 'class@anonymous' is not allowed
DomainException: inside
bool(true)
int(4000)
int(1)
