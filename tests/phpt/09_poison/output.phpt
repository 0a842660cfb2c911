--TEST--
Poison: jobs that fill the output, and a reader of the output that does not read
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/poison.inc';
$poison = new Poison(<<<'PHP'
    function fills_a_buffer() { ob_start(); while (true) echo str_repeat('x', 1 << 20); }
    function nests() { for ($i = 0; $i < 1000; $i++) { ob_start(); echo 'x'; } }
    function prints_much() { for ($i = 0; $i < 32; $i++) echo str_repeat(str_repeat('x', 1023) . "\n", 1024); }
    function starts_in_a_callback() { ob_start(function () { ob_start(); return ''; }); echo 'x'; }
    function grows_in_a_callback() { ob_start(function ($text) { $a = []; while (true) $a[] = str_repeat('x', 1 << 20); }); echo 'x'; }
    PHP, basics: "'timeout_grace' => 0.2", queue: "'fail_number' => 1, 'timeout' => 5");
$poison->start('-d', 'memory_limit=64M');
$poison->check('fills_a_buffer');
$poison->passes('nests');
$poison->passes('prints_much');
foreach (['starts_in_a_callback', 'grows_in_a_callback'] as $job) {
    $poison->check($job);
}
$poison->stop();
--EXPECTF--
fills_a_buffer: 1 x out_of_memory: Allowed memory size of 67108864 bytes exhausted (tried to allocate %d bytes)
nests: done
prints_much: done
starts_in_a_callback: 1 x fatal: ob_start(): Cannot use output buffering in output buffering display handlers
grows_in_a_callback: 1 x out_of_memory: Allowed memory size of 67108864 bytes exhausted (tried to allocate %d bytes)
stopped with 0, {"waiting":0,"delayed":0,"running":0}, all output there
