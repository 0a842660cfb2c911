<?php

declare(strict_types=1);

require_once __DIR__ . '/Results.php';

/** Does nothing but say how long it took from push to here. */
final class Ping extends MPQueue\Job
{
    public function __construct(private int $number, private int $pushedAt)
    {
    }

    public function handle()
    {
        Results::add($this->number, Results::PING, hrtime(true) - $this->pushedAt, '');
    }
}
