--TEST--
A password is in no dump, no message, no stack trace, and drivers can't be serialized
--FILE--
<?php
use MPQueue\Driver\Redis;

$drivers = [new Redis('h', password: 'hunter2', user: 'u'), new Redis('redis://u:hunter2@h/1')];
ob_start();
foreach ($drivers as $driver) {
    var_dump($driver);
    print_r($driver);
    var_export($driver);
    echo json_encode($driver), print_r((array)$driver, true), print_r(get_object_vars($driver), true);
    foreach ($driver as $property) {
        print_r($property);
    }
    print_r(clone $driver);
    foreach ([fn () => serialize($driver), fn () => new Redis('redis://u:hunter2@h:99999'), fn () => new Redis('h', 0, 'hunter2'),
        fn () => new Redis('redis://u:hunter2@h/1?nope=1'), fn () => new Redis('h', 1, "hunter2\0")] as $wrong) {
        try {
            $wrong();
            echo 'did not throw';
        } catch (Exception $e) {
            echo $e, print_r($e->getTrace(), true);
        }
    }
    MPQueue\Config::set(['basics' => ['driver' => new Redis('127.0.0.1', 1, 'hunter2', connect_timeout: 0.2)], 'queue' => [['name' => 'q']]]);
    try {
        MPQueue\Queue::push('q', 'strlen');
        echo 'did not throw';
    } catch (MPQueue\Exception\ConnectionException $e) {
        echo $e;
    }
}
$all = ob_get_clean();
echo substr_count($all, 'hunter2'), ' times in ', strlen($all) > 3000 ? 'much' : 'little', " text\n";
echo str_contains($all, '(hidden)') ? "marked as hidden\n" : "not marked\n";
echo str_contains($all, 'did not throw') ? "something did not throw\n" : "all threw\n";
echo substr_count($all, "Serialization of 'MPQueue\\Driver\\Redis' is not allowed") > 1 ? "not serializable\n" : "serializable\n";
?>
--EXPECT--
0 times in much text
marked as hidden
all threw
not serializable
