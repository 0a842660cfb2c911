--TEST--
Poison: a seed that a job sets is not the next one's
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function seeds() { mt_srand(5); }
    function seeds_otherwise() { srand(5, MT_RAND_PHP); }
    function draws() { note(implode(' ', [getmypid(), mt_rand(1, 1 << 30), rand(1, 1 << 30), mt_rand()])); }
    PHP);
$service->start();
MPQueue\Queue::pushMany('q', ['draws', 'seeds', 'draws', 'seeds', 'draws', 'seeds_otherwise', 'draws']);
$drawn = array_map(fn ($note) => explode(' ', $note), $service->waitForNotes(4));
foreach ([MT_RAND_MT19937, MT_RAND_PHP] as $mode) {
    mt_srand(5, $mode);
    $known[] = mt_rand(1, 1 << 30);
}
var_dump(count(array_unique(array_column($drawn, 0))), count(array_unique(array_column($drawn, 1))),
    array_intersect(array_column($drawn, 1), $known), $service->stop());
--EXPECT--
int(1)
int(4)
array(0) {
}
int(0)
