<?php
/* No queue at all: what one connection can put into this Redis, 64 commands at a time. The reference of the table. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public array $figures = ['push'];

    public function install(): void
    {
        self::apt('redis-server', 'redis-tools', 'php-redis');
    }

    public function version(): string
    {
        preg_match('/\d+(\.\d+)+/', self::run(['redis-benchmark', '--version']), $found);
        return $found[0];
    }

    public function rows(): array
    {
        return ['-P 64' => 'redis-benchmark -P 64 -c 1 -d 200 -t rpush -n 400000'];
    }

    public function own(string $what, Server $redis, int $jobs): ?float
    {
        $lines = explode("\n", self::run(['redis-benchmark', '-s', $redis->socket, '-P', '64', '-c', '1', '-d', '200', '-t', 'rpush', '-n',
            '400000', '--csv']));
        return (float) trim(explode(',', end($lines))[1], '"');
    }

    public function producer(string $row): array
    {
        return [];
    }

    public function workers(string $row, int $count): array
    {
        return [];
    }

    public function waiting(): array
    {
        return [];
    }
});
