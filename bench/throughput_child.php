<?php
/* One measurement, in a process of its own; prints {"rate": ...} or {"p50": ..., "p99": ...}. */

use MPQueue\{Config, Driver, Job, Queue};

final class Nothing extends Job
{
    public function __construct(public string $text)
    {
    }

    public function handle()
    {
    }
}

final class Stamp extends Job
{
    public function __construct(public string $file, public int $at)
    {
    }

    public function handle()
    {
        file_put_contents($this->file, intdiv(hrtime(true) - $this->at, 1000) . "\n", FILE_APPEND);
    }
}

function settings(string $dir, string $dsn, int $workers): array
{
    $driver = str_starts_with($dsn, 'unix:') ? new Driver\Redis($dsn) : new Driver\Sqlite($dsn);
    return [
        'basics' => ['name' => 'bench', 'pid_path' => $dir, 'driver' => $driver],
        'log' => ['path' => $dir, 'level' => 400],
        'queue' => [['name' => 'bench', 'worker_number' => $workers]],
    ];
}

function backlog(int $count): float
{
    $text = str_repeat('x', 80);
    $begun = hrtime(true);
    for ($left = $count; $left > 0; $left -= 1000) {
        $batch = [];
        for ($i = min(1000, $left); $i > 0; $i--) {
            $batch[] = new Nothing($text);
        }
        Queue::pushMany('bench', $batch);
    }
    return $count / ((hrtime(true) - $begun) / 1e9);
}

/* Jobs per second from the first to the last that the service has done after this call. */
function drained(int $count): float
{
    do {
        usleep(1000);
        $first = Queue::counts('bench')['done'];
    } while ($first === 0);
    $begun = hrtime(true);
    do {
        usleep(2000);
        $done = Queue::counts('bench')['done'];
    } while ($done < $count);
    return ($count - $first) / ((hrtime(true) - $begun) / 1e9);
}

function with_service(array $settings, callable $do)
{
    $pid = pcntl_fork();
    if ($pid === 0) {
        exit(mpqueue_run($settings, ['bench', 'worker:start']));
    }
    $result = $do();
    posix_kill($pid, SIGTERM);
    pcntl_waitpid($pid, $status);
    return $result;
}

function latency(string $dir): array
{
    $file = "$dir/stamps";
    usleep(500000);
    for ($i = 0; $i < 500; $i++) {
        Queue::push('bench', new Stamp($file, hrtime(true)));
        usleep(random_int(2000, 8000));
    }
    usleep(300000);
    $stamps = array_map('intval', file($file));
    unlink($file);
    sort($stamps);
    return ['p50' => $stamps[intdiv(count($stamps), 2)], 'p99' => $stamps[intdiv(count($stamps) * 99, 100)]];
}

function child(string $what, string $dir, string $dsn, int $jobs, int $workers): int
{
    ob_start();
    $settings = settings($dir, $dsn, $workers);
    Config::set($settings);
    Queue::clear('bench');
    $result = match ($what) {
        'push one by one' => (function () {
            $begun = hrtime(true);
            for ($i = 0; $i < 20000; $i++) {
                Queue::push('bench', new Nothing('x'));
            }
            return ['rate' => 20000 / ((hrtime(true) - $begun) / 1e9)];
        })(),
        'pushMany of 1,000' => ['rate' => backlog($jobs)],
        'drain' => (function () use ($settings, $jobs) {
            backlog($jobs);
            return ['rate' => with_service($settings, fn () => drained($jobs))];
        })(),
        'push and drain together' => ['rate' => with_service($settings, function () use ($jobs) {
            usleep(500000);
            $begun = hrtime(true);
            backlog($jobs);
            while (Queue::counts('bench')['done'] < $jobs) {
                usleep(1000);
            }
            return $jobs / ((hrtime(true) - $begun) / 1e9);
        })],
        'latency' => with_service($settings, fn () => latency($dir)),
    };
    Queue::clear('bench');
    ob_end_clean();
    echo json_encode($result), "\n";
    return 0;
}
