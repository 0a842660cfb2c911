--TEST--
Poison: a job that kills the dispatcher, the template or another worker
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    /** The manager's children whose title tells of this. */
    function processes(string $what): array
    {
        $found = [];
        foreach (glob('/proc/[0-9]*', GLOB_NOSORT) as $dir) {
            $stat = (string) @file_get_contents("$dir/stat");
            if (preg_match('/^(\d+) .*\) \S (\d+) /s', $stat, $at) && (int) $at[2] === posix_getppid()
                && str_contains((string) @file_get_contents("$dir/cmdline"), $what)) {
                $found[] = (int) $at[1];
            }
        }
        return $found;
    }
    function kill_them(string $what, int $signal) { foreach (processes($what) as $pid) if ($pid !== getmypid()) { posix_kill($pid, $signal); note("killed $what"); } usleep(20000); }
    function kills_dispatcher() { kill_them('dispatcher', SIGKILL); }
    function asks_dispatcher() { kill_them('dispatcher', SIGTERM); }
    function kills_template() { kill_them('template', SIGKILL); }
    function kills_workers() { kill_them('worker', SIGKILL); }
    function asks_workers() { kill_them('worker', SIGTERM); }
    PHP, queue: "'worker_number' => 2");
$poison->start();
foreach (['kills_dispatcher', 'asks_dispatcher', 'kills_template', 'kills_workers', 'asks_workers'] as $job) {
    $poison->passes($job);
}
$poison->stop();
echo implode(', ', preg_grep('/^killed/', $poison->service->notes())), "\n";
--EXPECT--
kills_dispatcher: done
asks_dispatcher: done
kills_template: done
kills_workers: done
asks_workers: done
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
killed dispatcher, killed dispatcher, killed template, killed worker, killed worker
