--TEST--
Stores that can't be reached or refuse: an exception in bounded time, naming server, operation and cause
--FILE--
<?php
use MPQueue\{Config, Driver, Queue};

require __DIR__ . '/../../support/php/produce.inc';

function with(MPQueue\Driver\Driver $driver, ?callable $do = null): void
{
    Config::set(['basics' => ['driver' => $driver], 'queue' => [['name' => 'q']]]);
    $began = hrtime(true);
    attempt($do ?? fn () => Queue::push('q', 'strlen'));
    $took = (hrtime(true) - $began) / 1e9;
    echo $took < 0.9 ? '' : "took $took s\n";
}

// A port nobody listens on.
$server = stream_socket_server('tcp://127.0.0.1:0');
$port = (int)explode(':', stream_socket_get_name($server, false))[1];
fclose($server);
ob_start(fn ($text) => str_replace((string)$port, '<port>', $text));
with(new Driver\Redis('127.0.0.1', $port, connect_timeout: 0.2, read_timeout: 0.2));
with(new Driver\Redis('/nonexistent/redis.sock'));
with(new Driver\Redis('/nonexistent/redis.sock'), fn () => Queue::counts('q'));
with(new Driver\Redis('/nonexistent/redis.sock'), fn () => Queue::failed('q'));
with(new Driver\Redis('/nonexistent/redis.sock'), fn () => Queue::clear('q'));
with(new Driver\Redis('/nonexistent/redis.sock'), fn () => Queue::pushMany('q', ['strlen', 'trim']));
ob_end_flush();

// A server that accepts and says nothing.
$path = sys_get_temp_dir() . '/' . getmypid() . '.sock';
$server = stream_socket_server("unix://$path");
ob_start(fn ($text) => str_replace($path, '<silent>', $text));
with(new Driver\Redis($path, connect_timeout: 0.2, read_timeout: 0.3));
with(new Driver\Redis($path, connect_timeout: 0.2, read_timeout: 0.3), fn () => Queue::counts('q'));
ob_end_flush();

// One that refuses.
ob_start(fn ($text) => str_replace(getenv('MPQUEUE_TEST_REDIS_SOCKET'), '<redis>', $text));
with(redis_driver(password: 'wrong', user: 'nobody'));
with(redis_driver(database: 99));
redis('SET', redis_key('q', 'ready'), 'no list');
with(redis_driver());
redis('DEL', redis_key('q', 'ready'));
echo strlen(Queue::push('q', 'strlen')), "\n";
ob_end_flush();

$file = sys_get_temp_dir() . '/' . getmypid() . '.db';
mkdir($file);
ob_start(fn ($text) => str_replace($file, '<directory>', $text));
with(new Driver\Sqlite($file));
ob_end_flush();
?>
--EXPECT--
MPQueue\Exception\ConnectionException: redis 127.0.0.1:<port>/0: can't connect: Connection refused
MPQueue\Exception\ConnectionException: redis /nonexistent/redis.sock/0: can't connect: No such file or directory
MPQueue\Exception\ConnectionException: redis /nonexistent/redis.sock/0: can't connect: No such file or directory
MPQueue\Exception\ConnectionException: redis /nonexistent/redis.sock/0: can't connect: No such file or directory
MPQueue\Exception\ConnectionException: redis /nonexistent/redis.sock/0: can't connect: No such file or directory
MPQueue\Exception\ConnectionException: redis /nonexistent/redis.sock/0: can't connect: No such file or directory
MPQueue\Exception\ConnectionTimeoutException: redis <silent>/0: version: the server did not answer in time
MPQueue\Exception\ConnectionTimeoutException: redis <silent>/0: version: the server did not answer in time
MPQueue\Exception\BrokerException: redis <redis>/0: authentication: WRONGPASS invalid username-password pair or user is disabled.
MPQueue\Exception\BrokerException: redis <redis>/99: database 99: ERR DB index is out of range
MPQueue\Exception\BrokerException: redis <redis>/0: push: WRONGTYPE Operation against a key holding the wrong kind of value
32
MPQueue\Exception\ConfigException: sqlite <directory>: the path is a directory; it has to name a file
