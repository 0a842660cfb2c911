--TEST--
basics.signing_keys: what is accepted, and that a key is in no message, no dump and no trace
--INI--
zend.exception_ignore_args=0
zend.exception_string_param_max_len=1000
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';
const KEY = 'hunter2-hunter2-hunter2-hunter2-';
function config(mixed $keys, array $more = []): array
{
    return ['basics' => ['driver' => new MPQueue\Driver\Memory, 'signing_keys' => $keys] + $more, 'queue' => [['name' => 'q']]];
}
function set(mixed $keys, array $more = []): void
{
    attempt(function () use ($keys, $more) {
        MPQueue\Config::set(config($keys, $more));
        return true;
    });
}
ob_start();
set([KEY]);
set([KEY, KEY . 'b', str_repeat("\0\xff", 5000)]);
set([new SensitiveParameterValue(KEY)]);
set(null);
set(KEY);
set([]);
set([KEY, 'hunter2']);
set(['first' => KEY]);
set([1 => KEY]);
set([KEY, false]);
set([[KEY]]);
set(array_fill(0, 17, KEY));
set([new SensitiveParameterValue('hunter2')]);
set([new ArrayObject([KEY])]);
set([KEY], ['singing_keys' => 1]);
$messages = ob_get_clean();
echo $messages;

$keys = [KEY, KEY . 'more'];
$keys[] = &$keys[1];
$given = config($keys);
$copy = unserialize(serialize($keys));
MPQueue\Config::set($given);
var_dump($keys === $copy, $given['basics']['signing_keys'] === $copy);
$got = MPQueue\Config::get();
echo implode(' ', array_map('get_class', $got['basics']['signing_keys'])), ' ', count($got['basics']['signing_keys']), "\n";
var_dump($got['basics']['signing_keys'][1]->getValue() === KEY . 'more');
MPQueue\Config::set($got);
var_dump(MPQueue\Config::get()['basics']['signing_keys'][0]->getValue() === KEY);

ob_start();
var_dump(MPQueue\Config::get());
print_r(MPQueue\Config::get());
echo json_encode(MPQueue\Config::get()), print_r((array) MPQueue\Config::get(), true);
foreach ([fn () => MPQueue\Config::set(config([KEY], ['nope' => 1])), fn () => MPQueue\Config::set(config(KEY)),
    fn () => serialize(MPQueue\Config::get()), fn () => var_export(MPQueue\Config::get()['basics']['signing_keys']),
    fn () => mpqueue_run(config([KEY], ['name' => 'x', 'nope' => 1]))] as $wrong) {
    try {
        $wrong();
        echo 'did not throw';
    } catch (Exception $e) {
        echo $e, print_r($e->getTrace(), true);
    }
}
try {
    MPQueue\Queue::push('q', 'no such job');
} catch (MPQueue\Exception\PayloadException $e) {
    var_dump($e);
}
$all = ob_get_clean();
echo substr_count($all, 'hunter2'), ' times in ', strlen($all) > 3000 ? 'much' : 'little', " text\n";
--EXPECT--
returned true
returned true
returned true
returned true
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.signing_keys must be a list of 1 to 16 keys, strings of at least 32 bytes
MPQueue\Exception\ConfigException: basics.singing_keys is not a known setting (did you mean signing_keys?)
bool(true)
bool(true)
SensitiveParameterValue SensitiveParameterValue SensitiveParameterValue 3
bool(true)
bool(true)
0 times in much text
