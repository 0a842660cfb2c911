--TEST--
Config::set() again: an equal one changes nothing, another one replaces it, a wrong one leaves the old in place
--FILE--
<?php
use MPQueue\{Config, Queue};

require __DIR__ . '/../../support/php/produce.inc';

class Noisy
{
    public function __construct(private string $name) {}
    public function __invoke() {}
    public function __destruct()
    {
        // The new configuration is in place already when the old one's parts go.
        echo "destructed $this->name, known now: ", Config::get()['queue'][0]['name'] ?? 'none', "\n";
    }
}

function config(string $queue, string $handler): array
{
    return ['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => $queue, 'fail_handle' => new Noisy($handler)]]];
}

Config::set($a = config('a', 'first'));
Config::set($a);
Config::set($a);
echo strlen(Queue::push('a', 'strlen')), "\n";
unset($a);
attempt(fn () => Config::set(['basics' => []]));
echo strlen(Queue::push('a', 'strlen')), "\n";
Config::set(config('b', 'second'));
attempt(fn () => Queue::push('a', 'strlen'));
echo Queue::counts('b')['pushed'], "\n";
$got = Config::get();
$got['queue'][0]['name'] = 'changed';
unset($got);
echo Config::get()['queue'][0]['name'], "\n";
?>
--EXPECT--
32
MPQueue\Exception\ConfigException: basics.driver is missing: set a MPQueue\Driver\Redis or MPQueue\Driver\Sqlite object
queue is missing: it must be a list of queues: [['name' => 'mail'], ...]
32
destructed first, known now: b
MPQueue\Exception\ConfigException: queue "a" is not configured; known queues: "b"
0
b
destructed second, known now: b
