<?php

declare(strict_types=1);

namespace Bench;

use MPQueue\Queue;

/** How long it takes until a job begins. */
final class Latency extends Measurement
{
    public const TITLE = 'From push to the first line of handle(), 2 workers';
    public const ROWS = [
        'bare return p50' => ['RPUSH to BLPOP in C, from the return of the push, p50', 'us'],
        'bare return p99' => ['the same, p99', 'us'],
        'return p50' => ['idle service, one job each 20 ms, from the return, p50', 'us'],
        'return p99' => ['the same, p99', 'us'],
        'return ratio p50' => ['service : RPUSH to BLPOP, from the return, p50 (0: begins before)', 'x', 'at most', 2],
        'return ratio p99' => ['the same, p99', 'x', 'at most', 3],
        'bare call p50' => ['RPUSH to BLPOP in C, from the call of the push, p50', 'us'],
        'bare call p99' => ['the same, p99', 'us'],
        'call p50' => ['idle service, from the call, p50', 'us'],
        'call p99' => ['the same, p99', 'us'],
        'call ratio p50' => ['service : RPUSH to BLPOP, from the call, p50', 'x', 'at most', 2],
        'call ratio p99' => ['the same, p99', 'x', 'at most', 3],
        'busy capacity' => ['what the service does of jobs that compute for 1 ms', 'jobs/s'],
        'busy p50' => ['at half of that, pushed at random moments, p50', 'us'],
        'busy p99' => ['the same, p99', 'us', 'at most', 5000],
        'full capacity' => ['what it does of no-op jobs while they are pushed', 'jobs/s'],
        'full p50' => ['at half of that, a pushMany each millisecond, p50', 'us'],
        'full p99' => ['the same, p99', 'us', 'at most', 5000],
        'due p50' => ['delayed jobs, distance of their start from the due time, p50', 'us', 'at most', 1000],
        'due p99' => ['the same, p99', 'us', 'at most', 3000],
        'due million p50' => ['the same with a million delayed jobs waiting, p50', 'us', 'at most', 1000],
        'due million p99' => ['the same, p99', 'us', 'at most', 3000],
    ];
    private const GAP_US = 20_000;
    private string $pair;

    public function prepare(): void
    {
        $this->pair = dirname(__DIR__, 2) . '/build/bench/pair';
        is_dir(dirname($this->pair)) || mkdir(dirname($this->pair), recursive: true);
        exec('gcc -O2 -std=c11 -D_GNU_SOURCE ' . escapeshellarg(dirname(__DIR__) . '/tools/pair.c') . ' -o ' . escapeshellarg($this->pair)
            . ' $(pkg-config --cflags --libs hiredis) 2>&1', $lines, $status);
        $status === 0 || throw new \RuntimeException("bench/tools/pair.c can't be compiled:\n" . implode("\n", $lines));
    }

    public function repeat(int $round): void
    {
        $stage = Stage::redis();
        $this->idle($stage, $this->settings->number(600, 150));
        $this->busy($stage, $this->settings->sized(6, 1));
        $this->full($stage, $this->settings->sized(1, 0.5), $this->settings->number(200_000, 100_000));
        $this->due($stage, 'due', $this->settings->number(300, 100));
        $waiting = $this->settings->number(1_000_000, 200_000);
        $stage->fill($waiting, 0, delay: 86400);
        $this->due($stage, 'due million', $this->settings->number(300, 100));
        Run::account($waiting, $waiting - Queue::counts('jobs')['delayed'], 0);
        $stage->close();
    }

    /** The floor is measured before and after. */
    private function idle(Stage $stage, int $count): void
    {
        $bare = $this->bare($stage, intdiv($count, 2));
        $run = $this->settled($stage->run($count, [Stage::queue()])->start());
        [$before, $after] = $this->push($count, function () {
            usleep(self::GAP_US);
        }, fn ($number) => new Arrive($number));
        $run->waitFor($count);
        $run->stop();
        $bare = array_merge($bare, $this->bare($stage, intdiv($count, 2)));
        foreach (['call' => $before, 'return' => $after] as $from => $stamps) {
            $this->percentiles($from, self::us($stamps, $run->arrivals));
            $this->percentiles("bare $from", array_column($bare, $from));
            foreach (['p50', 'p99'] as $which) {
                $own = max(0, end($this->values["$from $which"])); // a job can begin before its push returns
                $this->note("$from ratio $which", $own / max(1, end($this->values["bare $from $which"])));
            }
        }
    }

    private function bare(Stage $stage, int $count): array
    {
        exec(implode(' ', array_map(escapeshellarg(...), [$this->pair, $stage->redis->socket, $count, self::GAP_US])), $lines, $status);
        $status === 0 || throw new \RuntimeException("bench/tools/pair.c failed with status $status");
        Run::account($count, $count - count($lines), 0);
        return array_map(fn ($line) => array_combine(['call', 'return'], array_map(intval(...), explode(' ', $line))), $lines);
    }

    /** After what a service does once after its start. */
    private function settled(Run $run): Run
    {
        usleep(300_000);
        return $run;
    }

    /** When each was pushed: before the call, and after. */
    private function push(int $count, callable $wait, callable $job, ?callable $delay = null): array
    {
        $before = $after = [];
        for ($i = 0; $i < $count; $i++) {
            $wait();
            $pushed = $job($i);
            $for = $delay ? $delay($i) : 0;
            $before[$i] = hrtime(true);
            Queue::push('jobs', $pushed, $for);
            $after[$i] = hrtime(true);
        }
        return [$before, $after];
    }

    private static function us(array $stamps, array $arrivals): array
    {
        return array_map(fn ($number) => ($arrivals[$number] - $stamps[$number]) / 1000, array_keys($stamps));
    }

    /** Half of what two workers can do of jobs that compute for a millisecond, at random moments. */
    private function busy(Stage $stage, float $seconds): void
    {
        $turns = Bare::turns_of_ms();
        $count = (int) (2000 * $seconds);
        $run = $stage->run($count, [Stage::queue()]);
        Queue::pushMany('jobs', array_map(fn ($number) => new Compute($number, $turns), range(0, $count - 1)));
        $capacity = $run->launch()->rate($count);
        $run->stop();
        $this->note('busy capacity', $capacity);

        $count = (int) ($capacity / 2 * $seconds);
        $run = $this->settled($stage->run($count, [Stage::queue()])->start());
        $next = hrtime(true);
        [, $after] = $this->push($count, function () use (&$next, $capacity) {
            $next += (int) (-log(1 - mt_rand() / (mt_getrandmax() + 1)) / ($capacity / 2) * 1e9);
            $left = intdiv($next - hrtime(true), 1000);
            $left > 0 && usleep($left);
        }, fn ($number) => new Compute($number, $turns));
        $run->waitFor($count);
        $run->stop();
        $this->percentiles('busy', self::us($after, $run->arrivals));
    }

    /** Half of what it can do of jobs that do nothing while it is being filled. */
    private function full(Stage $stage, float $seconds, int $count): void
    {
        $run = $stage->run($count, [Stage::queue()])->start();
        $began = hrtime(true);
        $stage->fill($count);
        $run->waitFor($count);
        $capacity = $count / Stage::seconds_since($began);
        $run->stop();
        $this->note('full capacity', $capacity);

        $batch = max(1, (int) ($capacity / 2 / 1000));
        $batches = (int) (1000 * $seconds);
        $run = $this->settled($stage->run($batches * $batch, [Stage::queue()])->start());
        $pushed = [];
        $next = hrtime(true);
        for ($i = 0; $i < $batches; $i++) {
            $jobs = array_map(fn ($number) => new Arrive($number), range($i * $batch, ($i + 1) * $batch - 1));
            $next += 1_000_000;
            $left = intdiv($next - hrtime(true), 1000);
            $left > 0 && usleep($left);
            Queue::pushMany('jobs', $jobs);
            $pushed += array_fill($i * $batch, $batch, hrtime(true));
        }
        $run->waitFor($batches * $batch);
        $run->stop();
        $this->percentiles('full', self::us($pushed, $run->arrivals));
    }

    /** Due at random moments of the second after the next. What begins too early is as wrong as what begins too late. */
    private function due(Stage $stage, string $row, int $count): void
    {
        $run = $this->settled($stage->run($count, [Stage::queue()])->start());
        $delays = array_map(fn () => 1 + mt_rand(0, 999) / 1000, range(1, $count));
        [$before] = $this->push($count, fn () => null, fn ($number) => new Arrive($number), fn ($number) => $delays[$number]);
        $run->waitFor($count);
        $run->stop();
        $due = array_map(fn ($at, $delay) => $at + (int) ($delay * 1e9), $before, $delays);
        $this->percentiles($row, array_map(abs(...), self::us($due, $run->arrivals)));
    }
}
