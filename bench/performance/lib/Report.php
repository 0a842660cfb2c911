<?php

declare(strict_types=1);

namespace Bench;

/** The table: on the terminal, as JSON, and in a document. */
final class Report
{
    /** Name => what measure() has returned. */
    public array $measured = [];

    public function __construct(public array $about = []) {}

    public static function read(string $file): self
    {
        $data = json_decode((string) @file_get_contents($file), true);
        if (!isset($data['measured'])) {
            throw new \RuntimeException("$file is not there or not what bench/run writes: run bench/run first.");
        }
        $report = new self($data['about']);
        $report->measured = $data['measured'];
        return $report;
    }

    /** In the order of the names. */
    public function write(string $file, array $order): void
    {
        $rounded = array_filter(array_replace(array_fill_keys($order, null), $this->measured));
        array_walk_recursive($rounded, function (&$value) {
            $value = is_float($value) ? (float) sprintf('%.5g', $value) : $value;
        });
        $text = json_encode(['about' => $this->about, 'measured' => $rounded], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        // Values on one line, as they are read
        $text = preg_replace_callback('/\[\s+([-\d.,e+\s]+?)\s+\]/', fn ($found) => '[' . preg_replace('/\s+/', ' ', $found[1]) . ']', $text);
        if (file_put_contents($file, "$text\n") === false) {
            throw new \RuntimeException("$file can't be written");
        }
    }

    public function add(string $name, Measurement $measurement, array $conserved, float $seconds): void
    {
        $rows = [];
        foreach ($measurement::ROWS as $key => $row) {
            if (isset($measurement->values[$key])) {
                $rows[$key] = ['text' => $row[0], 'unit' => $row[1]] + (isset($row[2]) ? ['goal' => [$row[2], $row[3]]] : [])
                    + ['values' => $measurement->values[$key]];
            }
        }
        $this->measured[$name] = ['title' => $measurement::TITLE, 'rows' => $rows, 'conserved' => $conserved, 'seconds' => round($seconds),
            'when' => date('Y-m-d H:i'), 'load' => round(sys_getloadavg()[0], 1), 'repeat' => count(reset($rows)['values'] ?? [])];
    }

    public static function is_conserved(array $measured): bool
    {
        return $measured['conserved']['lost'] === 0 && $measured['conserved']['twice'] === 0;
    }

    public function print(string $name): void
    {
        $measured = $this->measured[$name];
        printf("%s\n", $measured['title']);
        foreach ($measured['rows'] as $row) {
            [$median, $range, $goal, $reached] = self::cells($row);
            printf("  %-64s %11s %-10s %-26s %s\n", $row['text'], $median, $row['unit'], "[$range]", $goal === '' ? '' : "$goal: $reached");
        }
        printf("  %s\n\n", self::conservation($measured));
    }

    public function print_missed(array $names): void
    {
        $goals = 0;
        $missed = [];
        foreach ($names as $name) {
            foreach ($this->measured[$name]['rows'] as $key => $row) {
                $reached = self::cells($row)[3];
                $goals += $reached !== '';
                $reached === 'not reached' && $missed[] = "$name, $key";
            }
        }
        printf("%d of %d goals reached%s\n", $goals - count($missed), $goals, $missed ? '; not: ' . implode('; ', $missed) : '');
    }

    private static function conservation(array $measured): string
    {
        ['runs' => $runs, 'jobs' => $jobs, 'lost' => $lost, 'twice' => $twice] = $measured['conserved'];
        return sprintf('%s: %s runs, %s jobs, %s lost, %s twice', self::is_conserved($measured) ? 'conserved' : 'NOT CONSERVED', ...array_map(number_format(...), [$runs, $jobs, $lost, $twice]));
    }

    /** Median, range, goal, whether it is reached. */
    private static function cells(array $row): array
    {
        $median = median($row['values']);
        $goal = isset($row['goal']) ? "{$row['goal'][0]} " . number_format($row['goal'][1], is_int($row['goal'][1]) ? 0 : 2) : '';
        $reached = $goal !== '' && ($row['goal'][0] === 'at least' ? $median >= $row['goal'][1] : $median <= $row['goal'][1]);
        return [self::figure($median, $row['unit']), self::figure(min($row['values']), $row['unit']) . ' to ' . self::figure(max($row['values']), $row['unit']),
            $goal, $goal === '' ? '' : ($reached ? 'reached' : 'not reached')];
    }

    private static function figure(float $value, string $unit): string
    {
        $digits = match (true) {
            $unit === 'x' => abs($value) < 1 ? 3 : 2,
            abs($value) >= 100 => 0,
            abs($value) >= 10 || $value == 0 => 1,
            default => 2,
        };
        $text = number_format($value, $digits);
        return str_contains($text, '.') && $unit !== 'x' ? rtrim(rtrim($text, '0'), '.') : $text;
    }

    /** Puts a text between the two markers of that name in the document. */
    public static function insert(string $document, string $name, string $markdown): void
    {
        $text = (string) file_get_contents($document);
        $new = preg_replace_callback("/(<!-- $name:begin[^>]*-->\n).*(?=<!-- $name:end -->)/s", fn ($found) => "$found[1]$markdown\n", $text, 1, $count);
        if ($count !== 1) {
            throw new \RuntimeException("$document has no markers for the $name");
        }
        file_put_contents($document, $new);
    }

    public function markdown(): string
    {
        $lines = ["{$this->about['machine']}; {$this->about['versions']}."];
        foreach ($this->measured as $measured) {
            array_push($lines, '', "**{$measured['title']}** ({$measured['repeat']} repetitions, {$measured['when']}, load {$measured['load']})", '', '| | median | range | goal | |', '|---|---|---|---|---|');
            foreach ($measured['rows'] as $row) {
                [$median, $range, $goal, $reached] = self::cells($row);
                $unit = $row['unit'] === 'x' ? '' : " {$row['unit']}";
                $lines[] = "| {$row['text']} | $median$unit | $range | $goal | " . ($reached === 'not reached' ? '**not reached**' : $reached) . ' |';
            }
            array_push($lines, '', ucfirst(self::conservation($measured)) . '.');
        }
        return implode("\n", array_map(rtrim(...), $lines)) . "\n";
    }
}
