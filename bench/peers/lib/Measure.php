<?php
final class Failed extends RuntimeException
{
}

/* One figure of one row of one peer, once, on a Redis of its own. */
final class Measure
{
    private Server $redis;
    private string $record;
    private string $log;

    public function __construct(private Peer $peer, private string $row, private int $workers, private string $directory)
    {
        mkdir($directory, 0700);
        $this->redis = new Server($directory);
        $this->record = "$directory/ran";
        $this->log = "$directory/log";
        touch($this->record);
    }

    /* Nothing of it is left: not the processes, not the directory. */
    public function end(): void
    {
        Child::stop_all();
        exec('rm -rf ' . escapeshellarg($this->directory));
    }

    /* Returns ['values' => name => value, 'jobs' => how many, 'lost' => what is wrong with their number, or null]. */
    public function figure(string $what, int $jobs): array
    {
        $own = $this->peer->own($what, $this->redis, $jobs);
        if ($own !== null) {
            return ['values' => [$what => $own], 'jobs' => $jobs, 'lost' => null];
        }
        return match ($what) {
            'drain' => $this->drain(max(1, (int) ($jobs * $this->peer->share($this->row)))),
            'push' => $this->push('one', 'push', min($jobs, 20000)),
            'bulk' => $this->push('bulk', 'bulk', $jobs),
            'latency' => $this->latency(max(50, min(300, intdiv($jobs, 20)))),
        };
    }

    private function drain(int $jobs): array
    {
        $this->produce(in_array('bulk', $this->peer->figures) ? 'bulk' : 'one', 0, $jobs);
        $workers = $this->start($jobs - min(500, intdiv($jobs, 4)));
        $this->await($jobs, $workers);
        Child::stop(...$workers);
        $ran = $this->ran();
        return ['values' => ['drain' => self::rate($ran)], 'jobs' => $jobs, 'lost' => $this->lost($ran, $jobs),
            'worked' => count(array_unique(array_column($ran, 'worker')))];
    }

    private function push(string $how, string $what, int $jobs): array
    {
        $seconds = (float) $this->produce($how, 0, $jobs);
        $waiting = $this->left();
        return ['values' => [$what => $jobs / $seconds], 'jobs' => $jobs,
            'lost' => $waiting === $jobs ? null : "$waiting of $jobs are in the queue"];
    }

    /* Twenty jobs wake the workers up, the first twenty of those behind them the producer: its connection is open then. */
    private function latency(int $jobs): array
    {
        $workers = $this->start(0);
        $this->produce('paced', 0, 20);
        $this->await(20, $workers);
        usleep(1_000_000);
        $times = array_map('intval', explode(' ', trim($this->produce('paced', 20, $jobs + 20))));
        $this->await($jobs + 40, $workers);
        Child::stop(...$workers);
        $ran = $this->ran();
        $measured = array_filter($ran, fn (array $job) => $job['id'] >= 40);
        $waits = fn (int $which) => array_map(fn (array $job) => ($job['at'] - $times[2 * ($job['id'] - 20) + $which]) / 1e6, $measured);
        return ['values' => self::percentiles('latency', $waits(0)) + self::percentiles('latency after push', $waits(1)), 'jobs' => $jobs,
            'lost' => $this->lost($ran, $jobs + 40)];
    }

    private static function percentiles(string $what, array $waits): array
    {
        sort($waits);
        return ["$what p50" => $waits[intdiv(count($waits), 2)], "$what p99" => $waits[intdiv(count($waits) * 99, 100)]];
    }

    /* The last line that the producer prints. */
    private function produce(string $how, int $first, int $count): string
    {
        $log = "$this->directory/produced-$first";
        $producer = new Child([...$this->peer->producer($this->row), $how, $first, $count], $log, $this->environment(PHP_INT_MAX));
        while ($producer->running()) {
            usleep(2000);
        }
        $line = $producer->last_line();
        Child::stop($producer);
        if (!preg_match('/^[\d. e-]+$/', $line)) {
            throw new Failed('the producer says: ' . $producer->complaint());
        }
        return $line;
    }

    private function start(int $tail): array
    {
        $children = [];
        foreach ($this->peer->workers($this->row, $this->workers) as $i => $command) {
            $environment = $this->peer->environment($this->row) + ['PEERS_WORKER' => (string) ($i + 1)] + $this->environment($tail);
            $children[] = new Child($command, "$this->log-$i", $environment, $this->directory);
        }
        return $children;
    }

    private function environment(int $tail): array
    {
        return $this->peer->environment($this->row) + ['PEERS_SOCKET' => $this->redis->socket, 'PEERS_RECORD' => $this->record,
            'PEERS_TAIL' => (string) $tail, 'PEERS_ROW' => $this->row, 'PEERS_LIB' => __DIR__, 'PEERS_DIR' => $this->directory];
    }

    /* Until that many jobs have run, or 30 s pass without one. A worker that got none of the last jobs may have notes in its memory yet. */
    private function await(int $jobs, array $workers): void
    {
        $size = -1;
        while ($size < 24 * $jobs) {
            clearstatcache();
            if (filesize($this->record) > $size) {
                $size = filesize($this->record);
                $seen = hrtime(true);
            }
            if (hrtime(true) - $seen > 1_000_000_000 && $this->left() === 0) {
                return;
            }
            if (hrtime(true) - $seen > 30_000_000_000 || !array_filter($workers, fn (Child $worker) => $worker->running())) {
                Child::stop(...$workers);
                clearstatcache();
                throw new Failed(sprintf('%d of %d jobs ran; the worker says: %s', filesize($this->record) / 24, $jobs, $workers[0]->complaint()));
            }
            usleep(5000);
        }
        usleep(200000);
    }

    private function left(): int
    {
        return $this->redis->sum($this->peer->waiting());
    }

    private function ran(): array
    {
        clearstatcache();
        $numbers = array_values(unpack('P*', file_get_contents($this->record)));
        return array_map(fn (array $three) => array_combine(['id', 'at', 'worker'], $three), array_chunk($numbers, 3));
    }

    /* Each id once, and nothing left. */
    private function lost(array $ran, int $jobs): ?string
    {
        $times = array_count_values(array_column($ran, 'id'));
        $missing = $jobs - count($times);
        $twice = count($ran) - count($times);
        $left = $this->left();
        return $missing || $twice || $left ? "$missing did not run, $twice ran again, $left are left" : null;
    }

    /* Jobs per second from when the last of the workers has begun its first job, so that nobody is charged for booting. */
    private static function rate(array $ran): float
    {
        foreach ($ran as $job) {
            $begun[$job['worker']] = min($begun[$job['worker']] ?? PHP_INT_MAX, $job['at']);
        }
        $from = max($begun);
        $times = array_filter(array_column($ran, 'at'), fn (int $at) => $at >= $from);
        return count($times) < 2 ? 0.0 : (count($times) - 1) * 1e9 / (max($times) - $from);
    }
}
