--TEST--
A second start says which process has the service
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service();
$service->start();
foreach ([[], ['-d']] as $args) {
    [$status, $out, $err] = $service->console('worker:start', ...$args);
    echo $status, ' ', $out, str_replace($service->pid(), 'PID', $err);
}
var_dump($service->stop());
--EXPECTF--
1 mpqueue: %SPID%S
1 mpqueue: %SPID%S
int(0)
