--TEST--
100 jobs of 5 MB of random bytes arrive unchanged
--INI--
memory_limit=512M
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    class Large extends MPQueue\Job
    {
        public function __construct(public string $bytes, public string $sum) {}
        public function handle()
        {
            note(strlen($this->bytes) === 5 << 20 && md5($this->bytes) === $this->sum ? 'whole' : 'damaged');
        }
    }
    PHP, queue: "'worker_number' => 2, 'memory_limit' => 0");
$service->start();
$bytes = random_bytes(5 << 20);
for ($i = 0; $i < 100; $i++) {
    $bytes[$i] = chr($i);
    MPQueue\Queue::push('q', new Large($bytes, md5($bytes)));
}
$service->waitFor(fn () => MPQueue\Queue::counts('q')['done'] >= 100, 'all jobs', 90);
print_r(array_count_values($service->notes()));
echo $service->stop(), "\n";
?>
--EXPECT--
Array
(
    [whole] => 100
)
0
