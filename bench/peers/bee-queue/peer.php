<?php
/* bee-queue on Node. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public function install(): void
    {
        self::apt('redis-server', 'php-redis');
        $this->copy_code();
        $this->npm('bee-queue');
    }

    public function version(): string
    {
        return $this->npm_version('bee-queue');
    }

    public function rows(): array
    {
        return [
            'default' => 'defaults: --workers processes with concurrency 1',
            'best' => 'concurrency 50, removeOnSuccess, no events, no job hashes kept by the producer (getEvents, sendEvents, storeJobs off)',
        ];
    }

    /* V8 takes some thousand jobs to warm up. */
    public function share(string $row): float
    {
        return $row === 'best' ? 3 : 1;
    }

    public function producer(string $row): array
    {
        return ['node', "$this->build/produce.js"];
    }

    public function workers(string $row, int $count): array
    {
        return array_fill(0, $count, ['node', "$this->build/work.js"]);
    }

    public function waiting(): array
    {
        return [['LLEN', 'bq:jobs:waiting'], ['LLEN', 'bq:jobs:active'], ['ZCARD', 'bq:jobs:delayed'], ['SCARD', 'bq:jobs:failed']];
    }
});
