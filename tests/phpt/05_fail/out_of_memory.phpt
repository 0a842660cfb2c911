--TEST--
A job that ran out of memory is never taken for done, nor is one that comes after it
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function hoards(string $how)
    {
        note('run ' . getmypid());
        ini_set('memory_limit', '16M');
        switch ($how) {
            case 'string': $x = str_repeat('x', 64 << 20); break;
            case 'array': for ($x = [];;) { $x[] = str_repeat('y', 1000); }
            case 'caught': try { $x = range(1, 10000000); } catch (Throwable) { note('caught'); } break;
            case 'in callback': array_map(fn ($i) => str_repeat('z', 64 << 20), [1, 2, 3]); break;
            case 'in shutdown of buffer': ob_start(function () { return str_repeat('b', 64 << 20); }); echo 'x'; break;
        }
        note('NEVER');
    }
    class Unpacked
    {
        public function __unserialize(array $data): void { ini_set('memory_limit', '16M'); $this->x = str_repeat('x', 64 << 20); }
        public function __serialize(): array { return []; }
        public function __invoke() { note('NEVER'); }
    }
    function fine() { note('fine'); }
    PHP, queue: <<<'PHP'
    'fail_number' => 2,
    'fail_handle' => function ($info, $e) { note(get_class($e) . ': ' . preg_replace('/\d+/', 'N', $e->getMessage())); }
    PHP);
$service->start();
foreach (['string', 'array', 'caught', 'in callback'] as $how) {
    MPQueue\Queue::push('q', 'hoards', 0, ['args' => [$how]]);
    MPQueue\Queue::push('q', 'fine');
}
MPQueue\Queue::push('q', new Unpacked);
$service->waitForFailed(5);
$service->waitForDone(4);
var_dump($service->stop());
$notes = $service->notes();
$runs = preg_grep('/^run /', $notes);
var_dump(count($runs), count(array_unique($runs)));
print_r(array_count_values(preg_grep('/^run /', $notes, PREG_GREP_INVERT)));
foreach (MPQueue\Queue::failed('q') as $record) {
    $ends[] = implode(' ', array_column($record['causes'], 'end'));
}
sort($ends);
echo implode("\n", $ends), "\n";
echo json_encode(MPQueue\Queue::counts('q')), "\n";
--EXPECT--
int(0)
int(8)
int(8)
Array
(
    [fine] => 4
    [MPQueue\Exception\OutOfMemoryException: Allowed memory size of N bytes exhausted (tried to allocate N bytes)] => 4
)
out_of_memory out_of_memory
out_of_memory out_of_memory
out_of_memory out_of_memory
out_of_memory out_of_memory
out_of_memory out_of_memory out_of_memory out_of_memory
{"pushed":9,"waiting":0,"delayed":0,"running":0,"failed":5,"done":4}
