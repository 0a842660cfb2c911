<?php

// A producer: any PHP script, web requests included.
require __DIR__ . '/jobs.php';

use MPQueue\Config;
use MPQueue\Queue;

Config::set(require __DIR__ . '/config.php');

$id = Queue::push('mail', new SendMail('ada@example.org'));
echo "pushed $id\n";

Queue::pushMany('mail', array_map(fn ($n) => new SendMail("reader$n@example.org"), range(1, 3)));
Queue::push('mail', 'remind', 1.5, ['args' => ['Ada', 'the engine']]); // in 1.5 seconds
Queue::push('mail', new SendMailToNobody());

foreach (Queue::counts('mail') as $what => $number) {
    echo "$what: $number\n";
}
