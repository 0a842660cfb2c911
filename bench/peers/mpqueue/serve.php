<?php
require __DIR__ . '/Noop.php';
require __DIR__ . '/settings.php';

exit(mpqueue_run(settings((int) $argv[1]), ['peers', 'worker:start']));
