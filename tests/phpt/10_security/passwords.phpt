--TEST--
A password or signing key is in nothing that a service or a producer writes, whatever fails
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
const SECRET = 'hunter2-&%+?#@:/';
$dsn = rawurlencode(SECRET);

/* A server of this test alone, with a password and an ACL user. */
$dir = sys_get_temp_dir() . '/pw' . getmypid();
mkdir($dir);
file_put_contents("$dir/redis.conf", "port 0\nunixsocket $dir/redis.sock\nunixsocketperm 700\nsave ''\ndir $dir\nlogfile $dir/redis.log\n"
    . 'requirepass "' . SECRET . "\"\nuser worker on >" . SECRET . " ~* &* +@all\n");
$redis = proc_open(['redis-server', "$dir/redis.conf"], [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', '/dev/null', 'w']], $pipes);
register_shutdown_function(function () use ($redis, $dir) { proc_terminate($redis); exec('rm -rf ' . escapeshellarg($dir)); });
for ($i = 0; $i < 500 && !file_exists("$dir/redis.sock"); $i++) {
    usleep(10000);
}

$everything = '';
function keep(string $text): void
{
    global $everything;
    $everything .= "$text\n";
}
function attempt(#[SensitiveParameter] callable $what): bool
{
    try {
        $what();
        return true;
    } catch (Throwable $e) {
        keep("$e" . print_r($e, true) . print_r($e->getTrace(), true));
        ob_start();
        var_dump($e);
        debug_print_backtrace();
        keep(ob_get_clean());
        return false;
    }
}
/** What the kernel shows to everybody of this process and all that it has started. */
function look_at_processes(int $pid): void
{
    foreach (glob('/proc/[0-9]*', GLOB_NOSORT) as $process) {
        keep(strtr((string) @file_get_contents("$process/cmdline"), "\0", ' ') . @file_get_contents("$process/comm"));
    }
}

$drivers = [
    'right password' => "password: SECRET",
    'right user' => "password: SECRET, user: 'worker'",
    'wrong password' => "password: SECRET . 'x'",
    'wrong user' => "password: SECRET, user: 'nobody'",
];
foreach ($drivers as $what => $arguments) {
    $driver = "new MPQueue\\Driver\\Redis('$dir/redis.sock', $arguments, connect_timeout: 0.3, read_timeout: 0.3)";
    try_driver($what, $driver);
}
try_driver('DSN', "new MPQueue\\Driver\\Redis('unix://:$dsn@$dir/redis.sock')");
try_driver('DSN, wrong password', "new MPQueue\\Driver\\Redis('unix://worker:{$dsn}x@$dir/redis.sock')");
try_driver('DSN, unreachable', "new MPQueue\\Driver\\Redis('redis://u:$dsn@127.0.0.1:1/0', connect_timeout: 0.3, read_timeout: 0.3)");
try_driver('unreachable', "new MPQueue\\Driver\\Redis('$dir/nothing.sock', password: SECRET)");
try_driver('unknown host', "new MPQueue\\Driver\\Redis('host.invalid', password: SECRET, connect_timeout: 0.3)");
try_driver('malformed DSN', "new MPQueue\\Driver\\Redis('redis://u:$dsn@127.0.0.1:99999')");
try_driver('DSN with an unknown option', "new MPQueue\\Driver\\Redis('redis://u:$dsn@127.0.0.1?nope=1')");
try_driver('DSN of another kind', "new MPQueue\\Driver\\Redis('rediss://u:$dsn@127.0.0.1')");
try_driver('DSN with the password unescaped', "new MPQueue\\Driver\\Redis('redis://u:' . SECRET . '@127.0.0.1')");
try_driver('password of a wrong type', 'new MPQueue\Driver\Redis(\'h\', 1, [SECRET])');
try_driver('NUL', 'new MPQueue\Driver\Redis(\'h\', 1, SECRET . "\0")');

function try_driver(string $what, #[SensitiveParameter] string $driver): void
{
    static $number = 0;
    $number++;
    $made = attempt(fn () => eval("return $driver;"));
    echo "$what: ", $made ? '' : "no driver\n";
    if (!$made) {
        return;
    }
    $service = new Service(jobs: <<<'PHP'
        if (!defined('SECRET')) define('SECRET', 'hunter2-&%+?#@:/');
        if (!function_exists('fails')) {
            function fails() { throw new RuntimeException('failed', 1, new LogicException(print_r(MPQueue\Config::get(), true))); }
            function dies() { posix_kill(getmypid(), SIGKILL); sleep(1); }
            function pushes() { MPQueue\Queue::counts('unknown'); }
            function traces() { (function () { throw new Exception(implode(' ', array_map('json_encode', (new Exception)->getTrace()))); })(); }
        }
        PHP . "\n# $number", basics: "'driver' => $driver, 'signing_keys' => [str_repeat(SECRET, 2), str_repeat('hunter2', 10)], 'start_timeout' => 1, 'worker_start_handle' => fn () => print_r(MPQueue\\Config::get())", queue: "'fail_number' => 1");
    $pushed = attempt(function () {
        foreach (['fails', 'dies', 'pushes', 'traces'] as $job) {
            MPQueue\Queue::push('q', $job);
        }
    });
    attempt(fn () => MPQueue\Queue::counts('q'));
    attempt(fn () => MPQueue\Queue::failed('q'));
    attempt(fn () => MPQueue\Queue::clear('nope'));
    attempt(fn () => MPQueue\Config::set(['basics' => MPQueue\Config::get()['basics'] + ['wrong' => 1], 'queue' => [['name' => 'q']]]));
    attempt(fn () => keep(serialize(MPQueue\Config::get())));
    keep(print_r(MPQueue\Config::get(), true) . json_encode(MPQueue\Config::get()));
    $service->start('-d', 'zend.exception_ignore_args=0', '-d', 'zend.exception_string_param_max_len=1000');
    if (!$pushed) {
        $service->waitFor(fn () => !$service->isRunning(), 'the service to give up');
    }
    $works = $service->isRunning();
    if ($works && $pushed) {
        $service->waitForFailed(4);
    }
    look_at_processes($service->pid());
    foreach (['worker:status', 'queue:status', 'queue:failed --queue q', 'worker:reload', 'worker:start', 'help', 'queue:clean --queue q', 'worker:stop', 'worker:status'] as $command) {
        keep(implode("\n", $service->console(...explode(' ', $command))));
    }
    $ended = $service->wait();
    foreach (['out', 'err', 'notes'] as $file) {
        keep((string) @file_get_contents("$service->dir/$file"));
    }
    keep($service->log());
    foreach (glob("$service->dir/mpQueue-*") as $file) {
        keep((string) @file_get_contents($file));
    }
    echo $pushed ? 'pushed, ' : 'not pushed, ', $works ? 'ran' : 'did not start', ", ended with $ended\n";
}
foreach ([SECRET, $dsn, 'hunter2', base64_encode(SECRET), addcslashes(SECRET, '/')] as $form) {
    echo substr_count($everything, $form);
}
echo ' times in ', strlen($everything) > 100000 ? 'much' : 'little', " text\n";
foreach (array_slice(preg_grep('/hunter2/', explode("\n", $everything)), 0, 5) as $line) {
    echo substr($line, max(0, strpos($line, 'hunter2') - 200), 300), "\n";
}
--INI--
zend.exception_ignore_args=0
zend.exception_string_param_max_len=1000
--EXPECT--
right password: pushed, ran, ended with 0
right user: pushed, ran, ended with 0
wrong password: not pushed, did not start, ended with 1
wrong user: not pushed, did not start, ended with 1
DSN: pushed, ran, ended with 0
DSN, wrong password: not pushed, did not start, ended with 1
DSN, unreachable: not pushed, did not start, ended with 1
unreachable: not pushed, did not start, ended with 1
unknown host: not pushed, did not start, ended with 1
malformed DSN: no driver
DSN with an unknown option: no driver
DSN of another kind: no driver
DSN with the password unescaped: no driver
password of a wrong type: no driver
NUL: no driver
00000 times in much text
