<?php

declare(strict_types=1);

namespace Bench;

/** How fast a backlog is worked off, and the same while it is being filled. */
final class Drain extends Measurement
{
    public const TITLE = 'Drain of no-op jobs, 2 workers';
    public const ROWS = [
        'limit' => ['redis-benchmark -P 64 -c 1 -d 200 -t rpush', '1/s'],
        'drain' => ['drain of a backlog', 'jobs/s'],
        'drain ratio' => ['drain : redis-benchmark', 'x', 'at least', 0.7],
        'together' => ['pushed (pushMany of 1,000) and drained together', 'jobs/s'],
        'together ratio' => ['together : redis-benchmark', 'x', 'at least', 0.5],
        'aof' => ['drain with appendonly yes, appendfsync everysec', 'jobs/s'],
        'aof ratio' => ['with AOF : without', 'x', 'at least', 0.75],
    ];

    public function repeat(int $round): void
    {
        $jobs = $this->settings->jobs;
        $stage = Stage::redis();
        $limit = $stage->limit($jobs);
        $drain = $this->drain($stage, $jobs);
        $limit = ($limit + $stage->limit($jobs)) / 2; // before and after, so that a slow moment counts for both
        $this->note('limit', $limit);
        $this->note('drain', $drain);
        $this->note('drain ratio', $drain / $limit);
        $stage->close();

        $stage = Stage::redis(['appendonly' => 'yes', 'appendfsync' => 'everysec']);
        $aof = $this->drain($stage, $jobs);
        $this->note('aof', $aof);
        $this->note('aof ratio', $aof / $drain);
        $stage->close();

        $stage = Stage::redis();
        $limit = $stage->limit($jobs);
        $together = $this->together($stage, $jobs);
        $limit = ($limit + $stage->limit($jobs)) / 2;
        $this->note('together', $together);
        $this->note('together ratio', $together / $limit);
        $stage->close();
    }

    private function drain(Stage $stage, int $jobs): float
    {
        $stage->fill($jobs);
        $run = $stage->run($jobs, [Stage::queue()])->launch();
        $rate = $run->rate($jobs);
        $run->stop();
        return $rate;
    }

    private function together(Stage $stage, int $jobs): float
    {
        $run = $stage->run($jobs, [Stage::queue()])->start();
        $began = hrtime(true);
        $stage->fill($jobs);
        $run->waitFor($jobs);
        $rate = $jobs / Stage::seconds_since($began);
        $run->stop();
        return $rate;
    }
}
