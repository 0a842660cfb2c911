<?php

declare(strict_types=1);

require_once __DIR__ . '/Results.php';

/** The demo's job: the SHA-256 of one file. */
final class HashFile extends MPQueue\Job
{
    // A file may be large; what a job may take by default (2 minutes) is not for this one.
    protected $timeout = 3600;
    protected $fail_number = 3;
    protected $fail_expire = 0.1;

    public function __construct(private int $number, private string $path, private int $pushedAt)
    {
    }

    public function handle()
    {
        $waited = hrtime(true) - $this->pushedAt;
        $hash = @hash_file('sha256', $this->path, true);
        if ($hash === false) {
            Results::add($this->number, Results::UNREADABLE, $waited, '');
        } else {
            Results::add($this->number, Results::HASHED, $waited, $hash);
        }
    }

    /** Called when the last attempt has failed, too. */
    public function fail_handle(array &$jobInfo, Throwable $e)
    {
        Results::add($this->number, Results::FAILED, 0, '');
        Results::addFailure($this->number, get_class($e) . ': ' . $e->getMessage());
    }
}
