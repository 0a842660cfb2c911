<?php

declare(strict_types=1);

/*
 * The producer's side of the demo:
 *   produce.php reach   can the store be reached?
 *   produce.php ready   waits until the service runs a first job
 *   produce.php files   pushes one job for each file, and shows how they are being run
 *   produce.php pings   how long from push to start while the service has nothing else to do
 *   produce.php clear   removes everything that the demo has stored
 */

require __DIR__ . '/HashFile.php';
require __DIR__ . '/Ping.php';
require __DIR__ . '/Progress.php';

use MPQueue\Config;
use MPQueue\Queue;

const CHUNK = 1000;
const PINGS = 50;
const STALLED_AFTER_S = 60;

/** @return Generator<int, string> the paths, numbered */
function paths(string $list): Generator
{
    $in = fopen($list, 'rb');
    for ($number = 0; ($entry = stream_get_line($in, 1 << 20, "\0")) !== false; $number++) {
        yield $number => explode("\t", $entry, 3)[2];
    }
}

function pushFiles(string $queue, string $list, Progress $progress): int
{
    $pushed = 0;
    $jobs = [];
    foreach (paths($list) as $number => $path) {
        $jobs[] = new HashFile($number, $path, hrtime(true));
        if (count($jobs) === CHUNK) {
            Queue::pushMany($queue, $jobs);
            $pushed += CHUNK;
            $jobs = [];
            $progress->show(Results::count(), $pushed);
        }
    }
    if ($jobs) {
        Queue::pushMany($queue, $jobs);
        $pushed += count($jobs);
    }
    return $pushed;
}

/** Returns when every file has a result. A job that ran twice has two, so the end is not when the number is reached. */
function waitForAll(string $queue, int $wanted, int $before, Progress $progress): void
{
    $last = -1;
    $lastAt = 0;
    for (;;) {
        $count = Results::count() - $before;
        if ($count !== $last) {
            [$last, $lastAt] = [$count, hrtime(true)];
        }
        if ($count >= $wanted && countNumbers() >= $wanted) {
            $progress->show($wanted, $wanted);
            return;
        }
        $progress->show(min($count, $wanted), $wanted);
        if (hrtime(true) - $lastAt > STALLED_AFTER_S * 1e9 && Queue::counts($queue)['running'] === 0) {
            throw new RuntimeException(sprintf(
                '%d of %d jobs have a result, and for %d seconds nothing has been running; the queue says %s.',
                $count, $wanted, STALLED_AFTER_S, json_encode(Queue::counts($queue))
            ));
        }
        usleep($wanted - $count < 1000 ? 1000 : 20000);
    }
}

function countNumbers(): int
{
    $seen = [];
    foreach (Results::all() as $result) {
        if ($result['status'] !== Results::PING) {
            $seen[$result['number']] = true;
        }
    }
    return count($seen);
}

function runFiles(string $queue, string $dir, int $wanted): void
{
    $before = Results::count();
    $progress = new Progress($wanted);
    $begun = hrtime(true);
    $pushed = pushFiles($queue, "$dir/files", $progress);
    $pushedFor = hrtime(true) - $begun;
    waitForAll($queue, $pushed, $before, $progress);
    $ranFor = hrtime(true) - $begun;
    $progress->end();
    file_put_contents("$dir/times", json_encode(['pushed_ns' => $pushedFor, 'ran_ns' => $ranFor]));
}

function ping(string $queue, int $number, int $withinS): void
{
    $before = Results::count();
    Queue::push($queue, new Ping($number, hrtime(true)));
    $end = hrtime(true) + $withinS * 1_000_000_000;
    while (Results::count() === $before) {
        if (hrtime(true) > $end) {
            throw new RuntimeException("The service did not run a job within $withinS seconds.");
        }
        usleep(500);
    }
}

function main(string $what): void
{
    Config::set(require __DIR__ . '/config.php');
    $queue = (string) getenv('MPQUEUE_DEMO_QUEUE');
    $dir = (string) getenv('MPQUEUE_DEMO_DIR');
    match ($what) {
        'reach' => Queue::counts($queue),
        'ready' => ping($queue, 0, 20),
        'files' => runFiles($queue, $dir, (int) getenv('MPQUEUE_DEMO_FILES')),
        'pings' => array_map(static function (int $number) use ($queue): void {
            usleep(random_int(2_000, 12_000)); // everything has gone to sleep again
            ping($queue, $number, 20);
        }, range(1, PINGS)),
        'clear' => Queue::clear($queue),
    };
}

try {
    main($argv[1]);
} catch (MPQueue\Exception\QueueException | RuntimeException $e) {
    fwrite(STDERR, "\ndemo: " . $e->getMessage() . "\n");
    exit(1);
}
