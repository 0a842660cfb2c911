--TEST--
An exception is retried after fail_expire; the fail_number-th one is final
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Failing extends MPQueue\Job
    {
        protected $fail_number = 3;
        protected $fail_expire = 0.2;
        public function handle() { note(microtime(true)); throw new DomainException('no ' . count(file(__DIR__ . '/notes')), 42); }
    }
    PHP);
$service->start();
$id = MPQueue\Queue::push('q', new Failing);
[$record] = $service->waitForFailed(1);
$service->stop();
$at = array_map('floatval', $service->notes());
var_dump(count($at), $at[1] - $at[0] >= 0.2, $at[2] - $at[1] >= 0.2, $at[2] - $at[0] < 5);
var_dump($record['id'] === $id, $record['failures']);
foreach ($record['causes'] as $cause) {
    echo implode(' ', [$cause['run'], $cause['end'], $cause['class'], $cause['message'], $cause['code'], basename($cause['file'])]), "\n";
    var_dump($cause['line'] > 0, str_contains($cause['trace'], 'Failing->handle()'), $cause['ended_at'] >= $cause['started_at'],
        str_starts_with($cause['worker'], 't:'), $cause['node'] === gethostname());
}
--EXPECT--
int(3)
bool(true)
bool(true)
bool(true)
bool(true)
int(3)
1 exception DomainException no 1 42 jobs.php
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
2 exception DomainException no 2 42 jobs.php
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
3 exception DomainException no 3 42 jobs.php
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
