--TEST--
Poison: what a job changes in its process is not there in the next job
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function directory() { chdir('/'); mkdir($dir = sys_get_temp_dir() . '/gone' . getmypid()); chdir($dir); rmdir($dir); }
    function mask() { umask(0777); }
    function locale() { setlocale(LC_ALL, 'C.UTF-8') || setlocale(LC_ALL, 'POSIX'); setlocale(LC_NUMERIC, 'de_DE.UTF-8', 'C.UTF-8'); }
    function settings()
    {
        foreach (['precision' => '3', 'memory_limit' => '-1', 'display_errors' => '0', 'include_path' => '/', 'error_reporting' => '0',
            'default_charset' => 'x', 'date.timezone' => 'Asia/Tokyo', 'open_basedir' => '/', 'assert.exception' => '0', 'user_agent' => 'x',
            'pcre.backtrack_limit' => '1', 'serialize_precision' => '1', 'error_log' => '/dev/null', 'log_errors' => '1',
            'error_prepend_string' => 'x', 'auto_detect_line_endings' => '1', 'arg_separator.output' => ';'] as $name => $value) {
            @ini_set($name, $value);
        }
    }
    function handlers() { set_error_handler(fn () => true); set_exception_handler(fn () => exit(9)); @trigger_error('x'); set_error_handler(fn () => exit(3)); }
    function timezone() { date_default_timezone_set('Asia/Tokyo'); }
    function limits() { ini_set('memory_limit', memory_get_usage(true) + (4 << 20)); set_time_limit(1); ignore_user_abort(true); }
    function outgrows() { ini_set('memory_limit', '-1'); $GLOBALS['kept'] = str_repeat('x', 150 << 20); }
    function masks() { pcntl_sigprocmask(SIG_BLOCK, array_diff(range(1, 64), [9, 19, 32, 33])); }
    function catches() { pcntl_async_signals(true); foreach (array_diff(range(1, 64), [9, 19, 32, 33]) as $signal) pcntl_signal($signal, fn () => exit(7)); pcntl_alarm(1); }
    function ignores() { foreach (array_diff(range(1, 64), [9, 19, 32, 33]) as $signal) pcntl_signal($signal, SIG_IGN); }
    function buffers() { for ($i = 0; $i < 200; $i++) ob_start(fn ($text) => $text); echo "left\n"; }
    function collector() { gc_disable(); }
    function shutdown() { for ($i = 0; $i < 1000; $i++) register_shutdown_function(fn () => $i === 999 && note('shut down')); }
    function errors() { @trigger_error('a'); error_clear_last(); echo @$undefined; }
    function title() { cli_set_process_title('mine'); }
    PHP);
$poison->start();
foreach (['directory', 'mask', 'locale', 'settings', 'handlers', 'timezone', 'limits', 'outgrows', 'masks', 'catches', 'ignores', 'buffers',
    'collector', 'shutdown', 'errors', 'title'] as $job) {
    $poison->passes($job);
}
$poison->stop();
echo implode("\n", preg_grep('/^probe/', $poison->service->notes(), PREG_GREP_INVERT)), "\n";
--EXPECT--
directory: done
mask: done
locale: done
settings: done
handlers: done
timezone: done
limits: done
outgrows: done
masks: done
catches: done
ignores: done
buffers: done
collector: done
shutdown: done
errors: done
title: done
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
shut down
