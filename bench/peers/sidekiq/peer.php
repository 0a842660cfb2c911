<?php
/* Debian's Sidekiq. It takes a job out of Redis before it runs: a crash loses the job. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Peer {
    public function install(): void
    {
        self::apt('redis-server', 'php-redis', 'ruby-sidekiq');
    }

    public function version(): string
    {
        return preg_replace('/[+-].*/', '', self::apt_version('ruby-sidekiq'));
    }

    public function rows(): array
    {
        return [
            'default' => 'defaults: 10 threads in each of --workers processes, a line of log for each job; loses a job on a crash',
            'best' => 'the same with the log at WARN; loses a job on a crash',
        ];
    }

    public function producer(string $row): array
    {
        return ['ruby', "$this->code/produce.rb"];
    }

    public function workers(string $row, int $count): array
    {
        return array_fill(0, $count, ['sidekiq', '-r', "$this->code/noop.rb"]);
    }

    public function waiting(): array
    {
        return [['LLEN', 'queue:default'], ['ZCARD', 'schedule'], ['ZCARD', 'retry'], ['ZCARD', 'dead']];
    }
});
