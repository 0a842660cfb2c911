--TEST--
User code that runs during a push may push, and may replace the configuration
--FILE--
<?php
use MPQueue\{Config, Driver, Job, Queue};

require __DIR__ . '/../../support/php/produce.inc';

class Pushes extends Job
{
    function handle() {}
    function __serialize(): array
    {
        Queue::push('q', 'trim');
        return [];
    }
    function getTimeout()
    {
        Config::set(['basics' => ['driver' => new Driver\Memory], 'queue' => [['name' => 'elsewhere']]]);
        gc_collect_cycles();
        return null;
    }
}

use_redis(['timeout' => 33]);
$id = Queue::push('q', new Pushes);
[$inner, $outer] = stored();
var_dump($inner['payload'] === 'F' . serialize(['trim', []]), $outer['id'] === $id, $outer['timeout_ms']);
echo Config::get()['queue'][0]['name'], ' ', Queue::counts('elsewhere')['pushed'], "\n";
?>
--EXPECT--
bool(true)
bool(true)
int(33000)
elsewhere 0
