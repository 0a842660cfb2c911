--TEST--
help, list and --help show what there is; a command line that means nothing ends with 2
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service();
[$status, $out, $err] = $service->console('help');
echo str_replace("$service->dir/", '', $out), $err, $status, "\n";
foreach ([['list'], ['--help'], ['-h']] as $args) {
    var_dump($service->console(...$args) === [$status, $out, $err]);
}
var_dump($service->console() === [2, $out, '']);
[$status, $out] = $service->console('queue:failed', '--queue', 'q', '--help');
echo str_replace("$service->dir/", '', $out), $status, "\n";
foreach ([['worker:strat'], ['start'], ['statsu'], ['xyzzy'], ['worker:stop', '-x'], ['queue:status', '--qeue', 'q'], ['worker:status', '-d'],
    ['queue:status', '--queue'], ['queue:status', '--queue=nope'], ['queue:failed'], ['queue:failed', '--queue=q', '--limit=x'],
    ['queue:failed', '--queue=q', '--limit', '0'], ['worker:start', '--daemon=1'], ['worker:stop', 'now']] as $args) {
    [$status, $out, $err] = $service->console(...$args);
    echo $status, ' ', $out, $err;
}
--EXPECTF--
mpqueue %s, service "t"
usage: php main.php <command> [options]

  worker:start [-d]                     start the service
  worker:stop                           stop it when the running jobs have ended
  worker:reload                         replace the workers by fresh ones with new code, without a gap
  worker:restart [-d]                   stop and start
  worker:status                         show its processes

  queue:status [--queue Q]              show how many jobs there are
  queue:failed [--queue Q] [--limit N]  show the jobs that have failed for the last time, and why
  queue:clean [--queue Q]               delete everything in the queues

  help                                  show this
  list                                  show this
0
bool(true)
bool(true)
bool(true)
bool(true)
queue:failed: show the jobs that have failed for the last time, and why
usage: php main.php queue:failed [--queue Q] [--limit N]
  --queue Q        only this queue
  --limit N        at most this many records (100)
0
2 mpqueue: there is no command "worker:strat"; did you mean "worker:start"?
2 mpqueue: there is no command "start"; did you mean "worker:start"?
2 mpqueue: there is no command "statsu"; did you mean "worker:status"?
2 mpqueue: there is no command "xyzzy"; "help" lists what there is
2 mpqueue: worker:stop knows no option "-x"; "worker:stop --help" shows what it knows
2 mpqueue: queue:status knows no option "--qeue"; did you mean "--queue"?
2 mpqueue: worker:status knows no option "-d"; "worker:status --help" shows what it knows
2 mpqueue: --queue needs a value: --queue Q
2 mpqueue: no queue "nope" is configured; there is "q"
2 mpqueue: queue:failed needs to know which queue: --queue Q
2 mpqueue: --limit must be a whole number >= 1, got "x"
2 mpqueue: --limit must be a whole number >= 1, got "0"
2 mpqueue: --daemon takes no value
2 mpqueue: worker:stop knows no option "now"; "worker:stop --help" shows what it knows
