--TEST--
Every form of a value that is accepted: numeric strings, fractions, names and numbers of levels, callables
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';

enum Level: int { case Debug = 100; case Odd = 150; }
enum Plain { case Debug; }
class Handlers
{
    static function on() {}
    function method() {}
    function __invoke() {}
    private function hidden() {}
}

function set(string $section, string $key, mixed $value): void
{
    $config = ['basics' => ['driver' => new MPQueue\Driver\Memory], 'log' => [], 'queue' => [['name' => 'q']]];
    if ($section === 'queue') {
        $config['queue'][0][$key] = $value;
    } else {
        $config[$section][$key] = $value;
    }
    try {
        MPQueue\Config::set($config);
        echo "ok\n";
    } catch (MPQueue\Exception\ConfigException $e) {
        echo $e->getMessage(), "\n";
    }
}

foreach ([0, 0.0, '0', ' 7', '1e3', 4294967, 4294967.0, null, '', true, NAN, '7 s', '0x10', [], '-0'] as $value) {
    set('queue', 'timeout', $value);
}
echo "--\n";
foreach ([true, 0, '1', 2, 'on'] as $value) {
    set('queue', 'timeout_retry', $value);
}
echo "--\n";
foreach ([100, '250', 'Error', 'EMERGENCY', Level::Debug, Level::Odd, Plain::Debug, 201, 0] as $value) {
    set('log', 'level', $value);
}
echo "--\n";
$o = new Handlers;
foreach (['strlen', '\Ns\later', 'Handlers::on', 'Later::on', ['Later', 'on'], [$o, 'method'], $o, fn () => 1, strlen(...),
    'über', '', null, [$o, 'nothing'], [$o, 'hidden'], ['Later'], ['a b', 'on'], ['Later', 5], 'a-b', 12] as $value) {
    set('queue', 'fail_handle', $value);
}
echo "--\n";
foreach ([1, 2, '2', 0, 'grab', MPQueue\Config::MODE_GRAB] as $value) {
    set('queue', 'model', $value);
}
echo "--\n";
foreach (['a', 'A-1_b.c', '.a', '..', 'a/b', str_repeat('n', 64), str_repeat('n', 65), '名'] as $value) {
    set('basics', 'name', $value);
}
echo "--\n";
foreach (['邮件', 'a b', str_repeat('q', 128), str_repeat('q', 129), "a\n", '{a}', 5] as $value) {
    set('queue', 'name', $value);
}
?>
--EXPECT--
ok
ok
ok
ok
ok
ok
ok
ok
queue[0].timeout must be a number of seconds >= 0, got ""
queue[0].timeout must be a number of seconds >= 0, got true
queue[0].timeout must be a number of seconds >= 0, got NAN
queue[0].timeout must be a number of seconds >= 0, got "7 s"
queue[0].timeout must be a number of seconds >= 0, got "0x10"
queue[0].timeout must be a number of seconds >= 0, got an array of 0
ok
--
ok
ok
ok
queue[0].timeout_retry must be true or false, got 2
queue[0].timeout_retry must be true or false, got "on"
--
ok
ok
ok
ok
ok
log.level must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog, got an object of class Level
log.level must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog, got an object of class Plain
log.level must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog, got 201
log.level must be debug, info, notice, warning, error, critical, alert or emergency, or such a level's number in Monolog, got 0
--
ok
ok
ok
ok
ok
ok
ok
ok
ok
ok
ok
ok
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 2
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 2
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 1
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 2
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got an array of 2
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got "a-b"
queue[0].fail_handle must be a callable: a function's name, "A::b", [class, method], [object, method] or a closure, got 12
--
ok
ok
ok
queue[0].model must be MPQueue\Config::MODE_DISTRIBUTE (1) or MPQueue\Config::MODE_GRAB (2), got 0
queue[0].model must be MPQueue\Config::MODE_DISTRIBUTE (1) or MPQueue\Config::MODE_GRAB (2), got "grab"
ok
--
ok
ok
basics.name must not begin with a dot, got ".a"
basics.name must not begin with a dot, got ".."
basics.name must be 1 to 64 characters of A-Z a-z 0-9 . _ -, got "a/b"
ok
basics.name must be 1 to 64 characters of A-Z a-z 0-9 . _ -, got "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn..."
basics.name must be 1 to 64 characters of A-Z a-z 0-9 . _ -, got "名"
--
ok
ok
ok
queue[0].name must be 1 to 128 bytes long, got "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq..."
queue[0].name must not contain control characters, got "a\x0A"
queue[0].name must not contain { or }, got "{a}"
queue[0].name must be a string, got 5
