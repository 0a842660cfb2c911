<?php

declare(strict_types=1);

namespace Bench;

use Chaos\{Node, RedisServer, Store, Workplace};
use MPQueue\{Config, Queue};

/** A store of its own, and what is run on it; gone when it is closed. */
final class Stage
{
    private const ENVELOPE = 200;
    /** Makes the envelope of a no-op job as long as the values of redis-benchmark, or as near to it as can be. */
    private static string $text = '';
    public readonly Workplace $place;
    public ?RedisServer $redis = null;
    private array $store;
    /** What this process can push to: the queue "jobs", one to look at samples in, and those of the runs. */
    private array $queues;
    private int $runs = 0;

    /** `options` are those of the Redis server. */
    public static function redis(array $options = []): self
    {
        $stage = new self();
        $stage->redis = new RedisServer($stage->place, $options + ['appendonly' => 'no', 'auto-aof-rewrite-percentage' => '0']);
        $stage->redis->start();
        return $stage->on(['socket' => $stage->redis->socket]);
    }

    public static function sqlite(bool $durable = false): self
    {
        $stage = new self();
        return $stage->on(['path' => "{$stage->place->dir}/queues.db", 'durable' => $durable]);
    }

    private function __construct()
    {
        $this->place = new Workplace('bench');
        $this->queues = ['jobs' => self::queue(), 'sample' => self::queue('sample')];
    }

    /** From now on this process pushes there. */
    private function on(array $store): self
    {
        $this->store = $store;
        $this->select();
        return $this;
    }

    /** This process pushes to it, when it has pushed to another stage meanwhile. */
    public function select(): void
    {
        Config::set(Store::config(['store' => $this->store, 'basics' => [], 'log' => $this->place->dir, 'queues' => array_values($this->queues)]));
    }

    public static function queue(string $name = 'jobs', int $workers = 2): array
    {
        return ['name' => $name, 'worker_number' => $workers];
    }

    /** Services for jobs with numbers below `numbers`; `queues` as in the configuration. Start them when it is time. */
    public function run(int $numbers, array $queues, int $services = 1, array $basics = [], array $require = []): Run
    {
        $this->queues = array_column($queues, null, 'name') + $this->queues;
        $this->select();
        $record = "{$this->place->dir}/record" . ++$this->runs;
        mkdir($record);
        $nodes = [];
        for ($i = 1; $i <= $services; $i++) {
            $nodes[] = new Node($this->place, "bench$this->runs-$i", [
                'store' => $this->store, 'level' => 'notice', 'require' => [__DIR__ . '/jobs.php', ...$require],
                'basics' => $basics + ['worker_start_handle' => 'Bench\Tally::begin'], 'queues' => $queues,
            ], ['BENCH_RECORD' => $record, 'BENCH_NUMBERS' => (string) $numbers]);
        }
        return new Run($nodes, $numbers, $record, array_column($queues, 'name'));
    }

    /** Stores jobs with the numbers from `from` on; how many a second. */
    public function fill(int $count, int $from = 0, string $queue = 'jobs', float $delay = 0): float
    {
        $began = hrtime(true);
        for ($to = $from + $count; $from < $to; $from += 1000) {
            $jobs = [];
            for ($i = $from, $end = min($from + 1000, $to); $i < $end; $i++) {
                $jobs[] = new Nothing($i, self::$text);
            }
            Queue::pushMany($queue, $jobs, $delay);
        }
        return $count / self::seconds_since($began);
    }

    public static function calibrate(): void
    {
        $stage = self::redis();
        self::$text = str_repeat('x', max(0, self::ENVELOPE - strlen($stage->envelope())));
        $stage->close();
    }

    public static function nothing(int $number): Nothing
    {
        return new Nothing($number, self::$text);
    }

    /** An envelope as it is stored. */
    public function envelope(): string
    {
        Queue::push('sample', self::nothing(1_000_000));
        $envelope = $this->redis->call('LINDEX', 'mpq:{sample}:ready', '0');
        Queue::clear('sample');
        return $envelope ?? throw new \RuntimeException('the envelope of a waiting job was not found where it should be');
    }

    /** Seconds of CPU. */
    public function redis_cpu(): float
    {
        preg_match_all('/^used_cpu_(?:sys|user):([\d.]+)/m', $this->redis->call('INFO', 'cpu'), $found);
        return array_sum($found[1]);
    }

    /** What the server does with no queue at all: values of 200 bytes a second, 64 in a pipeline of one client. */
    public function limit(int $count): float
    {
        exec("redis-benchmark -s {$this->redis->socket} -n $count -P 64 -c 1 -d 200 -t rpush --csv 2>&1", $lines, $status);
        if ($status !== 0 || !preg_match('/^"RPUSH[^"]*","([\d.]+)"/m', implode("\n", $lines), $found)) {
            throw new \RuntimeException("redis-benchmark failed:\n" . implode("\n", $lines));
        }
        $this->redis->call('DEL', 'mylist');
        return (float) $found[1];
    }

    public static function seconds_since(int $began): float
    {
        return (hrtime(true) - $began) / 1e9;
    }

    public function close(): void
    {
        if ($this->redis) {
            $this->redis->kill();
        }
        $this->place->cleanUp();
    }
}
