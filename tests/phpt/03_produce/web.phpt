--TEST--
In a web server: the configuration ends with the request, the connection stays, a fatal error in a push harms neither
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
if (isset($_GET["fatal"])) {
    final class Fat extends MPQueue\Job { function handle() {} function __serialize(): array { trigger_error("it ends here", E_USER_ERROR); } }
    Queue::push("q", new Fat);
}
$id = Queue::push("q", "strlen", 0, ["args" => [$_GET["n"] ?? ""]]);
echo json_encode([$known, strlen($id), Queue::counts("q")["pushed"]]);
');
$server = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($server, false);
fclose($server);
$extension = getenv('MPQUEUE_TEST_EXTENSION') ?: ini_get('extension_dir') . '/mpqueue.so';
$process = proc_open([PHP_BINARY, '-n', '-d', "extension=$extension", '-d', 'display_errors=1', '-S', $address, '-t', $dir], [1 => ['file', "$dir/log", 'w'], 2 => ['file', "$dir/log", 'w']], $pipes);
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
echo substr_count((string)@file_get_contents("http://$address/?fatal=1", context: stream_context_create(['http' => ['ignore_errors' => true]])), 'it ends here'), " fatal\n";
echo file_get_contents("http://$address/?n=5"), "\n";
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
1 fatal
[false,32,5]
1 connection
5
