--TEST--
Time limit: a call that does not come back to PHP is ended by the grace
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/limits.inc';
$limits = new Limits(<<<'PHP'
    function reads_a_socket()
    {
        $lock = begin();
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $client = stream_socket_client('tcp://' . stream_socket_get_name($server, false));
        $accepted = stream_socket_accept($server);
        stream_set_timeout($client, 100);
        fread($client, 1);
    }
    function hashes() { $lock = begin(); hash_pbkdf2('sha512', 'password', 'salt', 100000000); }
    function reads_a_pipe() { $lock = begin(); posix_mkfifo(here('fifo'), 0600); while (true) @file_get_contents(here('fifo')); }
    PHP);
$limits->start();
foreach (['reads_a_socket' => true, 'hashes' => true, 'reads_a_pipe' => false] as $job => $killed) {
    $limits->check($job, $killed);
}
$limits->stop();
--EXPECT--
reads_a_socket: killed in time
hashes: killed in time
reads_a_pipe: interrupted in time
int(0)
