--TEST--
A worker's /proc/self is its own, and it reads nothing from the terminal
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job()
    {
        $stat = fn () => (int) file_get_contents('/proc/self/stat');
        note(json_encode([$stat() === getmypid(), realpath('/proc/self') === '/proc/' . getmypid(),
            readlink('/proc/' . getmypid() . '/fd/0'), fgets(STDIN)]));
    }
    PHP, main: "realpath('/proc/self'); file_get_contents('/proc/self/stat');",
    basics: "'preload' => function () { realpath('/proc/self/stat'); file_get_contents('/proc/self/stat'); }");
$service->stdin = __FILE__;
$service->start();
MPQueue\Queue::push('q', 'job');
echo $service->waitForNotes(1)[0], "\n";
$service->stop();
--EXPECT--
[true,true,"\/dev\/null",false]
