--TEST--
What a failure handler is told: keys and types
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Told extends MPQueue\Job
    {
        protected $timeout = 25;
        protected $fail_number = 2;
        protected $fail_expire = 0.05;
        public function handle() { throw new RangeException('away', 7); }
        public function fail_handle(array &$jobInfo, Throwable $e)
        {
            $shown = [];
            foreach ($jobInfo as $key => $value) {
                $shown[$key] = get_debug_type($value);
            }
            ksort($shown);
            file_put_contents(__DIR__ . '/info', serialize([$shown, $jobInfo, get_class($e), $e->getMessage(), $e->getCode(), $e->getFile(), $e->getLine()]));
            note('told');
        }
    }
    PHP);
$service->start();
$pushed = microtime(true);
$id = MPQueue\Queue::push('q', new Told);
$service->waitForNotes(1);
$service->stop();
[$types, $info, $class, $message, $code, $file, $line] = unserialize(file_get_contents("$service->dir/info"));
print_r($types);
var_dump($info['id'] === $id, $info['exec_number'], $info['timeout'], $info['fail_number'], $info['fail_expire'], $info['type']);
var_dump(abs($info['create_time'] - $pushed) < 2, $info['start_time'] >= $pushed - 1, $info['pop_time'] >= $info['start_time'] - 1);
var_dump(preg_match('/^(t:\d+:7:away\n){2}$/', $info['error_info']), preg_match('/^t:\d+$/', $info['worker_id']));
echo implode(' ', array_keys($info['cause'])), "\n";
var_dump(count($info['causes']), $info['cause'] === $info['causes'][1], $info['cause']['run'], $info['cause']['class']);
echo "$class $message $code ", basename($file), "\n";
var_dump($line === $info['cause']['line']);
--EXPECT--
Array
(
    [cause] => array
    [causes] => array
    [create_time] => string
    [error_info] => string
    [exec_number] => int
    [fail_expire] => string
    [fail_number] => string
    [id] => string
    [job] => Told
    [pop_time] => string
    [start_time] => string
    [timeout] => string
    [type] => string
    [worker_id] => string
)
bool(true)
int(2)
string(2) "25"
string(1) "2"
string(4) "0.05"
string(1) "1"
bool(true)
bool(true)
bool(true)
int(1)
int(1)
end class message file line trace code exit_status signal in_handler run started_at ended_at worker node at
int(2)
bool(true)
int(2)
string(14) "RangeException"
RangeException away 7 jobs.php
bool(true)
