--TEST--
Every kind of job: to bytes, back, and run
--SKIPIF--
<?php
if (!function_exists('mpqueue_dev_encode')) die('skip needs a module configured with --enable-mpqueue-dev');
?>
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';

class Mail extends MPQueue\Job
{
    public function __construct(private int $user = 5, private string $text = 'none') {}
    public function handle() { return "mail $this->user $this->text"; }
}
class Callables
{
    public $d = 1;
    public function __invoke($x = 0, $y = 0) { return "invoked $x $y $this->d"; }
    public static function stat(...$a) { return 'static ' . json_encode($a); }
    public function inst(int $a, int $b = 2) { return "instance $a $b"; }
    public function __call($name, $a) { return "__call $name " . json_encode($a); }
    public static function __callStatic($name, $a) { return "__callStatic $name " . json_encode($a); }
    public static function closure() { return static::stat(...); }
}
class Child extends Callables {}
class Invoked extends MPQueue\Job
{
    public function handle() { return 'handled'; }
    public function __invoke() { return 'invoked'; }
}
enum Suit { case Hearts; function __invoke() { return $this->name; } }
function add($a, $b = 10) { return $a + $b; }

foreach ([
    [new Mail(3, "\0\xff")],
    ['Mail'], ['\Mail'], [Mail::class, [1]], [Mail::class, ['text' => 'named']], [Mail::class, [1, 'text' => 'both']],
    ['add', [1]], ['ADD', [1, 2]], ['\add', ['b' => 5, 'a' => 1]], ['strlen', ['abc']], [strlen(...), ['abcd']], [add(...), [1]],
    ['Callables::stat', [1]], [['Callables', 'stat'], ['k' => 2]], 
    [[new Callables, 'inst'], ['b' => 5, 'a' => 1]], [[new Callables, 'stat'], [7]],
    [new Callables], [new Callables, [4, 5]], [new Invoked], [Suit::Hearts],
    [(new Callables)->inst(...), [9]], [(new Callables)->magic(...), [9]], [Callables::smagic(...), [9]],
    [Closure::fromCallable('Callables::stat'), [8]], [Child::closure(), [6]],
    [['Callables', 'magic'], [1]], [[new Callables, 'magic'], [1]],
] as $pushed) {
    $bytes = mpqueue_dev_encode(...$pushed);
    echo $bytes[0], ' ', mpqueue_dev_describe($bytes), ' -> ', addcslashes(mpqueue_dev_run($bytes), "\0..\37\177..\377"), "\n";
}
// Arguments keep their types, and what is pushed is a copy.
$shared = new stdClass;
$shared->n = 1;
$bytes = mpqueue_dev_encode('serialize', [[1.5, null, true, "\0\r\n\xff", $shared, $shared]]);
$shared->n = 2;
echo addcslashes(mpqueue_dev_run($bytes), "\0..\37\177..\377"), "\n";
// A payload can be run again and again.
$bytes = mpqueue_dev_encode([new Callables, 'magic'], [1]);
echo mpqueue_dev_run($bytes), ' ', mpqueue_dev_run($bytes), ' ', get_debug_type(mpqueue_dev_decode($bytes)), "\n";
?>
--EXPECT--
O Mail -> mail 3 \000\377
C Mail -> mail 5 none
C Mail -> mail 5 none
C Mail -> mail 1 none
C Mail -> mail 5 named
C Mail -> mail 1 both
F add -> 11
F ADD -> 3
F \add -> 6
F strlen -> 3
F strlen -> 4
F add -> 11
F Callables::stat -> static [1]
F Callables::stat -> static {"k":2}
F Callables -> instance 1 5
F Callables -> static [7]
O Callables -> invoked 0 0 1
F Callables -> invoked 4 5 1
O Invoked -> handled
O Suit:Hearts -> Hearts
F Callables -> instance 9 2
F Callables -> __call magic [9]
F Callables::smagic -> __callStatic smagic [9]
F Callables::stat -> static [8]
F Child::stat -> static [6]
F Callables::magic -> __callStatic magic [1]
F Callables -> __call magic [1]
a:6:{i:0;d:1.5;i:1;N;i:2;b:1;i:3;s:4:"\000\r\n\377";i:4;O:8:"stdClass":1:{s:1:"n";i:1;}i:5;r:6;}
__call magic [1] __call magic [1] array
