--TEST--
Bytes that are no job: each is refused with the reason, none is harmful
--SKIPIF--
<?php
if (!function_exists('mpqueue_dev_encode')) die('skip needs a module configured with --enable-mpqueue-dev');
?>
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';

class Mail extends MPQueue\Job
{
    public ?int $n = 1;
    public function __construct(int $a = 0, int $x = 0) {}
    public function handle() {}
}
abstract class Unfinished extends MPQueue\Job {}
class Plain { public $d = 1; public function m() {} private function p() {} }
class Refuses extends MPQueue\Job
{
    public function __construct($throw = true) { if ($throw) throw new DomainException('constructor'); }
    public function handle() {}
    public function __unserialize(array $data): void { throw new DomainException('__unserialize'); }
    public function __destruct() { echo "destructor\n"; }
}
enum Suit { case Hearts; }

foreach (['', 'X', 'O', 'Oi:5;', 'Ob:1;', 'O:', 'OO:4:"Nope":0:{}', 'OO:5:"Plain":0:{}', 'OO:4:"Mail":0:{}tail', 'OO:10:"Unfinished":0:{}',
    'OO:4:"Mail":1:{s:1:"n";s:1:"x";}', 'OO:4:"Mail":1:{s:1:"n";i:5', 'OO:7:"Refuses":0:{}', 'OE:11:"Suit:Spades";', 'OE:4:"Nope";',
    'OO:8:"stdClass":0:{}', 'Oa:1:{i:0;R:1;}',
    'C', 'Ca:2:{i:0;s:4:"Nope";i:1;a:0:{}}', 'Ca:2:{i:0;s:5:"Plain";i:1;a:0:{}}', 'Ca:2:{i:0;s:10:"Unfinished";i:1;a:0:{}}',
    'Ca:2:{i:0;s:7:"Refuses";i:1;a:0:{}}', 'Ca:2:{i:0;s:4:"Mail";i:1;a:1:{s:1:"z";i:1;}}', 'Ca:2:{i:0;s:4:"Mail";i:1;a:1:{i:0;s:1:"z";}}',
    'Ca:2:{i:0;i:5;i:1;a:0:{}}', 'Ca:1:{i:0;s:4:"Mail";}', 'Ca:2:{i:0;s:4:"Mail";i:1;i:5;}', 'Cs:4:"Mail";',
    'Fa:2:{i:0;s:5:"nofun";i:1;a:0:{}}', 'Fa:2:{i:0;s:8:"Nope::no";i:1;a:0:{}}', 'Fa:2:{i:0;a:2:{i:0;O:4:"Nope":0:{}i:1;s:1:"m";}i:1;a:0:{}}',
    'Fa:2:{i:0;a:2:{i:0;O:5:"Plain":0:{}i:1;s:1:"p";}i:1;a:0:{}}', 'Fa:2:{i:0;a:0:{}i:1;a:0:{}}', 'Fa:2:{i:0;N;i:1;a:0:{}}',
    'Ka:2:{i:0;O:4:"Nope":0:{}i:1;a:0:{}}', 'Ka:2:{i:0;O:5:"Plain":0:{}i:1;a:0:{}}', 'Ka:2:{i:0;i:1;i:1;a:0:{}}',
] as $bytes) {
    echo mpqueue_dev_describe($bytes), ': ';
    attempt(fn () => get_debug_type(@mpqueue_dev_decode($bytes)));
}

// Damage at random: never more than an exception.
mt_srand(7);
set_error_handler(fn () => true);
$good = [mpqueue_dev_encode(new Mail), mpqueue_dev_encode('strlen', ['x', 'y' => 2]), mpqueue_dev_encode([new Plain, 'm']), mpqueue_dev_encode('Mail', [1, 'x' => 2])];
$seen = [];
for ($i = 0; $i < 4000; $i++) {
    $bytes = $good[$i % 4];
    for ($changes = mt_rand(1, 3); $changes > 0 && $bytes !== ''; $changes--) {
        $at = mt_rand(0, strlen($bytes) - 1);
        $bytes = match (mt_rand(0, 3)) {
            0 => substr_replace($bytes, chr(mt_rand(0, 255)), $at, 1),
            1 => substr($bytes, 0, $at),
            2 => substr_replace($bytes, chr(mt_rand(0, 255)), $at, 0),
            3 => substr_replace($bytes, (string)mt_rand(0, 99), $at, 1),
        };
    }
    mpqueue_dev_describe($bytes);
    try {
        mpqueue_dev_decode($bytes);
        @$seen['decoded']++;
    } catch (Throwable $e) {
        @$seen[$e::class]++;
    }
}
for ($i = 0; $i < 500; $i++) {
    try {
        mpqueue_dev_decode('OCFK'[$i % 4] . random_bytes(mt_rand(1, 40)));
        echo "random bytes became a job\n";
    } catch (MPQueue\Exception\UndecodableJobException $e) {
    }
}
echo $seen['MPQueue\Exception\UndecodableJobException'] > 3000 ? "mostly undecodable\n" : print_r($seen, true);
?>
--EXPECT--
unknown: MPQueue\Exception\UndecodableJobException: the stored job is empty
unknown: MPQueue\Exception\UndecodableJobException: the stored job is of an unknown kind (first byte 0x58)
unknown: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 1 of 1
unknown: MPQueue\Exception\UndecodableJobException: the stored job is int instead of an object
unknown: MPQueue\Exception\UndecodableJobException: the stored job is bool instead of an object
unknown: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 1 of 2
Nope: MPQueue\Exception\UndecodableJobException: the class Nope of this job does not exist here; is it loaded, or an autoloader registered, in worker_start_handle?
Plain: MPQueue\Exception\UndecodableJobException: the class Plain is no job here: it does not extend MPQueue\Job and has no __invoke()
Mail: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 16 of 20
Unfinished: MPQueue\Exception\UndecodableJobException: the stored job can't be restored from byte 22 of 23 on: Cannot instantiate abstract class Unfinished
  <- Error: Cannot instantiate abstract class Unfinished
Mail: MPQueue\Exception\UndecodableJobException: the stored job can't be restored from byte 31 of 32 on: Cannot assign string to property Mail::$n of type ?int
  <- TypeError: Cannot assign string to property Mail::$n of type ?int
Mail: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 23 of 26
Refuses: DomainException: __unserialize
Suit:Spades: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 20 of 20
Nope: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 1 of 12
stdClass: MPQueue\Exception\UndecodableJobException: the class stdClass is no job here: it does not extend MPQueue\Job and has no __invoke()
unknown: MPQueue\Exception\UndecodableJobException: the stored job is array instead of an object
unknown: MPQueue\Exception\UndecodableJobException: the stored job is damaged at byte 1 of 1
Nope: MPQueue\Exception\UndecodableJobException: the class Nope of this job does not exist here; is it loaded, or an autoloader registered, in worker_start_handle?
Plain: MPQueue\Exception\UndecodableJobException: the class Plain is no job here: it does not extend MPQueue\Job
Unfinished: MPQueue\Exception\UndecodableJobException: the class Unfinished is no job here: it is abstract
Refuses: DomainException: constructor
Mail: Error: Unknown named parameter $z
Mail: TypeError: Mail::__construct(): Argument #1 ($a) must be of type int, string given
unknown: MPQueue\Exception\UndecodableJobException: the stored job has int instead of a class name
unknown: MPQueue\Exception\UndecodableJobException: the stored job has no subject and arguments
Mail: MPQueue\Exception\UndecodableJobException: the stored job has no subject and arguments
unknown: MPQueue\Exception\UndecodableJobException: the stored job has no subject and arguments
nofun: MPQueue\Exception\UndecodableJobException: this job can't be called here: function "nofun" not found or invalid function name
Nope::no: MPQueue\Exception\UndecodableJobException: this job can't be called here: class "Nope" not found
Nope: MPQueue\Exception\UndecodableJobException: the class Nope of this job does not exist here; is it loaded, or an autoloader registered, in worker_start_handle?
Plain: MPQueue\Exception\UndecodableJobException: this job can't be called here: cannot access private method Plain::p()
unknown: MPQueue\Exception\UndecodableJobException: this job can't be called here: array callback must have exactly two members
unknown: MPQueue\Exception\UndecodableJobException: this job can't be called here: no array or string given
closure: MPQueue\Exception\UndecodableJobException: the class Nope of this job does not exist here; is it loaded, or an autoloader registered, in worker_start_handle?
closure: MPQueue\Exception\UndecodableJobException: the class Plain has no getClosure()
closure: MPQueue\Exception\UndecodableJobException: the stored job has no closure
mostly undecodable
