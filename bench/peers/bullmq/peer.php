<?php
/* BullMQ on Node. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public function install(): void
    {
        self::apt('redis-server', 'php-redis');
        $this->copy_code();
        $this->npm('bullmq');
    }

    public function version(): string
    {
        return $this->npm_version('bullmq');
    }

    public function rows(): array
    {
        return [
            'default' => 'defaults: --workers processes with one Worker, concurrency 1',
            'best' => 'concurrency 50, removeOnComplete',
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
        return [['LLEN', 'bull:jobs:wait'], ['LLEN', 'bull:jobs:active'], ['LLEN', 'bull:jobs:paused'], ['ZCARD', 'bull:jobs:delayed'],
            ['ZCARD', 'bull:jobs:prioritized'], ['ZCARD', 'bull:jobs:failed']];
    }
});
