--TEST--
Poison: jobs that end their process are in the failed list with the true cause
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function segfaults() { posix_kill(getmypid(), SIGSEGV); sleep(1); }
    function overflows() { array_map('overflows', [1]); }
    function aborts() { posix_kill(getmypid(), SIGABRT); sleep(1); }
    function kills_itself() { posix_kill(getmypid(), SIGKILL); sleep(1); }
    function kills_its_group() { posix_kill(0, SIGKILL); sleep(1); }
    function stops_itself() { posix_kill(getmypid(), SIGSTOP); }
    function runs_out_of_memory() { $a = []; while (true) $a[] = str_repeat('x', 1 << 20); }
    function runs_out_in_shutdown() { register_shutdown_function('runs_out_of_memory'); runs_out_of_memory(); }
    function exits() { exit(5); }
    function exits_in_a_buffer() { ob_start(fn () => exit(6)); echo 'x'; }
    function is_fatal() { eval('class A extends MPQueue\Job {}'); }
    function becomes_another() { pcntl_exec('/bin/sh', ['-c', 'exit 3']); }
    function becomes_another_that_is_fine() { pcntl_exec('/bin/true'); }
    PHP, queue: "'timeout' => 1, 'timeout_retry' => true", basics: "'timeout_grace' => 0.1");
$poison->start('-d', 'zend.max_allowed_stack_size=-1', '-d', 'memory_limit=64M');
foreach (['segfaults', 'overflows', 'aborts', 'kills_itself', 'kills_its_group', 'stops_itself', 'runs_out_of_memory', 'runs_out_in_shutdown',
    'exits', 'exits_in_a_buffer', 'is_fatal', 'becomes_another', 'becomes_another_that_is_fine'] as $job) {
    $poison->check($job);
}
$poison->stop();
--EXPECTF--
segfaults: 2 x signal 11: killed by signal 11 (Segmentation fault)
overflows: 2 x signal 11: killed by signal 11 (Segmentation fault)
aborts: 2 x signal 6: killed by signal 6 (Aborted)
kills_itself: 2 x signal 9: killed by signal 9 (Killed), not by this service; perhaps the system was out of memory
kills_its_group: 2 x signal 9: killed by signal 9 (Killed), not by this service; perhaps the system was out of memory
stops_itself: 2 x timeout: timed out after 1 s and did not end within the grace of 0.1 s: killed
runs_out_of_memory: 2 x out_of_memory: Allowed memory size of %d bytes exhausted (tried to allocate %d bytes)
runs_out_in_shutdown: 2 x out_of_memory: Allowed memory size of %d bytes exhausted (tried to allocate %d bytes)
exits: 2 x exit 5: exit(5) was called
exits_in_a_buffer: 2 x exit 6: exit(6) was called
is_fatal: 2 x fatal: Class A contains 1 abstract method and must therefore be declared abstract or implement the remaining methods (MPQueue\Job::handle)
becomes_another: 2 x died 3: the worker exited with status 3 in the middle of the job
becomes_another_that_is_fine: 2 x died 0: the worker exited with status 0 in the middle of the job
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
