--TEST--
Workers do not repeat the random numbers of their parent or of each other
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function job()
    {
        static $told = false;
        if (!$told) {
            note(implode(' ', ['mt' . mt_rand(), 'rand' . rand(), 'lcg' . lcg_value(), 'array' . implode(',', (array) array_rand(range(0, 1 << 16), 3)),
                'shuffle' . md5(str_shuffle(str_repeat('abcdefgh', 9))), 'int' . random_int(0, PHP_INT_MAX), 'uniq' . uniqid('', true)]));
            $told = true;
        }
        usleep(30000);
    }
    PHP, main: 'mt_srand(42); mt_rand(); lcg_value(); uniqid("", true);',
    basics: "'preload' => function () { mt_srand(43); mt_rand(); lcg_value(); uniqid('', true); }",
    queue: "'worker_number' => 3, 'max_jobs' => 4");
$service->start();
MPQueue\Queue::pushMany('q', array_fill(0, 24, 'job'));
$service->waitForDone(24);
$service->stop();
$notes = $service->notes();
var_dump(count($notes) >= 6);
foreach (array_map(null, ...array_map(fn ($note) => explode(' ', $note), $notes)) as $values) {
    echo preg_replace('/\d.*/', '', $values[0]), ' ', count($values) === count(array_unique($values)) ? 'unique' : implode(' ', $values), "\n";
}
--EXPECTF--
bool(true)
mt unique
rand unique
lcg unique
array unique
shuffle%S unique
int unique
uniq unique
