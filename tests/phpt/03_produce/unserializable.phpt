--TEST--
Jobs that can't be serialized: the class, the reason and the cause are named, nothing is pushed
--FILE--
<?php
use MPQueue\{Config, Job, Queue};

require __DIR__ . '/../../support/php/produce.inc';
Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'q']]]);

class Holds extends Job
{
    public function __construct(public mixed $what) {}
    public function handle() {}
}
class Refuses extends Job
{
    public function handle() {}
    public function __serialize(): array { throw new DomainException('not me', 7); }
}
class Leaves extends Job
{
    public function handle() {}
    public function __serialize(): array { exit("left\n"); }
}

attempt(fn () => Queue::push('q', new Holds(fn () => 1)));
attempt(fn () => Queue::push('q', new Holds(new SplFileInfo('.'))));
attempt(fn () => Queue::push('q', new Holds(new MPQueue\Driver\Redis('h', password: 'hunter2'))));
attempt(fn () => Queue::push('q', new Refuses));
attempt(fn () => Queue::push('q', 'strlen', 0, ['args' => [[fn () => 1]]]));
attempt(fn () => Queue::push('q', [new Refuses, 'handle']));
attempt(fn () => Queue::pushMany('q', ['strlen', 'a' => new Refuses]));
attempt(fn () => Queue::push('q', new class extends Job { function handle() {} }));
echo Queue::counts('q')['pushed'], "\n";
register_shutdown_function(fn () => print(Queue::counts('q')['pushed'] . "\n"));
try {
    Queue::push('q', new Leaves);
} finally {
    echo "not reached: exit() unwinds\n";
}
?>
--EXPECT--
MPQueue\Exception\PayloadException: the job of class Holds can't be serialized: Serialization of 'Closure' is not allowed
  <- Exception: Serialization of 'Closure' is not allowed
MPQueue\Exception\PayloadException: the job of class Holds can't be serialized: Serialization of 'SplFileInfo' is not allowed
  <- Exception: Serialization of 'SplFileInfo' is not allowed
MPQueue\Exception\PayloadException: the job of class Holds can't be serialized: Serialization of 'MPQueue\Driver\Redis' is not allowed
  <- Exception: Serialization of 'MPQueue\Driver\Redis' is not allowed
MPQueue\Exception\PayloadException: the job of class Refuses can't be serialized: not me
  <- DomainException: not me
MPQueue\Exception\PayloadException: the job, or its arguments, can't be serialized: Serialization of 'Closure' is not allowed
  <- Exception: Serialization of 'Closure' is not allowed
MPQueue\Exception\PayloadException: the job, or its arguments, can't be serialized: not me
  <- DomainException: not me
MPQueue\Exception\PayloadException: the job of class Refuses can't be serialized: not me
  <- DomainException: not me
MPQueue\Exception\PayloadException: the job of class MPQueue\Job@anonymous can't be serialized: Serialization of 'MPQueue\Job@anonymous' is not allowed
  <- Exception: Serialization of 'MPQueue\Job@anonymous' is not allowed
0
left
0
