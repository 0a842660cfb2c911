<?php

declare(strict_types=1);

namespace Bench;

use Chaos\System;

use function Chaos\{pause, wait_for};

/** What a service with nothing to do takes. */
final class Idle extends Measurement
{
    public const TITLE = 'Idle service, eight empty queues';
    public const ROWS = [
        'cpu' => ['CPU of all its processes', '% of a core', 'at most', 0.2],
        'calls' => ['requests to Redis', '1/s', 'at most', 10],
        'inside' => ['commands that Redis runs for it, those inside scripts too', '1/s'],
        'redis' => ['CPU of Redis', '% of a core'],
    ];
    private const QUEUES = 8;

    public function repeat(int $round): void
    {
        $stage = Stage::redis();
        $queues = array_map(fn ($i) => Stage::queue("q$i", 1), range(1, self::QUEUES));
        $run = $stage->run(self::QUEUES, $queues)->start();
        pause(2); // what it does once after its start
        $this->watch($stage, $run, $this->settings->sized(20, 10));
        for ($i = 0; $i < self::QUEUES; $i++) { // and it still works
            $stage->fill(1, $i, $queues[$i]['name']);
        }
        $run->waitFor(self::QUEUES);
        $run->stop();
        $stage->close();
    }

    private function watch(Stage $stage, Run $run, float $seconds): void
    {
        $log = "{$stage->place->dir}/monitor";
        $monitor = System::start(['redis-cli', '-s', $stage->redis->socket, 'monitor'], $log);
        $pid = proc_get_status($monitor)['pid'];
        $stage->place->register($pid);
        wait_for(fn () => str_contains((string) file_get_contents($log), 'OK'), 'MONITOR', 5);
        $began = hrtime(true);
        $before = [$run->cpu(), $stage->redis_cpu(), $stage->redis->info('stats', 'total_commands_processed')];
        pause($seconds);
        $after = [$run->cpu(), $stage->redis_cpu(), $stage->redis->info('stats', 'total_commands_processed')];
        $took = Stage::seconds_since($began);
        $stage->place->end($pid);
        proc_close($monitor);
        $direct = array_filter(file($log), fn ($line) => preg_match('/^[\d.]+ \[\d+ (?!lua)/', $line) && !preg_match('/"(INFO|monitor)"/i', $line));
        $this->note('cpu', ($after[0] - $before[0]) / $took * 100);
        $this->note('calls', count($direct) / $took);
        $this->note('inside', ($after[2] - $before[2] - 2) / $took);
        $this->note('redis', ($after[1] - $before[1]) / $took * 100);
    }
}
