--TEST--
A fatal error ends the worker; the job fails with its text, and others run on in a fresh worker
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function dies(string $how)
    {
        note('run ' . getmypid());
        switch ($how) {
            case 'user': trigger_error('on purpose', E_USER_ERROR);
            case 'compile': eval('class A implements NoSuchThing {} abstract final class B {}'); break;
            case 'time': set_time_limit(1); while (true);
            case 'buffered': ob_start(); echo "was buffered\n"; trigger_error('buffered', E_USER_ERROR);
        }
    }
    function fine() { note('fine ' . getmypid()); }
    PHP, queue: <<<'PHP'
    'fail_number' => 1,
    'fail_handle' => function ($info, $e) { note(get_class($e) . ': ' . $e->getMessage() . ' ' . basename($e->getFile())); }
    PHP);
$service->start();
foreach (['user', 'buffered', 'time'] as $i => $how) {
    MPQueue\Queue::push('q', 'dies', 0, ['args' => [$how]]);
    MPQueue\Queue::push('q', 'fine');
    $service->waitForDone($i + 1);
    $service->waitForFailed($i + 1);
}
var_dump($service->stop());
$notes = preg_grep('/^(run|fine) /', $service->notes(), PREG_GREP_INVERT);
echo implode("\n", $notes), "\n";
echo implode(' ', array_map(fn ($record) => $record['causes'][0]['end'], array_values(MPQueue\Queue::failed('q')))), "\n";
var_dump(str_contains($service->output(), "was buffered\n"), str_contains($service->output(), 'Fatal error: buffered'));
--EXPECT--
int(0)
MPQueue\Exception\FatalErrorException: on purpose jobs.php
MPQueue\Exception\FatalErrorException: buffered jobs.php
MPQueue\Exception\FatalErrorException: Maximum execution time of 1 second exceeded jobs.php
fatal fatal fatal
bool(true)
bool(true)
