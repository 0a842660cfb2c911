--TEST--
A handler's exception, exit or timeout is recorded; a handler that kills its worker is run again, at most fail_number times
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Boom extends MPQueue\Job
    {
        protected $fail_number = 2;
        protected $fail_expire = 0;
        protected $timeout = 0.3;
        public function __construct(private string $how) {}
        public function handle() { throw new Exception('x'); }
        public function fail_handle(array &$jobInfo, Throwable $e)
        {
            note("handler $this->how " . get_class($e));
            switch ($this->how) {
                case 'throws': throw new LogicException('handler failed');
                case 'exits': exit(3);
                case 'slow': while (true);
                case 'dies': posix_kill(getmypid(), SIGKILL); sleep(5);
                case 'fatal': trigger_error('fatal handler', E_USER_ERROR);
            }
        }
    }
    PHP, basics: "'timeout_grace' => 5");
$service->start();
foreach (['throws', 'exits', 'slow', 'dies', 'fatal'] as $i => $how) {
    MPQueue\Queue::push('q', new Boom($how));
    $records = $service->waitForFailed($i + 1);
}
var_dump($service->stop());
foreach (MPQueue\Queue::failed('q') as $record) {
    $line = [];
    foreach ($record['causes'] as $cause) {
        $line[] = $cause['end'] . ($cause['in_handler'] ? ' in handler' : '');
    }
    $lines[] = implode(', ', $line);
}
sort($lines);
echo implode("\n", $lines), "\n";
print_r(array_count_values($service->notes()));
--EXPECT--
int(0)
exception, exception, exception in handler
exception, exception, exit in handler
exception, exception, fatal in handler, fatal in handler
exception, exception, signal in handler, signal in handler
exception, exception, timeout in handler
Array
(
    [handler throws Exception] => 1
    [handler exits Exception] => 1
    [handler slow Exception] => 1
    [handler dies Exception] => 2
    [handler fatal Exception] => 2
)
