--TEST--
A service without keys refuses signed jobs, with a message that says so
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: "class Victim extends MPQueue\\Job { public function __wakeup() { note('OPENED'); } public function handle() { note('RUN'); } } function plain() { note('plain'); }",
    queue: "'fail_handle' => fn (\$info, \$e) => note(json_encode(\$info['job']) . ' ' . \$e->getMessage())");
$config = require $service->dir . '/config.php';
$signed = $config;
$signed['basics']['signing_keys'] = [random_bytes(32)];
MPQueue\Config::set($signed);
MPQueue\Queue::push('q', new Victim);
MPQueue\Config::set($config);
MPQueue\Queue::push('q', 'plain');
$service->start();
[$record] = $service->waitForFailed(1);
$service->waitForDone(1);
var_dump($service->stop());
echo $record['job'], ': ', count($record['causes']), ' ', $record['causes'][0]['end'], "\n";
$notes = $service->notes();
sort($notes);
echo implode("\n", $notes), "\n";
--EXPECT--
int(0)
Victim: 1 undecodable
null the stored job is signed, but basics.signing_keys is not set in the service that was to run it: it was not opened
plain
