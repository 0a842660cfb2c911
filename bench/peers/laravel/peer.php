<?php
/* A Laravel application with one job class, made with dispatch() and run by "artisan queue:work". */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    private const BEST = 'best';

    public function install(): void
    {
        self::apt('redis-server', 'php-redis', 'composer');
        $this->copy_code();
        $this->composer('laravel/framework');
        self::run(['mkdir', '-p', "$this->build/bootstrap/cache", "$this->build/storage/logs", "$this->build/storage/framework/cache"]);
    }

    public function version(): string
    {
        return $this->composer_version('laravel/framework');
    }

    public function rows(): array
    {
        return [
            'default' => 'queue:work redis with its defaults, phpredis, cache in files',
            self::BEST => 'block_for 5, cache in memory (no queue:restart then), --quiet, opcache for the command line',
        ];
    }

    public function environment(string $row): array
    {
        return $row === self::BEST ? ['PEERS_BLOCK_FOR' => '5', 'PEERS_CACHE' => 'array'] : [];
    }

    public function share(string $row): float
    {
        return 0.5;
    }

    public function producer(string $row): array
    {
        return [...self::php($row), "$this->build/produce.php"];
    }

    public function workers(string $row, int $count): array
    {
        $quiet = $row === self::BEST ? ['--quiet'] : [];
        return array_fill(0, $count, [...self::php($row), "$this->build/artisan", 'queue:work', 'redis', ...$quiet]);
    }

    public function waiting(): array
    {
        return [['LLEN', 'queues:default'], ['ZCARD', 'queues:default:delayed'], ['ZCARD', 'queues:default:reserved']];
    }

    private static function php(string $row): array
    {
        return [PHP_BINARY, ...($row === self::BEST ? ['-d', 'opcache.enable_cli=1'] : [])];
    }
});
