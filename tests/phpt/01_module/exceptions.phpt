--TEST--
One base class for all exceptions, a RuntimeException
--FILE--
<?php
foreach ((new ReflectionExtension('mpqueue'))->getClasses() as $class) {
    if ($class->isSubclassOf('Throwable')) {
        echo $class->getShortName(), ' extends ', $class->getParentClass()->name, "\n";
    }
}
try {
    throw new MPQueue\Exception\TimeoutException('late', 3, new LogicException('why'));
} catch (MPQueue\Exception\QueueException $e) {
    echo $e->getMessage(), ' ', $e->getCode(), ' ', $e->getPrevious()->getMessage(), "\n";
}
?>
--EXPECT--
QueueException extends RuntimeException
ConfigException extends MPQueue\Exception\QueueException
ConnectionException extends MPQueue\Exception\QueueException
ConnectionTimeoutException extends MPQueue\Exception\ConnectionException
BrokerException extends MPQueue\Exception\QueueException
PayloadException extends MPQueue\Exception\QueueException
ServiceException extends MPQueue\Exception\QueueException
TimeoutException extends MPQueue\Exception\QueueException
ExitException extends MPQueue\Exception\QueueException
FatalErrorException extends MPQueue\Exception\QueueException
OutOfMemoryException extends MPQueue\Exception\QueueException
WorkerDiedException extends MPQueue\Exception\QueueException
LostException extends MPQueue\Exception\QueueException
UndecodableJobException extends MPQueue\Exception\QueueException
late 3 why
