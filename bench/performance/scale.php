<?php

declare(strict_types=1);

namespace Bench;

use MPQueue\Queue;

/** Whether a job costs more when there are more jobs, queues or services. */
final class Scale extends Measurement
{
    public const TITLE = 'Scale; CPU is that of Redis, dispatcher and workers together, unless said';
    public const ROWS = [
        'thousand' => ['1 thousand waiting, 2 workers, CPU per job', 'us'],
        'hundred' => ['100 thousand waiting, CPU per job', 'us'],
        'million' => ['5 million waiting, CPU per job', 'us'],
        'million ratio' => ['5 million : 1 thousand', 'x', 'at most', 1.2],
        'million hundred' => ['5 million : 100 thousand', 'x', 'at most', 1.2],
        'delayed' => ['100 thousand waiting and a million delayed, CPU per job', 'us'],
        'delayed ratio' => ['with a million delayed : without', 'x', 'at most', 1.2],
        'rate hundred' => ['rate with 100 thousand waiting', 'jobs/s'],
        'rate million' => ['rate with 5 million waiting', 'jobs/s'],
        'redis' => ['CPU of Redis per job, to take and to settle it', 'us', 'at most', 1.5],
        'redis push' => ['CPU of Redis per job, to store it by pushMany of 1,000', 'us'],
        'one queue' => ['one queue, 8 workers, CPU per job', 'us'],
        'one queue rate' => ['rate of these', 'jobs/s'],
        'eight queues' => ['eight queues in one service, 1 worker each, CPU per job', 'us'],
        'queues ratio' => ['eight queues : one', 'x', 'at most', 1.2],
        'queues hundred' => ['eight queues : one with 2 workers (100 thousand waiting)', 'x', 'at most', 1.2],
        'one service' => ['one service, 8 workers, jobs that sleep for 2 ms', 'jobs/s'],
        'four services' => ['four such services on one Redis', 'jobs/s'],
        'services ratio' => ['four : four times one', 'x', 'at least', 0.95],
        'one no-op' => ['one service, 2 workers, no-op jobs', 'jobs/s'],
        'four no-op' => ['four such services on one Redis (and these cores)', 'jobs/s'],
        'four redis' => ['CPU of Redis per job of the four', 'us', 'at most', 1.5],
    ];

    public function repeat(int $round): void
    {
        $thousand = $this->thousands($this->settings->number(100, 40));
        $hundred = $this->backlog($this->settings->number(200_000, 100_000));
        $million = $this->backlog($this->settings->number(5_000_000, 1_000_000));
        $delayed = $this->backlog($this->settings->number(200_000, 100_000), $this->settings->number(1_000_000, 300_000));
        foreach (compact('thousand', 'hundred', 'million', 'delayed') as $row => $cost) {
            $this->note($row, $cost['all']);
        }
        $this->note('million ratio', $million['all'] / $thousand['all']);
        $this->note('million hundred', $million['all'] / $hundred['all']);
        $this->note('delayed ratio', $delayed['all'] / $hundred['all']);
        $this->note('rate hundred', $hundred['rate']);
        $this->note('rate million', $million['rate']);
        $this->note('redis', $hundred['redis']);
        $this->note('redis push', $million['push']);
        $eight = $this->queues($this->settings->number(200_000, 100_000));
        $this->note('queues hundred', $eight / $hundred['all']);
        $this->services();
    }

    /**
     * A thousand at a time: the dispatcher is stopped while they are pushed. What is counted begins when it goes on.
     */
    private function thousands(int $times): array
    {
        $stage = Stage::redis();
        $run = $stage->run($times * 1000, [Stage::queue()])->start();
        usleep(300_000);
        [$dispatcher] = $run->node()->pids('dispatcher');
        $all = 0;
        for ($i = 0; $i < $times; $i++) {
            posix_kill($dispatcher, SIGSTOP);
            $stage->fill(1000, $i * 1000);
            $before = $run->cpu() + $stage->redis_cpu();
            posix_kill($dispatcher, SIGCONT);
            $run->waitFor(($i + 1) * 1000, 0.002);
            $all += $run->cpu() + $stage->redis_cpu() - $before;
        }
        $run->stop();
        $stage->close();
        return ['all' => $all / $times / 1000 * 1e6];
    }

    /** 200,000 of so many, while the others wait behind them. */
    private function backlog(int $waiting, int $delayed = 0): array
    {
        $stage = Stage::redis();
        $stage->fill($delayed, $waiting, delay: 86400);
        $before = $stage->redis_cpu();
        $stage->fill($waiting);
        $push = ($stage->redis_cpu() - $before) / $waiting * 1e6;
        $run = $stage->run($waiting, [Stage::queue()])->start();
        $cost = $this->cost($stage, $run, min($waiting, 200_000));
        $run->stop();
        Run::account($delayed, $delayed - Queue::counts('jobs')['delayed'], 0);
        $stage->close();
        return $cost + ['push' => $push];
    }

    /** From when it is at work until so many are done: us of CPU for a job, and jobs a second. */
    private function cost(Stage $stage, Run $run, int $until): array
    {
        $look = fn () => [$run->done(), $run->cpu(), $stage->redis_cpu(), hrtime(true)];
        $run->waitFor(1, 0.001);
        $before = $look();
        $run->waitFor($until);
        [$done, $service, $redis, $ns] = array_map(fn ($after, $before) => $after - $before, $look(), $before);
        return ['all' => ($service + $redis) / $done * 1e6, 'redis' => $redis / $done * 1e6, 'rate' => $done / ($ns / 1e9)];
    }

    /** What a job of eight queues costs. */
    private function queues(int $jobs): float
    {
        $cost = [];
        foreach ([1, 8] as $count) {
            $stage = Stage::redis();
            $queues = array_map(fn ($i) => Stage::queue("q$i", intdiv(8, $count)), range(1, $count));
            $run = $stage->run($jobs, $queues);
            foreach ($queues as $i => $queue) {
                $stage->fill(intdiv($jobs, $count), $i * intdiv($jobs, $count), $queue['name']);
            }
            $cost[$count] = $this->cost($stage, $run->start(), $jobs);
            $run->stop();
            $stage->close();
        }
        $this->note('one queue', $cost[1]['all']);
        $this->note('one queue rate', $cost[1]['rate']);
        $this->note('eight queues', $cost[8]['all']);
        $this->note('queues ratio', $cost[8]['all'] / $cost[1]['all']);
        return $cost[8]['all'];
    }

    private function services(): void
    {
        $sleep = fn ($number) => new Sleep($number, 2000);
        $each = $this->settings->number(6000, 3000);
        $one = $this->together(1, 8, $each, $sleep)['rate'];
        $four = $this->together(4, 8, 4 * $each, $sleep)['rate'];
        $this->note('one service', $one);
        $this->note('four services', $four);
        $this->note('services ratio', $four / $one / 4);
        $jobs = $this->settings->number(200_000, 100_000);
        $this->note('one no-op', $this->together(1, 2, $jobs, Stage::nothing(...))['rate']);
        $four = $this->together(4, 2, $jobs, Stage::nothing(...));
        $this->note('four no-op', $four['rate']);
        $this->note('four redis', $four['redis']);
    }

    private function together(int $services, int $workers, int $jobs, callable $job): array
    {
        $stage = Stage::redis();
        $run = $stage->run($jobs, [Stage::queue('jobs', $workers)], $services)->start();
        // All begin at once, with all of the jobs: what they have taken before, while they were started, would be missing.
        $pids = array_merge(...array_map(fn ($node) => $node->pids('dispatcher'), $run->nodes));
        array_map(fn ($pid) => posix_kill($pid, SIGSTOP), $pids);
        foreach (array_chunk(range(0, $jobs - 1), 1000) as $numbers) {
            Queue::pushMany('jobs', array_map($job, $numbers));
        }
        array_map(fn ($pid) => posix_kill($pid, SIGCONT), $pids);
        $cost = $this->cost($stage, $run, $jobs);
        $run->stop();
        $stage->close();
        return $cost;
    }
}
