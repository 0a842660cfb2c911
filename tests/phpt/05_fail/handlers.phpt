--TEST--
The queue's fail_handle is asked only when the job's own returned exactly false
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    abstract class Base extends MPQueue\Job
    {
        protected $fail_number = 1;
        public function __construct(protected mixed $answer) {}
        public function handle() { throw new Exception('x'); }
    }
    class Asked extends Base
    {
        public function fail_handle(array &$jobInfo, Throwable $e)
        {
            note('job ' . json_encode($this->answer));
            $jobInfo['added'] = 'by the job';
            return $this->answer;
        }
    }
    class NotAsked extends Base {}
    function boom() { throw new Exception('y'); }
    PHP, queue: <<<'PHP'
    'fail_number' => 1,
    'fail_handle' => function (array &$info, Throwable $e) {
        note('queue ' . (is_object($info['job']) ? get_class($info['job']) : $info['job']) . ' ' . $e->getMessage() . ' ' . ($info['added'] ?? '-'));
        $info = [];
    },
    PHP);
$service->start();
foreach ([true, null, 0, '', false] as $answer) {
    MPQueue\Queue::push('q', new Asked($answer));
}
MPQueue\Queue::push('q', new NotAsked(1));
MPQueue\Queue::push('q', 'boom');
$service->waitForFailed(7);
$service->stop();
echo implode("\n", $service->notes()), "\n", $service->output();
--EXPECT--
job true
job null
job 0
job ""
job false
queue Asked x by the job
queue NotAsked x -
queue boom y -
