<?php

declare(strict_types=1);

namespace Bench;

/** A part of the table. It is run once for each repetition, and notes a value for each of its rows. */
abstract class Measurement
{
    public const TITLE = '';
    /** Key => [text, unit] or [text, unit, 'at least' or 'at most', goal]. */
    public const ROWS = [];
    /** Key => values in the order of the repetitions. */
    public array $values = [];

    public function __construct(protected readonly Settings $settings) {}

    /** Once, before the first repetition. */
    public function prepare(): void {}

    abstract public function repeat(int $round): void;

    final protected function note(string $key, float $value): void
    {
        isset(static::ROWS[$key]) || throw new \LogicException("no row \"$key\" in " . static::TITLE);
        $this->values[$key][] = $value;
    }

    /** p50 and p99 as the rows "$key, p50" and "$key, p99". */
    final protected function percentiles(string $key, array $values): void
    {
        $this->note("$key p50", percentile($values, 0.5));
        $this->note("$key p99", percentile($values, 0.99));
    }
}

final class Settings
{
    public function __construct(public readonly int $jobs, public readonly int $repeat, public readonly bool $quick) {}

    public function sized(float $full, float $quick): float
    {
        return $this->quick ? $quick : $full;
    }

    /** The same for what can be counted. */
    public function number(int $full, int $quick): int
    {
        return $this->quick ? $quick : $full;
    }
}

function percentile(array $values, float $share): float
{
    sort($values);
    return $values[min(count($values) - 1, (int) floor(count($values) * $share))];
}

function median(array $values): float
{
    sort($values);
    $middle = intdiv(count($values), 2);
    return count($values) % 2 ? $values[$middle] : ($values[$middle - 1] + $values[$middle]) / 2;
}
