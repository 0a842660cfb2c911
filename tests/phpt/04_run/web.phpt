--TEST--
A web request can push but not run a service
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: "function job() { note('ran'); }");
$service->write('web.php', <<<'PHP'
    <?php
    require __DIR__ . '/jobs.php';
    $config = require __DIR__ . '/config.php';
    try {
        mpqueue_run($config, ['web', 'worker:start']);
    } catch (MPQueue\Exception\ServiceException $e) {
        echo $e->getMessage(), "\n";
    }
    MPQueue\Config::set($config);
    echo strlen(MPQueue\Queue::push('q', 'job')), "\n";
    PHP);
$socket = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($socket, false);
fclose($socket);
$server = proc_open(Service::php('-S', $address, "$service->dir/web.php"),
    [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', '/dev/null', 'w']], $pipes);
$service->waitFor(fn () => @stream_socket_client("tcp://$address"), 'the web server');
echo file_get_contents("http://$address/"), file_get_contents("http://$address/");
proc_terminate($server);
proc_close($server);
$service->start();
$service->waitForDone(2);
print_r($service->notes());
$service->stop();
--EXPECT--
mpqueue_run() works on the command line only, this is cli-server
32
mpqueue_run() works on the command line only, this is cli-server
32
Array
(
    [0] => ran
    [1] => ran
)
