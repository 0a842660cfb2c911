--TEST--
100,000 small jobs: each is run once, none is lost
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    /* Notes each run in one file that all workers append to. */
    class Tick extends MPQueue\Job
    {
        private static $ticks;
        public function __construct(public int $number, public string $file) {}
        public function handle()
        {
            self::$ticks ??= fopen($this->file, 'a');
            fwrite(self::$ticks, pack('N', $this->number));
        }
    }
    PHP, queue: "'worker_number' => 2");
$ticks = "$service->dir/ticks";
$service->start();
$ids = [];
for ($i = 0; $i < 100000; $i += 1000) {
    $jobs = array_map(fn ($n) => new Tick($n, $ticks), range($i, $i + 999));
    $ids[] = MPQueue\Queue::pushMany('q', $jobs);
}
echo count(array_unique(array_merge(...$ids))), " ids\n";
$service->waitFor(fn () => MPQueue\Queue::counts('q')['done'] >= 100000, 'all jobs', 90);
$runs = array_count_values(unpack('N*', file_get_contents($ticks)));
echo count($runs), ' jobs, most runs of one: ', max($runs), "\n";
echo json_encode(MPQueue\Queue::counts('q')), "\n";
echo $service->stop(), "\n";
?>
--EXPECT--
100000 ids
100000 jobs, most runs of one: 1
{"pushed":100000,"waiting":0,"delayed":0,"running":0,"failed":0,"done":100000}
0
