--TEST--
What a job prints goes to the terminal of worker:start at once; a warning is no failure
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function speak(string $text) { echo $text, "\n"; }
    function warn() { echo $undefined; trigger_error('careful', E_USER_NOTICE); note('went on'); }
    PHP);
$service->start();
MPQueue\Queue::push('q', 'speak', 0, ['args' => ['hello from a job']]);
$service->waitFor(fn () => str_contains($service->output(), "hello from a job\n"), 'the output');
MPQueue\Queue::push('q', 'warn');
$service->waitForDone(2);
print_r($service->notes());
var_dump(MPQueue\Queue::counts('q')['failed'], $service->stop());
echo $service->output();
--EXPECTF--
Array
(
    [0] => went on
)
int(0)
int(0)
hello from a job

Warning: Undefined variable $undefined in %sjobs.php on line %d

Notice: careful in %sjobs.php on line %d
