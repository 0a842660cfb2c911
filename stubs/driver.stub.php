<?php

/** @generate-class-entries */

namespace MPQueue\Driver;

/** Where the queues are kept: for basics.driver. Only the classes below can implement it. */
interface Driver
{
}

/**
 * A Redis server (6.2 or newer) or Valkey.
 *
 * @strict-properties
 * @not-serializable
 */
final class Redis implements Driver
{
    /**
     * Checks the settings; the connection is made by the first push.
     *
     *     new Redis('10.0.0.5', password: 'secret', database: 2)
     *     new Redis('/run/redis/redis.sock')
     *     new Redis('redis://user:secret@10.0.0.5:6380/2?prefix=shop')
     *
     * @param string $host a host name or address, the absolute path of a unix socket, or a DSN: redis:// or unix://.
     *     What the DSN says replaces the other arguments.
     * @param int|null $port 1 to 65535; null = 6379
     * @param string|null $password for AUTH; '' or null = none. Never shown in messages and dumps.
     * @param int|string $database number of the database, 0 or more
     * @param string $prefix begins every key
     * @param string|null $user of the server's ACL; '' or null = none
     * @param float $connect_timeout seconds, 0.001 to 3600
     * @param float $read_timeout seconds for each answer, 0.001 to 3600
     * @throws \MPQueue\Exception\ConfigException an argument is out of range or the DSN is malformed
     */
    public function __construct(#[\SensitiveParameter] string $host = '127.0.0.1', ?int $port = 6379, #[\SensitiveParameter] ?string $password = '', int|string $database = 0, string $prefix = 'mpq', ?string $user = null, float $connect_timeout = 2.0, float $read_timeout = 2.0) {}
}

/**
 * A SQLite file, for queues that are used on one host only.
 *
 * @strict-properties
 * @not-serializable
 */
final class Sqlite implements Driver
{
    /**
     * The file is made by the first push, in a directory that has to exist. All processes that use it need to be able
     * to write to the file and its directory.
     *
     * @param string $path of the file; a relative one is completed with the current directory now
     * @param bool $durable true: each push survives a power cut (slower); false: it survives a crash of any process
     * @param float $timeout seconds to wait for other processes' writes, 0.001 to 3600
     * @throws \MPQueue\Exception\ConfigException an argument is out of range
     */
    public function __construct(string $path, bool $durable = false, float $timeout = 2.0) {}
}

/**
 * This process's memory, for tests: it ends with the process.
 *
 * @strict-properties
 * @not-serializable
 */
final class Memory implements Driver
{
    public function __construct() {}
}
