<?php

declare(strict_types=1);

namespace Bench;

/** Horizontal bars as SVG, drawn by gnuplot. A bar is [label, value, smallest, largest, mark or null, whether it is ours, text]. */
final class Charts
{
    private const OURS = '#1b6ca8';
    private const THEIRS = '#9aa5b1';
    private const WIDTH = 860;
    private string $dir;

    public function __construct(private Report $report, private Peers $peers) {}

    public function draw(string $dir): void
    {
        exec('gnuplot --version 2>/dev/null', $lines, $status);
        if ($status !== 0) {
            throw new \RuntimeException('The charts are drawn by gnuplot, which is not there: install it (Debian: apt-get install gnuplot-nox).');
        }
        $this->dir = $dir;
        is_dir($dir) || mkdir($dir);
        $this->ratios();
        $this->memory();
        $this->rates();
        $this->latencies();
    }

    /** A bar for a row of the table, or none if it was not measured. */
    private function bar(string $measured, string $key, string $label): array
    {
        $row = $this->report->measured[$measured]['rows'][$key] ?? null;
        return $row ? [[$label, median($row['values']), min($row['values']), max($row['values']), $row['goal'][1] ?? null, true]] : [];
    }

    private function ratios(): void
    {
        $this->bars('ratios', 'mpqueue, to the reference of the same run', 'ratio (red: goal)', [
            ...$this->bar('drain', 'drain ratio', 'drain : redis-benchmark RPUSH'),
            ...$this->bar('drain', 'together ratio', 'filled and drained : redis-benchmark RPUSH'),
            ...$this->bar('drain', 'aof ratio', 'drain with AOF everysec : without'),
            ...$this->bar('push', 'push ratio', 'push : phpredis rPush'),
            ...$this->bar('push', 'bulk ratio', 'pushMany : variadic rPush'),
            ...$this->bar('real_jobs', 'sleep 64 share', '10 ms sleep, 64 workers : ideal'),
            ...$this->bar('real_jobs', 'busy 2 share', '1 ms busy, 2 workers : bare loops'),
            ...$this->bar('real_jobs', 'busy 64 share', '1 ms busy, 64 workers : bare loops'),
            ...$this->bar('scale', 'services ratio', 'four services : four times one'),
        ]);
    }

    private function memory(): void
    {
        $alone = $this->bar('memory', 'alone', 'a process that loads the framework by itself');
        $this->bars('memory', 'Private memory with Symfony, Twig and Doctrine loaded', 'MB, logarithmic (red: goal)', [
            ...array_map(fn ($bar) => array_replace($bar, [4 => null, 5 => false]), $alone),
            ...$this->bar('memory', 'worker', 'a worker, after 1,000 jobs'),
            ...$this->bar('memory', 'further', 'what a further worker adds (PSS)'),
            ...$this->bar('memory', 'dispatcher', 'dispatcher'),
            ...$this->bar('memory', 'manager', 'manager'),
        ], true);
    }

    private function rates(): void
    {
        $rows = $this->peers->with('drain');
        $bars = array_map(fn ($label, $row) => [$label, median($row['drain']), min($row['drain']), max($row['drain']), null, $row['peer'] === Peers::OURS],
            array_keys($rows), $rows);
        $this->bars('drain', "Drain of no-op jobs, {$this->peers->workers()} worker processes", 'jobs a second, logarithmic', self::sorted($bars), true);
    }

    private function latencies(): void
    {
        $bars = [];
        foreach ($this->peers->with('latency p50', 'latency p99') as $label => $row) {
            [$p50, $p99] = [median($row['latency p50']), median($row['latency p99'])];
            $bars[] = [$label, $p50, $p50, $p50, $p99, $row['peer'] === Peers::OURS, self::short($p50) . ' / ' . self::short($p99)];
        }
        $this->bars('latency', 'From push to start on an idle service', 'milliseconds, logarithmic (bar: p50, red: p99)', array_reverse(self::sorted($bars)), true);
    }

    /** The largest first. */
    private static function sorted(array $bars): array
    {
        usort($bars, fn ($a, $b) => $b[1] <=> $a[1]);
        return $bars;
    }

    private function bars(string $name, string $title, string $axis, array $bars, bool $logarithmic = false): void
    {
        if (!$bars) {
            return;
        }
        $ends = array_merge(array_column($bars, 1), array_column($bars, 3), array_filter(array_column($bars, 4)));
        $lowest = $logarithmic ? 10 ** (floor(log10(min($ends))) - ((log10(min($ends)) - floor(log10(min($ends)))) < 0.2 ? 1 : 0)) : 0;
        $highest = $logarithmic ? max($ends) * 15 : max($ends) * 1.15;
        $rows = $marks = $labels = '';
        foreach ($bars as $i => [$label, $value, $smallest, $largest, $mark, $ours]) {
            $text = $bars[$i][6] ?? self::short($value);
            $y = count($bars) - $i;
            $rows .= sprintf("%d %.6g %.6g %.6g %d\n", $y, $value, $smallest, $largest, hexdec(substr($ours ? self::OURS : self::THEIRS, 1)));
            $marks .= $mark === null ? '' : sprintf("set arrow from %.6g,%.2f to %.6g,%.2f nohead lw 2.5 lc rgb '#c0392b' front\n", $mark, $y - 0.42, $mark, $y + 0.42);
            $marks .= sprintf("set label '%s' at %.6g,%d offset 0.7,0 front\n", $text, max($largest, $mark ?? 0), $y);
            $labels .= sprintf("%s'%s' %d", $labels === '' ? '' : ', ', str_replace("'", "''", $label), $y);
        }
        $script = "set terminal svg size " . self::WIDTH . ',' . (110 + 30 * count($bars)) . " dynamic font 'sans-serif,13' background '#ffffff'\n"
            . "set output '$this->dir/$name.svg'\nset title '" . str_replace("'", "''", $title) . "' noenhanced\nset xlabel '$axis'\nset key off\nset border 1\nset tics nomirror\n"
            . "set grid xtics lc rgb '#dddddd'\nset style fill solid 0.9 noborder\nset ytics ($labels) noenhanced scale 0\n"
            . "set yrange [0.4:" . (count($bars) + 0.6) . "]\nset xrange [$lowest:$highest]\n" . ($logarithmic ? "set logscale x\nset format x '" . ($lowest < 1 ? '%g' : '%.0s%c') . "'\n" : '')
            . "$marks\$bars << EOD\n{$rows}EOD\n"
            . "plot \$bars using 2:1:($lowest):2:(\$1-0.32):(\$1+0.32):5 with boxxyerror lc rgb variable, '' using 2:1:3:4 with xerrorbars pt 0 lw 1.2 lc rgb '#222222'\n";
        $process = proc_open(['gnuplot'], [['pipe', 'r'], ['file', '/dev/null', 'w'], ['pipe', 'w']], $pipes);
        fwrite($pipes[0], $script);
        fclose($pipes[0]);
        $said = stream_get_contents($pipes[2]);
        if (proc_close($process) !== 0) {
            throw new \RuntimeException("gnuplot could not draw $name:\n$said");
        }
        echo "docs/charts/$name.svg\n";
    }

    private static function short(float $value): string
    {
        return $value >= 100 ? number_format($value) : (string) (float) sprintf('%.3g', $value);
    }
}
