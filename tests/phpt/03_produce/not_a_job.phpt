--TEST--
What is no job: each is refused with what was given and what is accepted
--FILE--
<?php
use MPQueue\{Config, Job, Queue};

require __DIR__ . '/../../support/php/produce.inc';
Config::set(['basics' => ['driver' => new MPQueue\Driver\Memory], 'queue' => [['name' => 'q']]]);

abstract class Unfinished extends Job {}
class Good extends Job { function handle() {} }
class Other
{
    private function hidden() {}
    private static function hiddenStatic() {}
    static function shown() {}
    function inst() {}
    function closures() { return [$this->hidden(...), self::hiddenStatic(...)]; }
    function pushHidden() { return Queue::push('q', [$this, 'hidden']); }
}
interface Face {}
$anonymous = new class extends Job { function handle() {} };

foreach ([42, 1.5, null, true, '', 'nofunc', "no\0func", 'ArrayObject', 'Face', Job::class, Unfinished::class, new stdClass,
    [], [1, 2, 3], ['Other'], ['Other', 1], [1, 'x'], ['Other', 'nothing'], ['Other', 'inst'], ['Other', 'hiddenStatic'],
    [new Other, 'hidden'], 'Other::nothing', 'Other::inst', '::x', 'Other::', [Good::class, 'handle'],
    ...(new Other)->closures(), $anonymous, $anonymous::class, fopen('php://memory', 'r')] as $job) {
    try {
        Queue::push('q', $job);
        echo "accepted: ", var_export($job, true), "\n";
    } catch (MPQueue\Exception\PayloadException $e) {
        echo str_replace(' A job is a MPQueue\Job object or the name of such a class, an object with __invoke(), a function\'s name, '
            . '"A::b", [class, method], [object, method], or a closure', ' A job is ...', $e->getMessage()), "\n";
    }
}
attempt(fn () => (new Other)->pushHidden());
// Good, and not known here: only the worker has to have the class.
foreach (['Elsewhere::run', ['Elsewhere', 'run'], 'Other::shown', [new Other, 'inst']] as $job) {
    echo strlen(Queue::push('q', $job)), "\n";
}
attempt(fn () => Queue::push('q', new Good, 0, ['args' => [1]]));
attempt(fn () => Queue::pushMany('q', ['strlen', new Good, 17]));
echo Queue::counts('q')['pushed'], "\n";
?>
--EXPECT--
42 is no job. A job is ...
1.5 is no job. A job is ...
null is no job. A job is ...
true is no job. A job is ...
"" is no job: there is no function and no class of that name. A job is ...
"nofunc" is no job: there is no function and no class of that name. A job is ...
"no\x00func" is no job: there is no function and no class of that name. A job is ...
the class ArrayObject is no job: it does not extend MPQueue\Job. A job is ...
the class Face is no job: it does not extend MPQueue\Job. A job is ...
the class MPQueue\Job is no job: it is abstract
the class Unfinished is no job: it is abstract
an object of class stdClass is no job: it does not extend MPQueue\Job and has no __invoke(). A job is ...
an array of 0 is no job: it must be [class, method] or [object, method]. A job is ...
an array of 3 is no job: it must be [class, method] or [object, method]. A job is ...
an array of 1 is no job: it must be [class, method] or [object, method]. A job is ...
an array of 2 is no job: it must be [class, method] or [object, method]. A job is ...
an array of 2 is no job: it must be [class, method] or [object, method]. A job is ...
this is no job that can be called: class Other does not have a method "nothing"
this is no job that can be called: non-static method Other::inst() cannot be called statically
this is no job that can be called: cannot access private method Other::hiddenStatic()
this is no job that can be called: cannot access private method Other::hidden()
this is no job that can be called: class Other does not have a method "nothing"
this is no job that can be called: non-static method Other::inst() cannot be called statically
"::x" is no job: in "A::b" both class and method are needed
"Other::" is no job: in "A::b" both class and method are needed
this is no job that can be called: non-static method Good::handle() cannot be called statically
this is no job that can be called: cannot access private method Other::hidden()
this is no job that can be called: cannot access private method Other::hiddenStatic()
the job of class MPQueue\Job@anonymous can't be serialized: Serialization of 'MPQueue\Job@anonymous' is not allowed
the class MPQueue\Job@anonymous is no job: it is anonymous, so no worker can find it
resource is no job. A job is ...
MPQueue\Exception\PayloadException: this is no job that can be called: its method is not public
32
32
32
32
MPQueue\Exception\PayloadException: args are for callables and class names; the job of class Good is an object, which carries its data itself
MPQueue\Exception\PayloadException: 17 is no job. A job is a MPQueue\Job object or the name of such a class, an object with __invoke(), a function's name, "A::b", [class, method], [object, method], or a closure
4
