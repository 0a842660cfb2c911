<?php

declare(strict_types=1);

namespace Bench;

/** What bench/peers/run has written: other queues, and ours in the same run. */
final class Peers
{
    public const OURS = 'mpqueue';
    /** Column => [what it is in the file, digits]. */
    private const COLUMNS = ['drain, jobs/s' => ['drain', 0], 'push, jobs/s' => ['push', 0], 'bulk, jobs/s' => ['bulk', 0], 'p50, ms' => ['latency p50', 2], 'p99, ms' => ['latency p99', 2]];
    /** "peer, row" => [peer, version, row, conserved, what => values]. */
    public array $rows = [];
    private array $missing = [];
    private array $workers = [];

    /** The file need not be there. */
    public function __construct(string $file)
    {
        foreach (is_file($file) ? json_decode(file_get_contents($file), true, flags: JSON_THROW_ON_ERROR) : [] as $entry) {
            isset($entry['what']) ? $this->take($entry) : $this->missing[$entry['peer']] = true;
        }
    }

    private function take(array $entry): void
    {
        $label = $entry['peer'] . ($entry['row'] === '' || $entry['peer'] === self::OURS ? '' : " ({$entry['row']})");
        $this->rows[$label] ??= ['peer' => $entry['peer'], 'version' => $entry['version'], 'conserved' => true];
        $this->rows[$label]['conserved'] = $this->rows[$label]['conserved'] && ($entry['conserved'] ?? false);
        $scale = $entry['unit'] === 'us' ? 0.001 : 1;
        if ($entry['values']) {
            $this->rows[$label][$entry['what']] = array_map(fn ($value) => $value * $scale, $entry['values']);
        }
        $this->workers[$entry['workers'] ?? 0] = true;
    }

    public function workers(): string
    {
        return implode(' or ', array_filter(array_keys($this->workers)));
    }

    /** Those for which that is known; what is not ours and lost a job says so in its label. */
    public function with(string ...$what): array
    {
        $rows = array_filter($this->rows, fn ($row) => !array_diff($what, array_keys($row)));
        $labels = array_map(fn ($label, $row) => $label . ($row['conserved'] ? '' : ', NOT CONSERVED'), array_keys($rows), $rows);
        return array_combine($labels, $rows);
    }

    public function markdown(): string
    {
        if (!$this->rows) {
            return "Not measured.\n";
        }
        $lines = ["![drain](charts/drain.svg)\n\n![latency](charts/latency.svg)\n", "Medians; {$this->workers()} worker processes.\n",
            '| | version | ' . implode(' | ', array_keys(self::COLUMNS)) . ' | mpqueue drains |', '|---|---|' . str_repeat('---|', count(self::COLUMNS) + 1)];
        $ours = median($this->rows[self::OURS]['drain'] ?? [NAN]);
        foreach ($this->with() as $label => $row) {
            $cells = array_map(fn ($column) => isset($row[$column[0]]) ? number_format(median($row[$column[0]]), $column[1]) : '-', self::COLUMNS);
            $times = isset($row['drain']) && !is_nan($ours) && $row['peer'] !== self::OURS ? sprintf('x %.3g', $ours / median($row['drain'])) : '';
            $lines[] = "| $label | {$row['version']} | " . implode(' | ', $cells) . " | $times |";
        }
        if ($this->missing) {
            $lines[] = "\nNot available where this was measured: " . implode(', ', array_keys($this->missing)) . '.';
        }
        return implode("\n", array_map(fn ($line) => rtrim($line, " "), $lines)) . "\n";
    }
}
