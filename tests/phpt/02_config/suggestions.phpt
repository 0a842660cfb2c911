--TEST--
A misspelled setting is answered with the one that is meant
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';

$queue = ['wokers', 'workernumber', 'Timeout', 'tiemout', 'time_out', 'fail_numer', 'failhandle', 'sleep', 'mode', 'memory',
    'xyz', '', "a\nb", str_repeat('long', 50)];
attempt(fn () => MPQueue\Config::set([
    'basics' => ['driver' => new MPQueue\Driver\Memory, 'nmae' => 1, 'stop' => 2],
    'queues' => 1,
    'lgo' => 2,
    'queue' => [['name' => 'q'] + array_fill_keys($queue, 1)],
]));
?>
--EXPECT--
MPQueue\Exception\ConfigException: queues is not a known setting (did you mean queue?)
lgo is not a known setting (there are: basics, log, queue, worker_start_handle)
basics.nmae is not a known setting (did you mean name?)
basics.stop is not a known setting (did you mean stop_timeout?)
queue[0].wokers is not a known setting (did you mean worker_number?)
queue[0].workernumber is not a known setting (did you mean worker_number?)
queue[0].Timeout is not a known setting (did you mean timeout?)
queue[0].tiemout is not a known setting (did you mean timeout?)
queue[0].time_out is not a known setting (did you mean timeout?)
queue[0].fail_numer is not a known setting (did you mean fail_number?)
queue[0].failhandle is not a known setting (did you mean fail_handle?)
queue[0].sleep is not a known setting (did you mean sleep_seconds?)
queue[0].mode is not a known setting (did you mean model?)
queue[0].memory is not a known setting (did you mean memory_limit?)
queue[0].xyz is not a known setting (there are: name, worker_number, memory_limit, max_jobs, sleep_seconds, timeout, timeout_retry, fail_number, fail_expire, fail_handle, worker_start_handle, model)
queue[0]. is not a known setting (there are: name, worker_number, memory_limit, max_jobs, sleep_seconds, timeout, timeout_retry, fail_number, fail_expire, fail_handle, worker_start_handle, model)
queue[0].a\nb is not a known setting (there are: name, worker_number, memory_limit, max_jobs, sleep_seconds, timeout, timeout_retry, fail_number, fail_expire, fail_handle, worker_start_handle, model)
queue[0].longlonglonglonglonglonglonglonglonglonglonglonglonglonglong is not a known setting (there are: name, worker_number, memory_limit, max_jobs, sleep_seconds, timeout, timeout_retry, fail_number, fail_expire, fail_handle, worker_start_handle, model)
