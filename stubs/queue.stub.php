<?php

/** @generate-class-entries */

namespace MPQueue;

/**
 * Pushing jobs, and looking at queues. MPQueue\Config::set() comes first. The connection is kept for the life of the
 * process and made again when it is lost; every call ends within connect_timeout + read_timeout.
 *
 * @strict-properties
 * @not-serializable
 */
final class Queue
{
    private function __construct() {}

    /**
     * Stores one job. Once it has returned the job will be run at least once. After an exception because of the
     * connection the same call can be repeated: the job is stored once.
     *
     *     Queue::push('mail', new SendMail(42));
     *     Queue::push('mail', SendMail::class, 1.5, ['args' => [42], 'timeout' => 10]);
     *     Queue::push('mail', [Mailer::class, 'send'], options: ['args' => ['to' => 'a@b.c']]);
     *     Queue::push('mail', fn () => touch('/tmp/done'), new DateTime('tomorrow'));
     *
     * @param string $queue name of a configured queue
     * @param mixed $job a MPQueue\Job or any object with __invoke(); the name of a MPQueue\Job class, constructed in
     *     the worker; a function's name (it has to exist here, too), 'A::b', [class, method], [object, method];
     *     a closure (needs laravel/serializable-closure; not for closures of named functions such as strlen(...))
     * @param float|int|\DateTimeInterface|\DateInterval $delay seconds from now, kept to the millisecond, or a point in
     *     time (one in the past = now); at most ten years
     * @param array $options timeout (seconds, 0 = none), fail_number, fail_expire (seconds): instead of the job's own
     *     or the queue's; args: arguments of the callable or the class's constructor, string keys are named arguments
     * @return string the job's id, 32 hexadecimal digits
     * @throws \ValueError the delay is negative, not finite or too long
     * @throws Exception\ConfigException nothing is configured, the queue is unknown, or an option is wrong
     * @throws Exception\PayloadException this is no job, can't be serialized, or is too large
     * @throws Exception\ConnectionException the store can't be reached or did not answer in time
     * @throws Exception\BrokerException the store refused
     */
    public static function push(string $queue, mixed $job, float|int|\DateTimeInterface|\DateInterval $delay = 0, array $options = []): string {}

    /**
     * Stores many jobs, in their order; up to a thousand in each round trip, each such chunk whole or not at all.
     *
     * @param array $jobs each as for push()
     * @param float|int|\DateTimeInterface|\DateInterval $delay as for push()
     * @param array $options as for push(); for all jobs
     * @return array the ids, under the keys of $jobs and in their order
     * @throws \ValueError as for push()
     * @throws Exception\QueueException as for push(). Nothing is stored when one of them is no job; when the store
     *     failed in the middle the message says how many are stored, and repeating the call adds none twice.
     */
    public static function pushMany(string $queue, array $jobs, float|int|\DateTimeInterface|\DateInterval $delay = 0, array $options = []): array {}

    /**
     * How many jobs the queue has: pushed (ever), waiting, delayed (retries included), running, failed (records kept),
     * done (ever).
     *
     * @return array<string, int>
     * @throws Exception\QueueException as for push()
     */
    public static function counts(string $queue): array {}

    /**
     * The records of jobs that have failed for the last time.
     *
     * @param int $limit at most this many; 1 or more
     * @return array under the ids: id, job (what it would have run), payload (bytes as stored), created_at, timeout,
     *     fail_number, fail_expire (seconds), failures, and causes: one array for each failed run, oldest first, with
     *     end, class, message, file, line, trace, code, exit_status, signal, in_handler, run, started_at, ended_at,
     *     worker, node. Times are seconds since 1970 with fractions.
     * @throws \ValueError the limit is less than 1
     * @throws Exception\QueueException as for push()
     */
    public static function failed(string $queue, int $limit = 100): array {}

    /**
     * Deletes everything the queue stores, its failed records and counts included. Jobs that are being run run on;
     * their results are dropped.
     *
     * @throws Exception\QueueException as for push()
     */
    public static function clear(string $queue): void {}
}
