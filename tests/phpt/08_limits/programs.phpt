--TEST--
Time limit: programs that the job has started are gone before its failure handler begins
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/limits.inc';
$limits = new Limits(<<<'PHP'
    const BEATS = 'while :; do cat /proc/uptime >beat; done';
    function execs() { $lock = begin(); exec('sleep 100'); }
    function execs_a_busy_one() { $lock = begin(); chdir(here('')); exec(BEATS); }
    function execs_a_stubborn_one() { $lock = begin(); chdir(here('')); exec('trap "" HUP INT TERM; ' . BEATS); }
    function pipes() { $lock = begin(); chdir(here('')); exec('(' . BEATS . ') | cat | cat'); }
    function leaves_one_behind() { $lock = begin(); chdir(here('')); exec('(' . BEATS . ') >/dev/null 2>&1 &'); hash_pbkdf2('sha512', 'password', 'salt', 100000000); }
    function opens() { $lock = begin(); chdir(here('')); $process = proc_open(BEATS, [], $pipes); proc_close($process); }
    function forks_and_waits() { $lock = begin(); if (pcntl_fork() === 0) beats(); pcntl_wait($status); }
    function goes_on_without() { $lock = begin(); chdir(here('')); exec('(trap "" TERM; ' . BEATS . ') >/dev/null 2>&1 &'); if (pcntl_fork() === 0) beats(); while (true); }
    function beats() { while (true) { try { while (true) beat(); } catch (Throwable) {} } }
    function forks() { $lock = begin(); if (pcntl_fork() === 0) beats(); hash_pbkdf2('sha512', 'password', 'salt', 100000000); }
    PHP);
$limits->start();
foreach (['execs', 'execs_a_busy_one', 'execs_a_stubborn_one', 'pipes', 'leaves_one_behind', 'opens', 'forks'] as $job) {
    $limits->check($job, killed: true);
}
$limits->check('forks_and_waits', killed: false, replaced: true);
$limits->check('goes_on_without', killed: false, replaced: true);
$limits->stop();
--EXPECT--
execs: killed in time
execs_a_busy_one: killed in time
execs_a_stubborn_one: killed in time
pipes: killed in time
leaves_one_behind: killed in time
opens: killed in time
forks: killed in time
forks_and_waits: interrupted in time
goes_on_without: interrupted in time
int(0)
