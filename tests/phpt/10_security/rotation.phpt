--TEST--
Keys are rotated: the first one signs, all of them verify
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
[$old, $new, $next] = [str_repeat('o', 32), str_repeat('n', 100), str_repeat('x', 64)];
$service = new Service(jobs: "function job(string \$what) { note(\$what); }");
$config = require $service->dir . '/config.php';
function push(string $what, array $keys): void
{
    global $config;
    $config['basics']['signing_keys'] = $keys;
    MPQueue\Config::set($config);
    MPQueue\Queue::push('q', 'job', 0, ['args' => [$what]]);
}
function serve(array $keys, int $done, int $failed): void
{
    global $service, $text;
    $text ??= file_get_contents("$service->dir/config.php");
    $service->write('config.php', str_replace("'basics' => [", "'basics' => ['signing_keys' => " . var_export($keys, true) . ',', $text));
    $service->start();
    $service->waitForDone($done);
    $service->waitForFailed($failed);
    $service->stop();
}
push('old, first', [$old]);
serve([$old, $new], 1, 0);           // 1. the services learn the new key
push('old, on the way', [$old]);
push('new', [$new, $old]);           // 2. the producers sign with it
serve([$new, $old], 3, 0);
push('old, too late', [$old, $new]); // 3. the old one is taken away
push('new, again', [$new]);
push('never known', [$next]);
serve([$new], 4, 2);
echo implode("\n", $service->notes()), "\n";
foreach (MPQueue\Queue::failed('q') as $record) {
    echo $record['job'], ' ', preg_match('/old, too late|never known/', $record['payload'], $found), " $found[0]: ", $record['causes'][0]['end'], "\n";
}
--EXPECTREGEX--
old, first
old, on the way
new
new, again
job 1 (old, too late: undecodable
job 1 never known: undecodable|never known: undecodable
job 1 old, too late: undecodable)
