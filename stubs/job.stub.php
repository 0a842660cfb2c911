<?php

/** @generate-class-entries */

namespace MPQueue;

/**
 * A job with settings of its own. Extend it, give it its data in the constructor, and push the object:
 *
 *     class SendMail extends \MPQueue\Job
 *     {
 *         protected $timeout = 30;
 *         public function __construct(private int $user) {}
 *         public function handle() { mail(address_of($this->user), 'Hello', '...'); }
 *     }
 *     \MPQueue\Queue::push('mail', new SendMail(42));
 *
 * A push stores the object with serialize(); the worker runs a copy. Settings that are null are the queue's.
 */
abstract class Job
{
    /**
     * Time limit of one run in seconds, fractions allowed (0 to 4294967; 0 = none).
     *
     * @var int|float|null
     */
    protected $timeout = null;

    /**
     * The failure with this number is the last one; 0 counts as 1.
     *
     * @var int|null
     */
    protected $fail_number = null;

    /**
     * Seconds from a failure to the next run, fractions allowed (0 to 4294967).
     *
     * @var int|float|null
     */
    protected $fail_expire = null;

    /**
     * Asked at push. Returns $timeout.
     *
     * @return int|float|null
     */
    public function getTimeout() {}

    /**
     * Asked at push. Returns $fail_number.
     *
     * @return int|null
     */
    public function getFailNumber() {}

    /**
     * Asked at push. Returns $fail_expire.
     *
     * @return int|float|null
     */
    public function getFailExpire() {}

    /**
     * The work. What it throws is a failure.
     *
     * @return mixed ignored
     */
    abstract public function handle();

    /**
     * Called in a fresh copy of the object after the job has failed for the last time or has timed out, under the job's
     * time limit. The queue's fail_handle is called next if this returned exactly false.
     *
     * @param array $jobInfo what is known of the job; changes are kept for the queue's fail_handle
     * @param \Throwable $e what the last run has thrown, or an MPQueue\Exception that says how it ended
     * @return mixed false: call the queue's fail_handle, too
     */
    public function fail_handle(array &$jobInfo, \Throwable $e) {}
}
