--TEST--
What a job changes in its process does not reach the next one
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function state(): array
    {
        $error_handler = set_error_handler(fn () => true);
        restore_error_handler();
        $exception_handler = set_exception_handler(fn () => true);
        restore_exception_handler();
        return [
            'cwd' => getcwd(), 'umask' => umask(), 'locale' => setlocale(LC_ALL, 0), 'decimal' => sprintf('%.1f', 0.5),
            'precision' => ini_get('precision'), 'memory_limit' => ini_get('memory_limit'), 'include_path' => ini_get('include_path'),
            'reporting' => error_reporting(), 'timezone' => date_default_timezone_get(), 'gc' => gc_enabled(),
            'ob' => ob_get_level(), 'time_limit' => ini_get('max_execution_time'), 'last_error' => error_get_last(),
            'error_handler' => is_array($error_handler) ? implode('::', $error_handler) : $error_handler,
            'exception_handler' => $exception_handler,
        ];
    }
    function report() { note(json_encode(state())); }
    function dirty()
    {
        @trigger_error('last');
        chdir('/');
        umask(0777);
        setlocale(LC_ALL, 'C');
        ini_set('precision', '3');
        ini_set('memory_limit', '77M');
        set_include_path('/nowhere');
        error_reporting(0);
        date_default_timezone_set('Asia/Tokyo');
        gc_disable();
        ob_start();
        set_time_limit(1);
        set_error_handler(fn () => true);
        set_error_handler(null);
        set_exception_handler(fn () => exit(3));
        stat(__FILE__);
    }
    function dirty_the_other_way()
    {
        ini_restore('precision');
        restore_error_handler();
        restore_error_handler();
        restore_exception_handler();
        throw new Exception('and throws');
    }
    class Handler { public static function handle() { return false; } }
    PHP, basics: <<<'PHP'
    'worker_start_handle' => function () {
        chdir('/tmp');
        umask(0027);
        setlocale(LC_ALL, 'C.UTF-8');
        ini_set('precision', '9');
        error_reporting(E_ALL & ~E_NOTICE);
        date_default_timezone_set('Europe/Paris');
        set_error_handler(['Handler', 'handle']);
        set_exception_handler('strlen');
    }
    PHP, queue: "'fail_number' => 1");
$service->start();
foreach (['report', 'dirty', 'report', 'dirty_the_other_way', 'report', 'dirty', 'dirty', 'report'] as $job) {
    MPQueue\Queue::push('q', $job);
}
$reports = $service->waitForNotes(4);
$service->stop();
$first = json_decode($reports[0], true);
print_r($first);
foreach ($reports as $report) {
    print_r(array_diff_assoc(array_map('json_encode', json_decode($report, true)), array_map('json_encode', $first)));
}
--EXPECT--
Array
(
    [cwd] => /tmp
    [umask] => 23
    [locale] => C.UTF-8
    [decimal] => 0.5
    [precision] => 9
    [memory_limit] => 128M
    [include_path] => .:/usr/share/php
    [reporting] => 32759
    [timezone] => Europe/Paris
    [gc] => 1
    [ob] => 0
    [time_limit] => 0
    [last_error] => 
    [error_handler] => Handler::handle
    [exception_handler] => strlen
)
Array
(
)
Array
(
)
Array
(
)
Array
(
)
