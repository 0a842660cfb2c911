<?php
/* Debian's RQ. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public function install(): void
    {
        self::apt('redis-server', 'php-redis', 'python3-rq');
    }

    public function version(): string
    {
        return preg_replace('/[+-].*/', '', self::apt_version('python3-rq'));
    }

    public function rows(): array
    {
        return [
            'default' => 'defaults: a process is forked for each job',
            'best' => 'SimpleWorker, which runs jobs itself; --quiet',
        ];
    }

    public function share(string $row): float
    {
        return $row === 'default' ? 0.05 : 0.2;
    }

    /* A forked process ends without a chance to write what is in its memory. */
    public function environment(string $row): array
    {
        $paths = ['PYTHONPATH' => "$this->code:$this->code/../lib", 'PYTHONDONTWRITEBYTECODE' => '1'];
        return $row === 'default' ? $paths + ['PEERS_TAIL' => '0'] : $paths;
    }

    public function producer(string $row): array
    {
        return ['/usr/bin/python3', "$this->code/produce_jobs.py"];
    }

    public function workers(string $row, int $count): array
    {
        $best = ['--worker-class', 'rq.SimpleWorker', '--quiet'];
        return array_fill(0, $count, ['/usr/bin/python3', '/usr/bin/rq', 'worker', '--config', 'settings',
            ...($row === 'best' ? $best : [])]);
    }

    public function waiting(): array
    {
        return [['LLEN', 'rq:queue:default'], ['ZCARD', 'rq:wip:default'], ['ZCARD', 'rq:failed:default'], ['ZCARD', 'rq:scheduled:default']];
    }
});
