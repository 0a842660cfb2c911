<?php

/** @generate-class-entries */

namespace MPQueue\Exception;

/** The base of everything that mpqueue throws, arguments of a wrong type (\TypeError, \ValueError) excepted. */
class QueueException extends \RuntimeException
{
}

/** A setting is wrong or missing, or a queue is not configured. The message names each one with its path. */
class ConfigException extends QueueException
{
}

/** The store can't be reached, or the connection broke. Whatever was asked may be asked again. */
class ConnectionException extends QueueException
{
}

/** The store did not answer within connect_timeout + read_timeout. */
class ConnectionTimeoutException extends ConnectionException
{
}

/** The store refused: wrong password, out of memory, read only, disk full. */
class BrokerException extends QueueException
{
}

/** What was pushed is no job, can't be serialized, or is larger than basics.max_payload. */
class PayloadException extends QueueException
{
}

/** The service is running already, is not running, does not answer, or the system refused something it needs. */
class ServiceException extends QueueException
{
}

/** Thrown inside a job at its time limit, and what its failure handler gets. */
class TimeoutException extends QueueException
{
}

/** A failure handler gets this when the job called exit(). Its code is the exit status. */
class ExitException extends QueueException
{
}

/** A failure handler gets this when the job ended in a fatal error. */
class FatalErrorException extends QueueException
{
}

/** A failure handler gets this when the job used more memory than memory_limit of php.ini allows. */
class OutOfMemoryException extends QueueException
{
}

/** A failure handler gets this when the worker process was killed or ended under the job. Its code is the signal or the
 * exit status. */
class WorkerDiedException extends QueueException
{
}

/** A failure handler gets this when the whole service, or its host, was lost under the job. */
class LostException extends QueueException
{
}

/** The stored bytes can't be turned into a job: they are damaged, or their class does not exist in the worker. */
class UndecodableJobException extends QueueException
{
}
