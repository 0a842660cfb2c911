--TEST--
With signing keys, class names in a job's history load no code
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
foreach (['', "'signing_keys' => [str_repeat('k', 32)]"] as $keys) {
    $service = new Service(jobs: <<<'PHP'
        if (!function_exists('throws')) {
            function throws() { eval('class Gone extends Exception {}'); throw new Gone('gone'); }
            function throws_known() { throw new LengthException('known', 7); }
        }
        PHP . ($keys ? "\n# signed" : ''), main: <<<'PHP'
        if ($argv[1] === 'worker:start') {
            spl_autoload_register(function ($class) { note("autoload $class"); if ($class === 'Gone') { eval('class Gone extends Exception { public function __construct() { note("CONSTRUCTED"); } }'); } });
        }
        PHP, basics: $keys, queue: <<<'PHP'
        'fail_number' => 1, 'max_jobs' => 1, 'fail_handle' => fn ($info, $e) => note($e::class . ' ' . $e->getMessage() . ' ' . $e->getCode())
        PHP);
    $service->start();
    MPQueue\Queue::push('q', 'throws');
    $service->waitForFailed(1);
    MPQueue\Queue::push('q', 'throws_known');
    $service->waitForFailed(2);
    $service->stop();
    echo $keys ? "with keys\n" : "without\n", '  ', implode("\n  ", $service->notes()), "\n";
}
--EXPECT--
without
  autoload Gone
  Gone gone 0
  LengthException known 7
with keys
  MPQueue\Exception\QueueException Gone: gone 0
  LengthException known 7
