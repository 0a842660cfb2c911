<?php

/* The jobs of the measurements, and what their workers keep to say at their end which jobs they have run. */

declare(strict_types=1);

namespace Bench;

/**
 * What this worker has run: a byte for each number, and how many runs there were. If there were as many runs as there are
 * bytes set, nothing ran twice; it costs a job one assignment. Written when the worker leaves; who is killed is missed.
 */
final class Tally
{
    public static int $runs = 0;
    public static string $ran = '';
    public static string $arrivals = '';

    /** A worker's start handle. */
    public static function begin(): void
    {
        self::$ran = str_repeat("\0", (int) getenv('BENCH_NUMBERS'));
        register_shutdown_function(self::write(...));
    }

    public static function arrived(int $number, int $at): void
    {
        self::$runs++;
        self::$ran[$number] = "\1";
        self::$arrivals .= pack('qq', $number, $at);
    }

    private static function write(): void
    {
        if (self::$runs > 0) {
            file_put_contents(getenv('BENCH_RECORD') . '/' . getmypid(), pack('qq', self::$runs, strlen(self::$ran)) . self::$ran . self::$arrivals);
        }
    }
}

/** Counts, and does nothing else. */
final class Nothing extends \MPQueue\Job
{
    public function __construct(public int $number, public string $text) {}

    public function handle()
    {
        Tally::$runs++;
        Tally::$ran[$this->number] = "\1";
    }
}

/** Says when it began. */
final class Arrive extends \MPQueue\Job
{
    public function __construct(private int $number) {}

    public function handle()
    {
        Tally::arrived($this->number, hrtime(true));
    }
}

/** Says when it began, then computes: as many turns as it is told, so that others who take the core make it last longer. */
final class Compute extends \MPQueue\Job
{
    public function __construct(private int $number, private int $turns) {}

    public function handle()
    {
        Tally::arrived($this->number, hrtime(true));
        turn($this->turns);
    }
}

final class Sleep extends \MPQueue\Job
{
    public function __construct(private int $number, private int $us) {}

    public function handle()
    {
        Tally::$runs++;
        Tally::$ran[$this->number] = "\1";
        usleep($this->us);
    }
}

function turn(int $turns): void
{
    for ($i = 0; $i < $turns; $i++);
}
