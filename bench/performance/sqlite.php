<?php

declare(strict_types=1);

namespace Bench;

use MPQueue\Queue;

/** The store that is a file. */
final class SqliteStore extends Measurement
{
    public const TITLE = 'SQLite, 2 workers';
    public const ROWS = [
        'bulk' => ['pushMany of 1,000, one process', 'jobs/s'],
        'drain' => ['drain of no-op jobs', 'jobs/s', 'at least', 30_000],
        'four' => ['push one by one, four processes at once', 'jobs/s'],
        'errors' => ['pushes of them that failed', '', 'at most', 0],
        'durable bulk' => ['durable: pushMany of 1,000, one process', 'jobs/s'],
        'durable drain' => ['durable: drain of no-op jobs', 'jobs/s', 'at least', 30_000],
        'durable four' => ['durable: push one by one, four processes at once', 'jobs/s'],
        'durable errors' => ['durable: pushes of them that failed', '', 'at most', 0],
    ];
    private const PRODUCERS = 4;

    public function repeat(int $round): void
    {
        $this->measure('', false, $this->settings->number(5000, 2000));
        $this->measure('durable ', true, $this->settings->number(500, 200));
    }

    private function measure(string $row, bool $durable, int $each): void
    {
        $jobs = $this->settings->number(200_000, 50_000);
        $stage = Stage::sqlite($durable);
        $this->note("{$row}bulk", $stage->fill($jobs));
        $run = $stage->run($jobs, [Stage::queue()])->launch();
        $this->note("{$row}drain", $run->rate($jobs));
        $run->stop();
        $this->four($stage, $row, $each);
        $stage->close();
    }

    /** Into a service at work, so that there are five who write. */
    private function four(Stage $stage, string $row, int $each): void
    {
        $run = $stage->run(self::PRODUCERS * $each, [Stage::queue()])->start();
        $began = hrtime(true);
        $errors = array_sum(Bare::together(self::PRODUCERS, fn ($producer) => self::push($producer * $each, $each)));
        $this->note("{$row}four", self::PRODUCERS * $each / Stage::seconds_since($began));
        $this->note("{$row}errors", $errors);
        $run->waitFor(self::PRODUCERS * $each - $errors);
        $run->stop($errors);
    }

    /** How many have failed. */
    private static function push(int $from, int $count): int
    {
        $errors = 0;
        for ($i = $from; $i < $from + $count; $i++) {
            try {
                Queue::push('jobs', Stage::nothing($i));
            } catch (\MPQueue\Exception\QueueException) {
                $errors++;
            }
        }
        return $errors;
    }
}
