<?php

declare(strict_types=1);

namespace Bench;

use MPQueue\Queue;

/** What it costs to hand a job over, beside phpredis with the same bytes on the same socket, in turns of a short while. */
final class Push extends Measurement
{
    public const TITLE = 'Push from one process';
    public const ROWS = [
        'bare' => ['phpredis rPush', '1/s'],
        'push' => ['push, one by one', 'jobs/s'],
        'push ratio' => ['push : rPush', 'x', 'at least', 0.9],
        'bare bulk' => ['phpredis, pipeline of rPush with 1,000 values', '1/s'],
        'bulk' => ['pushMany of 1,000', 'jobs/s'],
        'bulk ratio' => ['pushMany : pipelined variadic rPush', 'x', 'at least', 0.5],
        'bare pipeline' => ['phpredis, pipeline of 1,000 times rPush with one value', '1/s'],
        'pipeline ratio' => ['pushMany : pipeline of single rPush', 'x'],
    ];
    private const SLICE = 500;
    private const BULK = 1000;

    public function prepare(): void
    {
        foreach (['igbinary', 'redis'] as $name) {
            extension_loaded($name) || @dl("$name.so");
        }
        extension_loaded('redis') || throw new \RuntimeException('PHP\'s redis extension is missing (package php-redis): push is compared with it.');
    }

    public function repeat(int $round): void
    {
        $stage = Stage::redis();
        $envelope = $stage->envelope();
        $redis = new \Redis();
        $redis->connect($stage->redis->socket);
        $pushed = $this->one_by_one($stage, $redis, $envelope, $this->settings->number(20, 8));
        $pushed = $this->bulk($stage, $redis, $envelope, $this->settings->number(100, 30), $pushed);
        $run = $stage->run($pushed, [Stage::queue()])->start();
        $run->waitFor($pushed);
        $run->stop();
        $stage->close();
    }

    private function one_by_one(Stage $stage, \Redis $redis, string $envelope, int $slices): int
    {
        $bare = $own = 0;
        $ids = [];
        for ($slice = 0; $slice < $slices; $slice++) {
            $began = hrtime(true);
            for ($i = 0; $i < self::SLICE; $i++) {
                $redis->rPush('bare', $envelope);
            }
            $bare += hrtime(true) - $began;
            $redis->del('bare');
            $jobs = $this->jobs($slice * self::SLICE, self::SLICE);
            $began = hrtime(true);
            foreach ($jobs as $job) {
                $ids[] = Queue::push('jobs', $job);
            }
            $own += hrtime(true) - $began;
        }
        $count = $slices * self::SLICE;
        $this->note('bare', $count / ($bare / 1e9));
        $this->note('push', $count / ($own / 1e9));
        $this->note('push ratio', $bare / $own);
        Run::account($count, $count - Queue::counts('jobs')['waiting'], $count - count(array_unique($ids)));
        return $count;
    }

    private function bulk(Stage $stage, \Redis $redis, string $envelope, int $rounds, int $from): int
    {
        $values = array_fill(0, self::BULK, $envelope);
        $variadic = $single = $own = 0;
        for ($i = 0; $i < $rounds; $i++, $from += self::BULK) {
            $began = hrtime(true);
            $redis->multi(\Redis::PIPELINE)->rPush('bare', ...$values)->exec();
            $variadic += hrtime(true) - $began;
            $redis->del('bare');
            $jobs = $this->jobs($from, self::BULK);
            $began = hrtime(true);
            Queue::pushMany('jobs', $jobs);
            $own += hrtime(true) - $began;
            $began = hrtime(true);
            $pipeline = $redis->multi(\Redis::PIPELINE);
            foreach ($values as $value) {
                $pipeline->rPush('bare', $value);
            }
            $pipeline->exec();
            $single += hrtime(true) - $began;
            $redis->del('bare');
        }
        $count = $rounds * self::BULK;
        $this->note('bare bulk', $count / ($variadic / 1e9));
        $this->note('bulk', $count / ($own / 1e9));
        $this->note('bulk ratio', $variadic / $own);
        $this->note('bare pipeline', $count / ($single / 1e9));
        $this->note('pipeline ratio', $single / $own);
        return $from;
    }

    private function jobs(int $from, int $count): array
    {
        return array_map(Stage::nothing(...), range($from, $from + $count - 1));
    }
}
