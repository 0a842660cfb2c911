<?php
/* Ours, through its PHP functions, with its default settings. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    private const TAKEN = <<<'LUA'
        local n = 0
        for _, key in ipairs(redis.call('KEYS', 'mpq:{jobs}:run:*')) do
            n = n + redis.call('HLEN', key) - redis.call('HEXISTS', key, '_meta')
        end
        for _, key in ipairs(redis.call('KEYS', 'mpq:{jobs}:stage:*')) do
            n = n + redis.call('LLEN', key)
        end
        return n
        LUA;

    public function install(): void
    {
        self::apt('redis-server', 'php-redis');
        is_file($this->extension()) || self::run([dirname(__DIR__, 3) . '/scripts/build-ext', dirname(__DIR__, 3) . '/build/ext']);
    }

    public function version(): string
    {
        return self::run([...$this->php(), '-r', 'echo phpversion("mpqueue");']);
    }

    public function rows(): array
    {
        return ['default' => 'defaults; one service with a queue of --workers workers'];
    }

    public function share(string $row): float
    {
        return 15;
    }

    /* The workers of one service are told apart by their process ids. */
    public function environment(string $row): array
    {
        return ['PEERS_WORKER' => ''];
    }

    public function producer(string $row): array
    {
        return [...$this->php(), "$this->code/produce.php"];
    }

    public function workers(string $row, int $count): array
    {
        return [[...$this->php(), "$this->code/serve.php", (string) $count]];
    }

    public function waiting(): array
    {
        return [['LLEN', 'mpq:{jobs}:ready'], ['ZCARD', 'mpq:{jobs}:delayed'], ['HLEN', 'mpq:{jobs}:failed'], ['EVAL', self::TAKEN, '0']];
    }

    private function extension(): string
    {
        return dirname(__DIR__, 3) . '/build/ext/modules/mpqueue.so';
    }

    private function php(): array
    {
        return [PHP_BINARY, '-d', 'extension=' . $this->extension()];
    }
});
