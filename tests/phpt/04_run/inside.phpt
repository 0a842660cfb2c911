--TEST--
mpqueue_run() refuses to run inside of itself and takes only strings
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function nested()
    {
        try {
            mpqueue_run(MPQueue\Config::get(), ['x', 'help']);
        } catch (MPQueue\Exception\ServiceException $e) {
            note($e->getMessage());
        }
    }
    PHP);
$service->start();
MPQueue\Queue::push('q', 'nested');
echo $service->waitForNotes(1)[0], "\n";
$service->stop();
foreach ([['x', 7], [null]] as $argv) {
    try {
        mpqueue_run(MPQueue\Config::get(), $argv);
    } catch (TypeError $e) {
        echo $e->getMessage(), "\n";
    }
}
try {
    mpqueue_run(['basics' => []], ['x', 'help']);
} catch (MPQueue\Exception\ConfigException $e) {
    echo get_class($e), "\n";
}
--EXPECT--
mpqueue_run() can't be called inside of itself: this is a process of a running service
mpqueue_run(): Argument #2 ($argv) must be a list of strings, int found
mpqueue_run(): Argument #2 ($argv) must be a list of strings, null found
MPQueue\Exception\ConfigException
