--TEST--
Poison: jobs that close descriptors
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function closes_input() { fclose(STDIN); }
    function closes_output() { fclose(STDOUT); echo "nowhere\n"; }
    function closes_errors() { fclose(STDERR); }
    function closes_all() { fclose(STDIN); fclose(STDOUT); fclose(STDERR); }
    function closes_and_opens_others() { fclose(STDOUT); $GLOBALS['kept'] = fopen(__DIR__ . '/precious', 'w'); }
    function leaves_open() { for ($i = 0; $i < 50; $i++) fopen(__FILE__, 'r'); }
    PHP);
$poison->start();
foreach (['closes_input', 'closes_output', 'closes_errors', 'closes_all', 'closes_and_opens_others', 'leaves_open'] as $job) {
    $poison->passes($job);
}
echo 'precious: ', json_encode(file_get_contents($poison->service->dir . '/precious')), "\n";
$poison->stop();
--EXPECT--
closes_input: done
closes_output: done
closes_errors: done
closes_all: done
closes_and_opens_others: done
leaves_open: done
precious: ""
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
