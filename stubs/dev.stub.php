<?php

/** @generate-function-entries */

/* Only in a module configured with --enable-mpqueue-dev: what tests need to get at the bytes of jobs. */

/** The bytes that a push would store. */
function mpqueue_dev_encode(mixed $job, array $args = []): string {}

/** Turns bytes into a job and runs it as a worker does, without guard and limits. */
function mpqueue_dev_run(string $payload): mixed {}

/** Turns bytes into a job; what `$jobInfo['job']` would be. */
function mpqueue_dev_decode(string $payload): mixed {}

/** What logs and records call such a job. */
function mpqueue_dev_describe(string $payload): string {}
