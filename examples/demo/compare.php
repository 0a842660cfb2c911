<?php

declare(strict_types=1);

/* Holds the workers' results against sha256sum, and prints the figures. Exit status 1: something differs. */

require __DIR__ . '/Results.php';

const SHOWN = 20;

/** A file name as text, whatever its bytes are. */
function shown(string $path): string
{
    $text = preg_match('//u', $path) ? $path : preg_replace_callback('/[\x80-\xff]/', fn ($m) => sprintf('\x%02x', ord($m[0])), $path);
    return preg_replace_callback('/[\x00-\x1f\x7f]/', fn ($m) => sprintf('\x%02x', ord($m[0])), $text);
}

/** The nearest-rank percentile, as text. */
function percentile(array $sortedNs, float $part): string
{
    $ns = $sortedNs[max(0, (int) ceil(count($sortedNs) * $part) - 1)];
    return match (true) {
        $ns < 1e6 => sprintf('%.2f ms', $ns / 1e6),
        $ns < 1e8 => sprintf('%.1f ms', $ns / 1e6),
        $ns < 1e9 => sprintf('%.0f ms', $ns / 1e6),
        default => sprintf('%.1f s', $ns / 1e9),
    };
}

function bytes(float $count): string
{
    foreach (['bytes', 'kB', 'MB', 'GB'] as $i => $unit) {
        if ($count < 1000 || $unit === 'GB') {
            return sprintf($i === 0 ? '%d %s' : '%.1f %s', $count, $unit);
        }
        $count /= 1000;
    }
}

function line(string $label, string $text): void
{
    printf("  %-10s%s\n", $label, $text);
}

/** When the inode was last changed, to the nanosecond (stat() has seconds only); null when it is gone. */
function changedAt(string $path): ?string
{
    $find = proc_open(['find', $path, '-maxdepth', '0', '-printf', '%C@'], [1 => ['pipe', 'w'], 2 => ['file', '/dev/null', 'w']], $pipes);
    $text = stream_get_contents($pipes[1]);
    proc_close($find);
    return $text === '' ? null : $text;
}

/** @return array{array<int, string>, array<int, string>, int} paths, change times, bytes of all files */
function listed(string $list): array
{
    $paths = $changes = [];
    $bytes = 0;
    $in = fopen($list, 'rb');
    while (($entry = stream_get_line($in, 1 << 20, "\0")) !== false) {
        [$size, $changes[], $paths[]] = explode("\t", $entry, 3);
        $bytes += (int) $size;
    }
    return [$paths, $changes, $bytes];
}

/** What sha256sum says of these paths. @return array<string, string> path => hash, without those it could not read */
function sha256sum(array $paths, string $dir): array
{
    file_put_contents("$dir/paths", implode("\0", $paths) . "\0");
    $sum = proc_open(['xargs', '-0', '-r', 'sha256sum', '-z', '--'],
        [0 => ['file', "$dir/paths", 'r'], 1 => ['pipe', 'w'], 2 => ['file', "$dir/sha256sum.err", 'w']], $pipes);
    $hashes = [];
    while (($entry = stream_get_line($pipes[1], 1 << 20, "\0")) !== false) {
        $hashes[substr($entry, 66)] = substr($entry, 0, 64);
    }
    proc_close($sum);
    return $hashes;
}

/** @return array{array<int, array>, list<int>, list<int>, array<int, int>, int} results by number, waits, pings, jobs by worker, repeated */
function results(): array
{
    $results = $waits = $pings = $workers = [];
    $repeated = 0;
    foreach (Results::all() as $result) {
        if ($result['status'] === Results::PING) {
            if ($result['number'] > 0) {
                $pings[] = $result['waited'];
            }
            continue;
        }
        $workers[$result['worker']] = ($workers[$result['worker']] ?? 0) + 1;
        if (isset($results[$result['number']])) {
            $repeated++;
        } elseif ($result['status'] !== Results::FAILED) { // which does not know when it was started
            $waits[] = $result['waited'];
        }
        $results[$result['number']] = $result;
    }
    sort($waits);
    sort($pings);
    arsort($workers);
    return [$results, $waits, $pings, $workers, $repeated];
}

/** Sorts each file into one of: same, unreadable, changed, wrong (number => what is wrong). */
function judge(array $paths, array $changes, array $results, array $hashes): array
{
    $failures = [];
    foreach (@file(Results::folder() . '/../failures', FILE_IGNORE_NEW_LINES) ?: [] as $failure) {
        [$number, $message] = explode(' ', $failure, 2);
        $failures[(int) $number] = $message;
    }
    $verdict = ['same' => 0, 'unreadable' => [], 'changed' => [], 'wrong' => []];
    foreach ($paths as $number => $path) {
        $status = $results[$number]['status'] ?? null;
        $ours = $status === Results::HASHED ? bin2hex($results[$number]['hash']) : null;
        $theirs = $hashes[$path] ?? null;
        if ($status === null) {
            $verdict['wrong'][$number] = 'no job has reported a result';
        } elseif ($status === Results::FAILED) {
            $verdict['wrong'][$number] = 'the job failed: ' . ($failures[$number] ?? 'for a reason that is not known');
        } elseif ($ours === $theirs && $ours !== null) {
            $verdict['same']++;
        } elseif ($ours === $theirs) {
            $verdict['unreadable'][] = $number;
        } elseif (changedAt($path) !== $changes[$number]) {
            $verdict['changed'][] = $number;
        } else {
            $verdict['wrong'][$number] = sprintf('the job says %s, sha256sum says %s', $ours ?? 'unreadable', $theirs ?? 'unreadable');
        }
    }
    return $verdict;
}

function tell(array $numbers, array $paths): void
{
    foreach (array_slice($numbers, 0, SHOWN) as $number) {
        echo '              ', shown($paths[$number]), "\n";
    }
    if (count($numbers) > SHOWN) {
        printf("              ... and %s more\n", number_format(count($numbers) - SHOWN));
    }
}

$dir = (string) getenv('MPQUEUE_DEMO_DIR');
[$paths, $changes, $bytes] = listed("$dir/files");
[$results, $waits, $pings, $workers, $repeated] = results();
$times = json_decode(file_get_contents("$dir/times"), true);

$started = hrtime(true);
// What a job could not finish, sha256sum would not either (a file without an end).
$hashes = sha256sum(array_filter($paths, fn ($number) => ($results[$number]['status'] ?? 0) !== Results::FAILED, ARRAY_FILTER_USE_KEY), $dir);
$verdict = judge($paths, $changes, $results, $hashes);
$took = (hrtime(true) - $started) / 1e9;

$files = count($paths);
$seconds = $times['ran_ns'] / 1e9;
line('pushed', sprintf('%s jobs in %.2f s: %s jobs/s', number_format($files), $times['pushed_ns'] / 1e9, number_format($files / ($times['pushed_ns'] / 1e9))));
line('hashed', sprintf('%s files, %s, in %.2f s: %s jobs/s, %s/s', number_format($files), bytes($bytes), $seconds, number_format($files / $seconds), bytes($bytes / $seconds)));
line('workers', count($workers) . ' took ' . implode(', ', array_map('number_format', array_slice($workers, 0, 8))) . (count($workers) > 8 ? ', ...' : '') . ' jobs');
if ($waits) {
    line('waiting', sprintf('push to start, all pushed at once: p50 %s, p99 %s', percentile($waits, 0.5), percentile($waits, 0.99)));
}
if ($pings) {
    line('latency', sprintf('push to start, nothing else to do:  p50 %s, p99 %s', percentile($pings, 0.5), percentile($pings, 0.99)));
}
line('compared', sprintf('%s files have the SHA-256 that sha256sum finds (it took %.2f s)', number_format($verdict['same']), $took));
if ($verdict['unreadable']) {
    line('', sprintf('%s can be read neither by a worker nor by sha256sum:', number_format(count($verdict['unreadable']))));
    tell($verdict['unreadable'], $paths);
}
if ($verdict['changed']) {
    line('', sprintf('%s changed or disappeared while the demo ran, so they were not compared:', number_format(count($verdict['changed']))));
    tell($verdict['changed'], $paths);
}
if ($repeated) {
    line('', sprintf('%s jobs ran more than once', number_format($repeated)));
}
if ($verdict['wrong']) {
    printf("\nDIFFERENT: %s of %s files\n", number_format(count($verdict['wrong'])), number_format($files));
    foreach (array_slice($verdict['wrong'], 0, SHOWN, true) as $number => $what) {
        echo '  ', shown($paths[$number]), "\n      ", shown($what), "\n";
    }
    if (count($verdict['wrong']) > SHOWN) {
        printf("  ... and %s more\n", number_format(count($verdict['wrong']) - SHOWN));
    }
    exit(1);
}
echo "\nOK\n";
