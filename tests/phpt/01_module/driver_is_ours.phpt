--TEST--
Nobody else implements MPQueue\Driver\Driver
--FILE--
<?php
interface Extended extends MPQueue\Driver\Driver
{
}
echo "an interface may extend it\n";
eval('class Own implements MPQueue\Driver\Driver {}');
echo "not reached\n";
?>
--EXPECTF--
an interface may extend it

Fatal error: Class Own can't implement MPQueue\Driver\Driver: a driver is a MPQueue\Driver\Redis, MPQueue\Driver\Sqlite or MPQueue\Driver\Memory object in %s on line %d
