--TEST--
Poison: jobs that fork
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function forked(): bool { return pcntl_fork() === 0; }
    function child_exits() { if (forked()) exit(3); pcntl_wait($status); }
    function child_returns() { if (forked()) return; pcntl_wait($status); }
    function child_throws() { if (forked()) throw new Exception('child'); pcntl_wait($status); }
    function child_dies() { if (forked()) posix_kill(getmypid(), SIGKILL); pcntl_wait($status); }
    function child_is_not_waited_for() { if (forked()) exit(3); }
    function child_goes_on() { if (forked()) { fclose(STDOUT); usleep(300000); exit(0); } }
    function child_kills_its_parent() { if (forked()) { posix_kill(posix_getppid(), SIGKILL); exit(0); } sleep(5); }
    function child_makes_children() { for ($i = 0; $i < 3; $i++) pcntl_fork(); while (pcntl_wait($status) > 0); }
    function child_has_a_session() { if (forked()) { posix_setsid(); usleep(200000); exit(0); } }
    function parent_exits() { if (forked()) { usleep(300000); exit(0); } exit(4); }
    function parent_dies() { if (forked()) { usleep(300000); exit(0); } posix_kill(getmypid(), SIGKILL); }
    function both_throw() { forked(); throw new Exception('both'); }
    PHP);
$poison->start();
foreach (['child_exits', 'child_returns', 'child_throws', 'child_dies', 'child_is_not_waited_for', 'child_goes_on', 'child_makes_children',
    'child_has_a_session'] as $job) {
    $poison->passes($job);
}
foreach (['child_kills_its_parent', 'parent_exits', 'parent_dies', 'both_throw'] as $job) {
    $poison->check($job);
}
$poison->stop();
--EXPECT--
child_exits: done
child_returns: done
child_throws: done
child_dies: done
child_is_not_waited_for: done
child_goes_on: done
child_makes_children: done
child_has_a_session: done
child_kills_its_parent: 2 x signal 9: killed by signal 9 (Killed), not by this service; perhaps the system was out of memory
parent_exits: 2 x exit 4: exit(4) was called
parent_dies: 2 x signal 9: killed by signal 9 (Killed), not by this service; perhaps the system was out of memory
both_throw: 2 x exception Exception: both
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
