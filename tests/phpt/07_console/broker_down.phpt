--TEST--
A store that can not be reached is one line on standard error, without the password
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service();
$service->write('config.php', "<?php return ['basics' => ['name' => 't', 'pid_path' => __DIR__,
    'driver' => new MPQueue\\Driver\\Redis('127.0.0.1', 1, 'secret')], 'queue' => [['name' => 'q']], 'log' => ['path' => __DIR__]];");
foreach ([['queue:status'], ['queue:failed', '--queue=q'], ['queue:clean'], ['worker:start'], ['worker:start', '-d']] as $args) {
    [$status, $out, $err] = $service->console(...$args);
    preg_match('/^mpqueue: .*$/m', $err, $found);
    echo $status, ' ', preg_match('/127\.0\.0\.1:1\b.*refused/i', $found[0] ?? '') ? 'named' : $err, str_contains($out . $err, 'secret') ? ' SECRET' : '', "\n";
}
--EXPECT--
1 named
1 named
1 named
1 named
1 named
