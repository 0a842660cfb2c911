--TEST--
MPQueue\Job: subclasses with and without types, getters, the default failure handler
--FILE--
<?php
// As old code writes it: no types anywhere, constructor of its own.
class Old extends MPQueue\Job
{
    protected $timeout = 25;
    protected $fail_number = '4';
    public $fail_expire = 0.5;
    private $path;

    function __construct($path)
    {
        $this->path = $path;
    }

    function handle()
    {
        return $this->path;
    }

    function fail_handle(array &$jobInfo, Throwable $e)
    {
        $jobInfo['seen'] = $e->getMessage();
    }
}

class Modern extends MPQueue\Job
{
    public function getTimeout(): ?float
    {
        return 1.5;
    }

    public function handle(): void
    {
    }
}

$old = new Old('p');
var_dump($old->getTimeout(), $old->getFailNumber(), $old->getFailExpire(), $old->handle());
$info = ['id' => 1];
var_dump($old->fail_handle($info, new Exception('x')), $info);

$modern = new Modern;
var_dump($modern->getTimeout(), $modern->getFailNumber(), $modern->getFailExpire());
var_dump($modern->fail_handle($info, new Error('y')), $info);
foreach ([fn () => $modern->fail_handle($info), fn () => $modern->fail_handle($text, new Exception),
    fn () => $modern->fail_handle($info, 'no exception'), fn () => new MPQueue\Job] as $wrong) {
    try {
        $wrong();
    } catch (Error $e) {
        echo $e->getMessage(), "\n";
    }
}
?>
--EXPECT--
int(25)
string(1) "4"
float(0.5)
string(1) "p"
NULL
array(2) {
  ["id"]=>
  int(1)
  ["seen"]=>
  string(1) "x"
}
float(1.5)
NULL
NULL
bool(false)
array(2) {
  ["id"]=>
  int(1)
  ["seen"]=>
  string(1) "x"
}
MPQueue\Job::fail_handle() expects exactly 2 arguments, 1 given
MPQueue\Job::fail_handle(): Argument #1 ($jobInfo) must be of type array, null given
MPQueue\Job::fail_handle(): Argument #2 ($e) must be of type Throwable, string given
Cannot instantiate abstract class MPQueue\Job
