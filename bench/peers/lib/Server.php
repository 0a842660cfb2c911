<?php
/* A Redis of our own for one measurement: a unix socket, no port, nothing kept on disk. */
final class Server
{
    public readonly string $socket;
    private Child $child;

    public function __construct(string $directory)
    {
        $this->socket = "$directory/redis.sock";
        $this->child = new Child(['redis-server', '--port', '0', '--unixsocket', $this->socket, '--save', '', '--appendonly', 'no',
            '--dir', $directory], "$directory/redis.log");
        for ($i = 0; $i < 500 && !$this->answers(); $i++) {
            usleep(10000);
        }
    }

    private function answers(): bool
    {
        return @stream_socket_client("unix://$this->socket") !== false;
    }

    /* The answers of the commands, added up. */
    public function sum(array $commands): int
    {
        $redis = new Redis();
        $redis->connect($this->socket);
        return array_sum(array_map(fn (array $command) => (int) $redis->rawCommand(...$command), $commands));
    }

    public function stop(): void
    {
        Child::stop($this->child);
    }
}
