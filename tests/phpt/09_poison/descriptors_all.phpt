--TEST--
Poison: a job that closes all descriptors, those of the service among them
--EXTENSIONS--
posix
ffi
--FILE--
<?php
putenv('MPQUEUE_TEST_MODEL=1'); // a worker that grabs has its connection to the store closed, too: nothing is promised then
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function close_all() { $c = FFI::cdef('int close(int);'); for ($fd = 3; $fd < 1024; $fd++) $c->close($fd); }
    function closes() { close_all(); }
    function closes_and_fails() { close_all(); throw new Exception('closed'); }
    function closes_and_opens() { close_all(); for ($i = 0; $i < 200; $i++) $GLOBALS["kept$i"] = fopen(__DIR__ . '/precious', 'a'); usleep(100000); }
    PHP, queue: "'sleep_seconds' => 30");
$poison->ignored = ['descriptors']; // the worker goes on as long as it needs none of them
$poison->start('-d', 'extension=ffi', '-d', 'ffi.enable=1');
$from = microtime(true);
$poison->passes('closes');
$poison->check('closes_and_fails');
$poison->passes('closes_and_opens');
echo microtime(true) - $from < 5 ? 'in time' : 'after ' . microtime(true) - $from, "\n";
echo 'precious: ', json_encode(file_get_contents($poison->service->dir . '/precious')), "\n";
$poison->stop();
--EXPECT--
closes: done
closes_and_fails: 2 x exception Exception: closed
closes_and_opens: done
in time
precious: ""
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
