<?php

declare(strict_types=1);

namespace Bench;

use Chaos\System;
use MPQueue\Queue;

require __DIR__ . '/framework/framework.php';

/** What a worker costs when there is a framework in it, and what a job costs that waits. */
final class Memory extends Measurement
{
    public const TITLE = 'Memory, with Symfony, Twig and Doctrine loaded by preload';
    public const ROWS = [
        'alone' => ['a process that loads them by itself, private', 'MB', 'at least', 30],
        'worker' => ['a worker after 1,000 jobs, private, mean of 8', 'MB', 'at most', 3],
        'worker most' => ['the largest of them', 'MB', 'at most', 3],
        'further' => ['what each worker from the third to the eighth adds to the PSS of all', 'MB', 'at most', 3],
        'manager' => ['manager, private', 'MB', 'at most', 10],
        'dispatcher' => ['dispatcher, private', 'MB', 'at most', 10],
        'template' => ['template, private', 'MB'],
        'pss' => ['service with 8 workers, PSS of all processes', 'MB'],
        'envelope' => ['envelope of a waiting job', 'bytes'],
        'overhead' => ['what Redis takes for a waiting job beyond the envelope', 'bytes', 'at most', 30],
    ];
    private const EACH = 1000;
    private string $vendor;

    public function prepare(): void
    {
        $dir = dirname(__DIR__, 2) . '/build/bench/framework';
        is_dir($dir) || mkdir($dir, recursive: true);
        $wanted = file_get_contents(__DIR__ . '/framework/composer.json');
        $this->vendor = "$dir/vendor";
        if (!is_file("$dir/done") || file_get_contents("$dir/done") !== $wanted) {
            file_put_contents("$dir/composer.json", $wanted);
            exec('COMPOSER_ALLOW_SUPERUSER=1 composer update --no-interaction --no-scripts --quiet --working-dir=' . escapeshellarg($dir) . ' 2>&1', $lines, $status);
            $status === 0 || throw new \RuntimeException("The framework can't be installed with Composer:\n" . implode("\n", $lines));
            file_put_contents("$dir/done", $wanted);
        }
        putenv("BENCH_FRAMEWORK=$this->vendor");
    }

    public function repeat(int $round): void
    {
        $this->note('alone', $this->alone());
        $stage = Stage::redis();
        $two = $this->workers($stage, 2);
        $eight = $this->workers($stage, 8);
        $this->note('worker', array_sum($eight['worker']) / count($eight['worker']));
        $this->note('worker most', max($eight['worker']));
        $this->note('further', ($eight['pss'] - $two['pss']) / 6);
        foreach (['manager', 'dispatcher', 'template'] as $role) {
            $this->note($role, max($eight[$role]));
        }
        $this->note('pss', $eight['pss']);
        $stage->close();
        $this->waiting($this->settings->number(200_000, 100_000));
    }

    private function alone(): float
    {
        $code = 'require $argv[1]; require $argv[2]; Bench\Framework::load();
            preg_match_all("/^Private_(?:Clean|Dirty): +(\d+)/m", file_get_contents("/proc/" . getmypid() . "/smaps_rollup"), $found);
            echo array_sum($found[1]);';
        $command = \Chaos\php('-r', $code, __DIR__ . '/lib/jobs.php', __DIR__ . '/framework/framework.php');
        exec(implode(' ', array_map(escapeshellarg(...), $command)), $lines, $status);
        $status === 0 || throw new \RuntimeException("the framework can't be loaded:\n" . implode("\n", $lines));
        return (int) end($lines) * 1024 / 1e6;
    }

    /** MB by role, after each worker has run a thousand jobs. */
    private function workers(Stage $stage, int $workers): array
    {
        $numbers = 4 * $workers * self::EACH; // they do not share them evenly
        $run = $stage->run($numbers, [Stage::queue('jobs', $workers)], 1, ['preload' => 'Bench\Framework::load'], [__DIR__ . '/framework/framework.php'])->start();
        foreach (array_chunk(range(0, $numbers - 1), 500) as $chunk) {
            Queue::pushMany('jobs', array_map(fn ($number) => new Mail($number, 'ada@example.org'), $chunk));
        }
        $run->waitFor($numbers);
        usleep(200_000);
        $node = $run->node();
        $mb = fn (array $pids, string $what) => array_map(fn ($pid) => System::memory($pid)[$what] / 1e6, $pids);
        $sizes = ['manager' => $mb([$node->pid()], 'private'), 'pss' => array_sum($mb(array_keys(System::members($node->pid())), 'pss'))];
        foreach (['dispatcher', 'template', 'worker'] as $role) {
            $sizes[$role] = $mb($node->pids($role), 'private');
        }
        $run->stop();
        if (count($run->by_worker) !== $workers || min($run->by_worker) < self::EACH) {
            throw new \RuntimeException('not every worker has run ' . self::EACH . ' jobs, but ' . implode(', ', $run->by_worker));
        }
        return $sizes;
    }

    private function waiting(int $jobs): void
    {
        $stage = Stage::redis();
        $envelope = strlen($stage->envelope());
        $stage->fill(1);
        $before = $stage->redis->info('memory', 'used_memory');
        $stage->fill($jobs, 1);
        $after = $stage->redis->info('memory', 'used_memory');
        $this->note('envelope', $envelope);
        $this->note('overhead', ($after - $before) / $jobs - $envelope);
        Run::account($jobs + 1, $jobs + 1 - Queue::counts('jobs')['waiting'], 0);
        $stage->close();
    }
}
