<?php

declare(strict_types=1);

namespace Bench;

use Chaos\{Node, System};
use MPQueue\Queue;

use function Chaos\wait_for;

/** One or more services at work, until all that they were given is accounted for. */
final class Run
{
    /** Since the last time somebody asked: runs, jobs, lost, twice. */
    public static array $conserved = ['runs' => 0, 'jobs' => 0, 'lost' => 0, 'twice' => 0];
    /** When the jobs began, by their numbers; known after the end. */
    public array $arrivals = [];
    /** How many jobs each worker has run; known after the end. */
    public array $by_worker = [];

    private int $before = 0;
    /** Of all its processes, from the first look at their CPU on. */
    private ?array $pids = null;

    public function __construct(public readonly array $nodes, private int $numbers, private string $record, private array $queues)
    {
        $this->before = $this->done();
    }

    public function start(): self
    {
        foreach ($this->nodes as $node) {
            $node->start();
        }
        foreach ($this->nodes as $node) {
            $node->waitUntilStarted();
        }
        return $this;
    }

    /** The same without waiting until it is ready: for what is measured from the first job on. */
    public function launch(): self
    {
        foreach ($this->nodes as $node) {
            $node->start();
        }
        return $this;
    }

    public function node(): Node
    {
        return $this->nodes[0];
    }

    /** How many jobs were done since this was made. */
    public function done(): int
    {
        return array_sum(array_map(fn ($queue) => Queue::counts($queue)['done'], $this->queues)) - $this->before;
    }

    public function waitFor(int $done, float $every = 0.004): void
    {
        wait_for(fn () => $this->done() >= $done, "$done jobs to be done", 300, $every);
    }

    /** Jobs a second, from the first that is seen done to `until` of them. Each look costs what a job may cost, so it looks
     *  rarely as long as much is left. */
    public function rate(int $until): float
    {
        $first = 0;
        wait_for(function () use (&$first) {
            return ($first = $this->done()) > 0;
        }, 'the first job', 60, 0.001);
        $began = hrtime(true);
        for ($done = $first; $done < $until; $done = $this->done()) {
            $seconds = Stage::seconds_since($began);
            $seconds < 300 || throw new \RuntimeException("only $done of $until jobs are done after $seconds seconds");
            $left = ($until - $done) * $seconds / max(1, $done - $first);
            usleep((int) (1e6 * min(0.05, max(0.001, $left / 4))));
        }
        return ($until - $first) / Stage::seconds_since($began);
    }

    /** Seconds of CPU of all processes of the services so far. */
    public function cpu(): float
    {
        $this->pids ??= array_merge(...array_map(fn ($node) => array_keys(System::members($node->pid())), $this->nodes));
        return array_sum(array_map(self::cpu_ns(...), $this->pids)) / 1e9;
    }

    /** Exact, where the times in /proc/<pid>/stat are in ticks of 10 ms. */
    private static function cpu_ns(int $pid): int
    {
        $ns = 0;
        foreach (glob("/proc/$pid/task/*/schedstat") as $file) {
            $ns += (int) @file_get_contents($file);
        }
        return $ns;
    }

    /**
     * Ends it. Every number must have been run exactly once, apart from those that wait in its queues then, and from
     * `never` that were not stored. Whatever is still held by somebody is lost.
     */
    public function stop(int $never = 0): void
    {
        foreach ($this->nodes as $node) {
            $status = $node->stop();
            if ($status !== 0) {
                throw new \RuntimeException("the service has ended with status $status:\n" . $node->output());
            }
        }
        [$runs, $ran] = $this->read();
        $left = array_sum(array_map(fn ($queue) => Queue::counts($queue)['waiting'], $this->queues));
        self::account($this->numbers, $this->numbers - $never - $left - $ran, $runs - $ran);
    }

    /** Also for jobs that were only stored and counted. */
    public static function account(int $jobs, int $lost, int $twice): void
    {
        self::$conserved['runs']++;
        self::$conserved['jobs'] += $jobs;
        self::$conserved['lost'] += abs($lost);
        self::$conserved['twice'] += $twice;
    }

    /** How many runs there were, and of how many numbers. */
    private function read(): array
    {
        $runs = 0;
        $ran = '';
        foreach (glob("$this->record/*") as $file) {
            $bytes = file_get_contents($file);
            [, $of_worker, $length] = unpack('q2', $bytes);
            $runs += $this->by_worker[] = $of_worker;
            $ran |= substr($bytes, 16, $length); // as long as the longer of the two
            foreach (str_split(substr($bytes, 16 + $length), 16) as $pair) {
                if ($pair !== '') {
                    ['number' => $number, 'at' => $at] = unpack('qnumber/qat', $pair);
                    $this->arrivals[$number] = $at;
                }
            }
            unlink($file);
        }
        return [$runs, substr_count($ran, "\1")];
    }

    public static function take_account(): array
    {
        $conserved = self::$conserved;
        self::$conserved = array_fill_keys(array_keys($conserved), 0);
        return $conserved;
    }
}
