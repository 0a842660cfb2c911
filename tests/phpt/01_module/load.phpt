--TEST--
The module loads and says what it is
--INI--
pcre.jit=0
--FILE--
<?php
$module = new ReflectionExtension('mpqueue');
var_dump($module->getVersion() === phpversion('mpqueue'), $module->getVersion());
foreach ($module->getClassNames() as $name) {
    echo $name, "\n";
}
ob_start();
$module->info();
echo preg_replace('/\d+(\.\d+)+(-\w+)?/', 'N.N', ob_get_clean());
?>
--EXPECT--
bool(true)
string(5) "0.1.0"
MPQueue\Exception\QueueException
MPQueue\Exception\ConfigException
MPQueue\Exception\ConnectionException
MPQueue\Exception\ConnectionTimeoutException
MPQueue\Exception\BrokerException
MPQueue\Exception\PayloadException
MPQueue\Exception\ServiceException
MPQueue\Exception\TimeoutException
MPQueue\Exception\ExitException
MPQueue\Exception\FatalErrorException
MPQueue\Exception\OutOfMemoryException
MPQueue\Exception\WorkerDiedException
MPQueue\Exception\LostException
MPQueue\Exception\UndecodableJobException
MPQueue\Driver\Driver
MPQueue\Driver\Redis
MPQueue\Driver\Sqlite
MPQueue\Driver\Memory
MPQueue\Config
MPQueue\Job
MPQueue\Queue

mpqueue

mpqueue => enabled
Version => N.N
Running services => supported (CLI)
Redis => hiredis N.N
SQLite => N.N
libevent => N.N
