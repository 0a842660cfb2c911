<?php
/* What was measured: one entry for each peer, row and figure. */
final class Table
{
    private array $entries = [];
    private array $missing = [];
    public bool $sound = true;

    public function unavailable(string $peer, string $why): void
    {
        $this->missing[$peer] = $why;
    }

    public function add(Peer $peer, string $row, int $workers, array $measured): void
    {
        foreach ($measured['values'] as $what => $value) {
            $entry = &$this->entry($peer, $row, $what, $workers);
            $entry['values'][] = round($value, 3);
            $entry['jobs'] = $measured['jobs'];
            isset($measured['worked']) && $entry['worked'] = $measured['worked'];
            if ($measured['lost'] !== null) {
                $entry['conserved'] = false;
                $entry['lost'][] = $measured['lost'];
                $this->sound = false;
            }
            unset($entry);
        }
    }

    public function failed(Peer $peer, string $row, string $what, int $workers, string $why): void
    {
        $entry = &$this->entry($peer, $row, $what, $workers);
        $entry['failed'][] = $why;
        $entry['conserved'] = false;
        $this->sound = false;
    }

    private function &entry(Peer $peer, string $row, string $what, int $workers): array
    {
        $key = "$peer->name/$row/$what";
        $this->entries[$key] ??= ['peer' => $peer->name, 'version' => $peer->version(), 'row' => $row, 'what' => $what,
            'unit' => str_starts_with($what, 'latency') ? 'ms' : 'jobs/s', 'workers' => $workers, 'jobs' => 0, 'values' => [],
            'conserved' => true, 'how' => ['settings' => $peer->rows()[$row], 'transport' => $peer->transport]];
        return $this->entries[$key];
    }

    public function show(): void
    {
        uasort($this->entries, fn (array $a, array $b) => [$a['what']] <=> [$b['what']]);
        foreach ($this->entries as $entry) {
            printf("%-22s %-15s %-14s %-13s %s\n", $entry['what'], $entry['peer'], $entry['version'], $entry['row'], self::cell($entry));
        }
        foreach ($this->missing as $peer => $why) {
            printf("%-22s %-15s not available: %s\n", '', $peer, $why);
        }
    }

    private static function cell(array $entry): string
    {
        $cell = 'failed';
        if ($values = $entry['values']) {
            sort($values);
            $digits = $entry['unit'] === 'ms' ? 2 : 0;
            [$median, $low, $high] = array_map(fn (float $value) => number_format($value, $digits),
                [$values[intdiv(count($values), 2)], $values[0], end($values)]);
            $cell = sprintf('%12s  [%s-%s] %s', $median, $low, $high, $entry['unit']);
        }
        $troubles = [...array_map(fn (string $lost) => "NOT CONSERVED: $lost", $entry['lost'] ?? []), ...$entry['failed'] ?? []];
        return implode('; ', [$cell, ...array_unique($troubles)]);
    }

    /* What the file has of other peers, rows and figures stays, so that a long run can be had in slices. */
    public function write(string $file): void
    {
        $entries = $this->entries;
        foreach ($this->missing as $peer => $why) {
            $entries["$peer//"] = ['peer' => $peer, 'not available' => $why];
        }
        $now = array_unique(array_column($entries, 'peer'));
        foreach (is_file($file) ? json_decode(file_get_contents($file), true) : [] as $entry) {
            $key = $entry['peer'] . '/' . ($entry['row'] ?? '') . '/' . ($entry['what'] ?? '');
            $stale = in_array($entry['peer'], $now) && (isset($this->missing[$entry['peer']]) || isset($entry['not available']));
            $stale || $entries[$key] ??= $entry;
        }
        usort($entries, fn (array $a, array $b) => array_search($a['peer'], ORDER) <=> array_search($b['peer'], ORDER));
        file_put_contents($file, json_encode($entries, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES) . "\n");
    }
}
