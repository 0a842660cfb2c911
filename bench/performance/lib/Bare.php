<?php

declare(strict_types=1);

namespace Bench;

/** The same work in processes that do nothing else: no queue, no jobs, a loop. */
final class Bare
{
    private const TURNS = 200_000;

    /** How many turns take a millisecond of this machine when nobody else wants it. */
    public static function turns_of_ms(): int
    {
        $best = PHP_INT_MAX;
        for ($i = 0; $i < 20; $i++) {
            $began = hrtime(true);
            turn(self::TURNS);
            $best = min($best, hrtime(true) - $began);
        }
        return (int) (self::TURNS / ($best / 1e6));
    }

    /** How often a second that many processes do it together. */
    public static function loops(callable $work, int $processes, float $seconds): float
    {
        $began = hrtime(true) + 50_000_000; // all have been forked by then
        return array_sum(self::together($processes, function () use ($work, $seconds, $began) {
            while (hrtime(true) < $began) {
                usleep(1000);
            }
            $count = 0;
            $until = $began + (int) ($seconds * 1e9);
            do {
                $work();
                $count++;
            } while (($now = hrtime(true)) < $until);
            return $count / (($now - $began) / 1e9);
        }));
    }

    /** What each of that many processes returns; their number is their argument. An exception is one here. */
    public static function together(int $processes, callable $do): array
    {
        $pipes = $pids = [];
        for ($i = 0; $i < $processes; $i++) {
            [$pipes[$i], $answer] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            if (($pids[] = pcntl_fork()) === 0) {
                try {
                    $said = ['value' => $do($i)];
                } catch (\Throwable $e) {
                    $said = ['error' => get_class($e) . ": {$e->getMessage()}"];
                }
                fwrite($answer, serialize($said));
                posix_kill(getmypid(), SIGKILL); // without what PHP would do at the end, which is its parent's
            }
            fclose($answer);
        }
        $said = array_map(fn ($pipe) => unserialize(stream_get_contents($pipe)), $pipes);
        array_map(fn ($pid) => pcntl_waitpid($pid, $status), $pids);
        foreach ($said as $one) {
            isset($one['value']) || throw new \RuntimeException($one['error'] ?? 'a process has died');
        }
        return array_column($said, 'value');
    }
}
