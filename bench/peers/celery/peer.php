<?php
/* Debian's Celery. It has no way to push many at once, and acknowledges a job before it runs: a crash loses the job. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public array $figures = ['drain', 'push', 'latency'];

    public function install(): void
    {
        self::apt('redis-server', 'php-redis', 'python3-celery', 'python3-redis');
    }

    public function version(): string
    {
        return preg_replace('/[+-].*/', '', self::apt_version('python3-celery'));
    }

    public function rows(): array
    {
        return [
            'default' => 'defaults: prefork, one master with --workers processes; loses a job on a crash',
            'best' => '--workers masters that run jobs themselves (--pool solo), no gossip, mingle or heartbeat, log at WARNING, prefetch 100; loses a job on a crash',
        ];
    }

    public function share(string $row): float
    {
        return 0.5;
    }

    /* The processes of one master are told apart by their process ids. */
    public function environment(string $row): array
    {
        return ['PEERS_WORKER' => '', 'PYTHONPATH' => "$this->code:$this->code/../lib", 'PYTHONDONTWRITEBYTECODE' => '1'];
    }

    public function producer(string $row): array
    {
        return ['/usr/bin/python3', "$this->code/produce_jobs.py"];
    }

    public function workers(string $row, int $count): array
    {
        $worker = ['/usr/bin/python3', '-m', 'celery', '-A', 'noop', 'worker'];
        if ($row === 'default') {
            return [[...$worker, '--concurrency', (string) $count]];
        }
        $best = ['--pool', 'solo', '--without-gossip', '--without-mingle', '--without-heartbeat', '--loglevel', 'WARNING',
            '--prefetch-multiplier', '100'];
        return array_map(fn (int $number) => [...$worker, ...$best, '--hostname', "worker$number@%h"], range(1, $count));
    }

    public function waiting(): array
    {
        return [['LLEN', 'celery'], ['HLEN', 'unacked']];
    }
});
