<?php

/** @generate-class-entries */

/**
 * The console of a service: does what the command line asks and returns the exit status, 0 when it went well, 1 when
 * it did not, 2 when the command line was not understood.
 *
 *     exit(mpqueue_run(require __DIR__ . '/config/mp-queue.php'));
 *
 * Works on the command line only. Worker processes never come back from this call: what follows it is run in the
 * process that was started, and in no other.
 *
 * @param array $config see MPQueue\Config::set(); it is set for this process too, unless the script has done so
 * @param array|null $argv the command line, its first element is the script's name; null = $_SERVER['argv']
 *
 * @throws MPQueue\Exception\ConfigException listing everything that is wrong with $config
 * @throws MPQueue\Exception\ServiceException when called in a web request or inside of a worker
 */
function mpqueue_run(#[\SensitiveParameter] array $config, ?array $argv = null): int {}
