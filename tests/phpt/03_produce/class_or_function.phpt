--TEST--
A name that may be a class and a function: a Job class comes first, and functions do not bother the autoloaders
--FILE--
<?php
use MPQueue\Queue;

require __DIR__ . '/../../support/php/produce.inc';

spl_autoload_register(function (string $class) {
    echo "autoload $class\n";
    if ($class === 'Mail') {
        eval('class Mail extends MPQueue\Job { function handle() {} }');
    }
});
class Plain {}
function plain() {}

use_redis();
foreach (['strlen', 'Mail', 'mail', 'Strlen', 'plain', 'Plain'] as $name) {
    Queue::push('q', $name);
    echo last_stored()['payload'], "\n";
}
?>
--EXPECT--
Fa:2:{i:0;s:6:"strlen";i:1;a:0:{}}
autoload Mail
Ca:2:{i:0;s:4:"Mail";i:1;a:0:{}}
Fa:2:{i:0;s:4:"mail";i:1;a:0:{}}
autoload Strlen
Fa:2:{i:0;s:6:"Strlen";i:1;a:0:{}}
Fa:2:{i:0;s:5:"plain";i:1;a:0:{}}
Fa:2:{i:0;s:5:"Plain";i:1;a:0:{}}
