<?php

/** @generate-class-entries */

namespace MPQueue;

/**
 * The configuration that MPQueue\Queue works with.
 *
 * @strict-properties
 * @not-serializable
 */
final class Config
{
    /**
     * queue[].model: the service's dispatcher hands the jobs out (the default).
     *
     * @var int
     */
    public const MODE_DISTRIBUTE = 1;

    /**
     * queue[].model: each worker asks the store for jobs by itself.
     *
     * @var int
     */
    public const MODE_GRAB = 2;

    private function __construct() {}

    /**
     * Sets the configuration until the end of the request (the process in CLI); one that was set before is replaced.
     * Does not connect.
     *
     *     Config::set([
     *         'basics' => ['name' => 'shop', 'driver' => new Driver\Redis('127.0.0.1')],
     *         'queue' => [['name' => 'mail', 'worker_number' => 4, 'timeout' => 30]],
     *     ]);
     *
     * @param array $config the sections basics, log and queue; a null value counts as absent. Pushing needs
     *     basics.driver, the queues' names and, if there are any, basics.signing_keys only.
     * @throws \MPQueue\Exception\ConfigException everything that is wrong, one line for each, with its path
     */
    public static function set(#[\SensitiveParameter] array $config): void {}

    /** The array given to set(), null before. Each of basics.signing_keys is inside of a SensitiveParameterValue. */
    public static function get(): ?array {}
}
