<?php
/* phpredis and lists, no engine: what PHP's loop and the round trips cost, with as little as never loses a job. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public function install(): void
    {
        self::apt('redis-server', 'php-redis');
    }

    public function version(): string
    {
        return 'phpredis ' . phpversion('redis');
    }

    public function rows(): array
    {
        return [
            'BLMOVE + LREM' => 'each worker moves a job to a list of its own and removes it after its run; no time limits, no retries, no revival',
            'Lua of 16' => 'the same, but one script settles 16 jobs and takes 16; BLMOVE only waits for the first of an empty queue',
        ];
    }

    public function share(string $row): float
    {
        return $row === 'Lua of 16' ? 10 : 2;
    }

    public function producer(string $row): array
    {
        return [PHP_BINARY, "$this->code/produce.php"];
    }

    public function workers(string $row, int $count): array
    {
        return array_fill(0, $count, [PHP_BINARY, "$this->code/work.php"]);
    }

    public function waiting(): array
    {
        return [['EVAL', "local n = 0 for _, key in ipairs(redis.call('KEYS', 'jobs*')) do n = n + redis.call('LLEN', key) end return n", '0']];
    }
});
