--TEST--
A service whose workers or preload can not start says why and exits with 1
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$cases = [
    "'worker_start_handle' => function () { throw new RuntimeException('no database'); }",
    "'worker_start_handle' => 'no_such_function'",
    "'worker_start_handle' => function () { exit(3); }",
    "'worker_start_handle' => function () { undefined(); }",
    "'preload' => function () { throw new LogicException('no framework'); }",
    "'preload' => function () { exit(4); }",
    "'preload' => function () { trigger_error('broken', E_USER_ERROR); }",
];
foreach ($cases as $basics) {
    $service = new Service(basics: "$basics, 'start_timeout' => 2");
    [$status, , $err] = $service->console('worker:start');
    preg_match('/^mpqueue: .*$/m', $err, $found);
    echo $status, ' ', str_replace($service->dir, '', $found[0] ?? $err), "\n";
}
$service = new Service(queue: "'worker_start_handle' => fn () => throw new Exception('not this one')", basics: "'start_timeout' => 2");
[$status, , $err] = $service->console('worker:start');
preg_match('/^mpqueue: .*$/m', $err, $found);
echo $status, ' ', str_replace($service->dir, '', $found[0] ?? $err), "\n";
--EXPECTF--
1 mpqueue: %Sbasics.worker_start_handle threw RuntimeException: no database in /config.php:%d%S
1 mpqueue: %Sbasics.worker_start_handle threw MPQueue\Exception\ConfigException: basics.worker_start_handle can't be called: function "no_such_function" not found or invalid function name in %s
1 mpqueue: %Sbasics.worker_start_handle called exit(3)%S
1 mpqueue: %Sbasics.worker_start_handle threw Error: Call to undefined function undefined() in /config.php:%d%S
1 mpqueue: %Sbasics.preload threw LogicException: no framework in /config.php:%d%S
1 mpqueue: %Sbasics.preload called exit(4)%S
1 mpqueue: %Sbasics.preload ended with a fatal error: broken in /config.php%S
1 mpqueue: %Sworker_start_handle of queue "q" threw Exception: not this one in /config.php:%d%S
