--TEST--
MPQueue\Driver\Sqlite: relative paths count from where the object was made; what is refused
--FILE--
<?php
use MPQueue\{Config, Queue};
use MPQueue\Driver\Sqlite;

require __DIR__ . '/../../support/php/produce.inc';

$dir = sys_get_temp_dir() . '/' . getmypid();
mkdir("$dir/elsewhere", recursive: true);
chdir($dir);
$driver = new Sqlite('q.db', true, 0.5);
echo str_replace($dir, '<dir>', print_r($driver, true));
chdir('elsewhere');
Config::set(['basics' => ['driver' => $driver], 'queue' => [['name' => 'q']]]);
Queue::push('q', 'strlen');
var_dump(is_file("$dir/q.db"), scandir('.'));
echo str_replace($dir, '<dir>', print_r(new Sqlite('../x/./y.db'), true));
foreach ([fn () => new Sqlite(''), fn () => new Sqlite(':memory:'), fn () => new Sqlite("a\0b"), fn () => new Sqlite('a', false, 0),
    fn () => new Sqlite] as $wrong) {
    attempt($wrong);
}
Config::set(['basics' => ['driver' => new Sqlite("$dir/none/q.db")], 'queue' => [['name' => 'q']]]);
try {
    Queue::push('q', 'strlen');
} catch (MPQueue\Exception\QueueException $e) {
    echo str_replace($dir, '<dir>', $e->getMessage()), "\n";
}
file_put_contents("$dir/text.db", str_repeat('this is no database ', 100));
Config::set(['basics' => ['driver' => new Sqlite("$dir/text.db")], 'queue' => [['name' => 'q']]]);
try {
    Queue::push('q', 'strlen');
} catch (MPQueue\Exception\QueueException $e) {
    echo str_replace($dir, '<dir>', $e->getMessage()), "\n";
}
ini_set('open_basedir', $dir);
attempt(fn () => new Sqlite('/var/q.db'));
?>
--EXPECT--
MPQueue\Driver\Sqlite Object
(
    [path] => <dir>/q.db
    [durable] => 1
    [timeout] => 0.5
)
bool(true)
array(2) {
  [0]=>
  string(1) "."
  [1]=>
  string(2) ".."
}
MPQueue\Driver\Sqlite Object
(
    [path] => <dir>/x/y.db
    [durable] => 
    [timeout] => 2
)
MPQueue\Exception\ConfigException: MPQueue\Driver\Sqlite: path must be the path of a file, got ""
MPQueue\Exception\ConfigException: MPQueue\Driver\Sqlite: path must be the path of a file (for tests in memory use MPQueue\Driver\Memory), got ":memory:"
MPQueue\Exception\ConfigException: MPQueue\Driver\Sqlite: path must be the path of a file, got "a\x00b"
MPQueue\Exception\ConfigException: MPQueue\Driver\Sqlite: timeout must be a number of seconds from 0.001 to 3600, got 0
ArgumentCountError: MPQueue\Driver\Sqlite::__construct() expects at least 1 argument, 0 given
sqlite <dir>/none/q.db: the directory <dir>/none does not exist; create it (mkdir -p) or change the path
sqlite <dir>/text.db: push failed: the file is not a database; move it away or choose another path
MPQueue\Exception\ConfigException: MPQueue\Driver\Sqlite: path must be inside of open_basedir, got "/var/q.db"
