--TEST--
A forked child pushes over a connection of its own, the parent over its old one
--EXTENSIONS--
pcntl
--FILE--
<?php
use MPQueue\{Config, Driver, Queue};

require __DIR__ . '/../../support/php/produce.inc';

$file = sys_get_temp_dir() . '/' . getmypid() . '.db';
foreach (['redis' => redis_driver(), 'sqlite' => new Driver\Sqlite($file)] as $name => $driver) {
    Config::set(['basics' => ['driver' => $driver], 'queue' => [['name' => 'q']]]);
    Queue::push('q', 'strlen');
    $children = [];
    for ($i = 0; $i < 3; $i++) {
        $pid = pcntl_fork();
        if ($pid === 0) {
            $ids = [];
            for ($n = 0; $n < 20; $n++) {
                $ids[] = Queue::push('q', 'strlen');
            }
            file_put_contents("$file.$name.ids", implode("\n", $ids) . "\n", FILE_APPEND | LOCK_EX);
            exit(0);
        }
        $children[] = $pid;
    }
    $ids = [];
    for ($n = 0; $n < 20; $n++) {
        $ids[] = Queue::push('q', 'strlen');
    }
    foreach ($children as $pid) {
        pcntl_waitpid($pid, $status);
        echo pcntl_wexitstatus($status);
    }
    $ids = [...$ids, ...file("$file.$name.ids", FILE_IGNORE_NEW_LINES)];
    echo " $name ", count(array_unique($ids)), ' ', Queue::counts('q')['pushed'], "\n";
}
?>
--EXPECT--
000 redis 80 81
000 sqlite 80 81
