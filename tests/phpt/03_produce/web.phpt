--TEST--
In a web server: the configuration ends with the request, the connection stays
--INI--
pcre.jit=0
--FILE--
<?php
require __DIR__ . '/../../support/php/produce.inc';

$dir = sys_get_temp_dir() . '/' . getmypid();
mkdir($dir);
file_put_contents("$dir/index.php", '<?php
use MPQueue\{Config, Driver, Queue};
$socket = ' . var_export(getenv('MPQUEUE_TEST_REDIS_SOCKET'), true) . ';
$known = Config::get() !== null;
Config::set(["basics" => ["driver" => new Driver\Redis($socket, prefix: "' . redis_prefix() . '")], "queue" => [["name" => "q", "fail_handle" => fn () => 1]]]);
$id = Queue::push("q", "strlen", 0, ["args" => [$_GET["n"] ?? ""]]);
echo json_encode([$known, strlen($id), Queue::counts("q")["pushed"]]);
');
$server = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($server, false);
fclose($server);
$extension = getenv('MPQUEUE_TEST_EXTENSION') ?: ini_get('extension_dir') . '/mpqueue.so';
$process = proc_open([PHP_BINARY, '-n', '-d', "extension=$extension", '-S', $address, '-t', $dir], [1 => ['file', "$dir/log", 'w'], 2 => ['file', "$dir/log", 'w']], $pipes);
for ($i = 0; $i < 200 && !@fsockopen(...explode(':', $address)); $i++) {
    usleep(25000);
}
function connections(): int
{
    preg_match('/total_connections_received:(\d+)/', redis('INFO', 'stats'), $found);
    return (int)$found[1];
}
$before = connections();
for ($i = 1; $i <= 4; $i++) {
    echo file_get_contents("http://$address/?n=$i"), "\n";
}
echo connections() - $before, " connection\n";
proc_terminate($process);
proc_close($process);
echo count(stored()), "\n";
?>
--EXPECT--
[false,32,1]
[false,32,2]
[false,32,3]
[false,32,4]
1 connection
4
