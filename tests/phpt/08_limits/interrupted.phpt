--TEST--
Time limit: loops and sleeps are interrupted, in the worker that goes on
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/limits.inc';
$limits = new Limits(<<<'PHP'
    function busy() { $lock = begin(); while (true) beat(); }
    function sleeps() { $lock = begin(); sleep(100); }
    function naps() { $lock = begin(); while (true) { beat(); usleep(1000); } }
    function selects() { $lock = begin(); [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); while (true) { $r = [$a]; $w = $e = null; @stream_select($r, $w, $e, 100); } }
    PHP);
$limits->start();
foreach (['busy', 'sleeps', 'naps', 'selects'] as $job) {
    $limits->check($job, killed: false);
}
$limits->stop();
--EXPECT--
busy: interrupted in time
sleeps: interrupted in time
naps: interrupted in time
selects: interrupted in time
int(0)
