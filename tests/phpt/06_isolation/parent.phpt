--TEST--
A parent's buffered output, shutdown functions and destructors are the parent's alone
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Mine
    {
        public function __construct(private string $name, private int $pid) {}
        public function __destruct() { note("destructed $this->name " . ($this->pid === getmypid() ? 'by its process' : 'BY ANOTHER')); }
        public function call() { note("shutdown $this->name " . ($this->pid === getmypid() ? 'of its process' : 'OF ANOTHER')); }
    }
    function job() { echo "job's output\n"; }
    PHP, main: <<<'PHP'
    if ($argv[1] !== 'worker:start') {
        exit(mpqueue_run(require __DIR__ . '/config.php'));
    }
    $object = new Mine('object', getmypid());
    register_shutdown_function([new Mine('function', getmypid()), 'call']);
    $pid = getmypid();
    ob_start(function ($text) use ($pid) {
        if (getmypid() !== $pid) {
            note('callback IN ANOTHER');
        }
        return $text;
    });
    ob_start();
    echo "parent's output\n";
    PHP, basics: <<<'PHP'
    'preload' => function () {
        $GLOBALS['preloaded'] = new Mine('preloaded', getmypid());
        register_shutdown_function([new Mine('preloaded function', getmypid()), 'call']);
        ob_start();
        echo "template's output\n";
    }
    PHP, queue: "'worker_number' => 2, 'max_jobs' => 1");
$service->start();
MPQueue\Queue::pushMany('q', ['job', 'job', 'job']);
$service->waitForDone(3);
var_dump($service->stop());
foreach ([$service->notes(), explode("\n", $service->output())] as $lines) {
    sort($lines);
    echo implode("\n", array_filter($lines)), "\n";
}
--EXPECT--
int(0)
destructed function by its process
destructed object by its process
destructed preloaded by its process
destructed preloaded function by its process
shutdown function of its process
shutdown preloaded function of its process
job's output
job's output
job's output
parent's output
template's output
