--TEST--
Config and Queue have no instances
--FILE--
<?php
foreach (['MPQueue\Config', 'MPQueue\Queue'] as $class) {
    try {
        new $class;
    } catch (Error $e) {
        echo $e->getMessage(), "\n";
    }
    try {
        serialize((new ReflectionClass($class))->newInstanceWithoutConstructor());
    } catch (Exception $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
?>
--EXPECT--
Call to private MPQueue\Config::__construct() from global scope
Exception: Serialization of 'MPQueue\Config' is not allowed
Call to private MPQueue\Queue::__construct() from global scope
Exception: Serialization of 'MPQueue\Queue' is not allowed
