<?php

declare(strict_types=1);

namespace Bench;

use MPQueue\Queue;

/** How much of the workers' time is left to jobs that do something. */
final class RealJobs extends Measurement
{
    public const TITLE = 'Jobs that take a while';
    public const ROWS = [
        'sleep 2' => ['10 ms of sleep, 2 workers', 'jobs/s'],
        'sleep 2 share' => ['share of workers x 1000 / 10', 'x', 'at least', 0.95],
        'sleep 16' => ['10 ms of sleep, 16 workers', 'jobs/s'],
        'sleep 16 share' => ['share of workers x 1000 / 10', 'x', 'at least', 0.95],
        'sleep 64' => ['10 ms of sleep, 64 workers', 'jobs/s'],
        'sleep 64 share' => ['share of workers x 1000 / 10', 'x', 'at least', 0.95],
        'bare sleep 64' => ['what 64 processes reach that only sleep: share', 'x'],
        'busy 2' => ['1 ms of computing, 2 workers', 'jobs/s'],
        'busy 2 share' => ['share of what a loop in 2 processes reaches', 'x', 'at least', 0.95],
        'busy 16' => ['1 ms of computing, 16 workers', 'jobs/s'],
        'busy 16 share' => ['share of what a loop in 16 processes reaches', 'x', 'at least', 0.95],
        'busy 64' => ['1 ms of computing, 64 workers', 'jobs/s'],
        'busy 64 share' => ['share of what a loop in 64 processes reaches', 'x', 'at least', 0.95],
    ];
    private const WORKERS = [2, 16, 64];
    private const SLEEP_US = 10_000;

    public function repeat(int $round): void
    {
        $seconds = $this->settings->sized(2, 1);
        $turns = Bare::turns_of_ms();
        foreach (self::WORKERS as $workers) {
            $limit = $workers * 1e6 / self::SLEEP_US;
            $rate = $this->rate($workers, (int) ($limit * $seconds), fn ($number) => new Sleep($number, self::SLEEP_US));
            $this->note("sleep $workers", $rate);
            $this->note("sleep $workers share", $rate / $limit);
            $this->busy($workers, $turns, $seconds);
        }
        $this->note('bare sleep 64', Bare::loops(fn () => usleep(self::SLEEP_US), 64, 1) / (64 * 1e6 / self::SLEEP_US));
    }

    /** The loop is measured before and after: the two cores may be one core's two threads, or somebody else's, too. */
    private function busy(int $workers, int $turns, float $seconds): void
    {
        $bare = Bare::loops(fn () => turn($turns), $workers, $seconds / 2);
        $rate = $this->rate($workers, (int) ($bare * $seconds), fn ($number) => new Compute($number, $turns));
        $bare = ($bare + Bare::loops(fn () => turn($turns), $workers, $seconds / 2)) / 2;
        $this->note("busy $workers", $rate);
        $this->note("busy $workers share", $rate / $bare);
    }

    private function rate(int $workers, int $count, callable $job): float
    {
        $stage = Stage::redis();
        foreach (array_chunk(range(0, $count - 1), 1000) as $numbers) {
            Queue::pushMany('jobs', array_map($job, $numbers));
        }
        $run = $stage->run($count, [Stage::queue('jobs', $workers)])->launch();
        $rate = $run->rate($count);
        $run->stop();
        $stage->close();
        return $rate;
    }
}
