--TEST--
Time limit: a job that catches everything, and one that blocks all signals
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/limits.inc';
$limits = new Limits(<<<'PHP'
    function catches() { $lock = begin(); while (true) { try { while (true) beat(); } catch (Throwable) {} } }
    function returns_instead() { $lock = begin(); while (true) again(); }
    function again() { try { while (true) beat(); } finally { return; } }
    function signals() { return array_diff(range(1, 64), [SIGKILL, SIGSTOP, 32, 33]); }
    function block() { pcntl_sigprocmask(SIG_BLOCK, signals()) || note('not blocked'); }
    function blocks_signals() { $lock = begin(); block(); while (true) beat(); }
    function ignores_signals() { $lock = begin(); foreach (signals() as $signal) pcntl_signal($signal, SIG_IGN); while (true) beat(); }
    function blocks_and_sleeps() { $lock = begin(); block(); sleep(100); }
    function blocks_and_execs() { $lock = begin(); block(); exec('sleep 100'); }
    PHP);
$limits->start();
foreach (['catches', 'returns_instead', 'blocks_signals', 'ignores_signals', 'blocks_and_sleeps', 'blocks_and_execs'] as $job) {
    $limits->check($job, killed: true);
}
$limits->stop();
--EXPECT--
catches: killed in time
returns_instead: killed in time
blocks_signals: killed in time
ignores_signals: killed in time
blocks_and_sleeps: killed in time
blocks_and_execs: killed in time
int(0)
