--TEST--
Signal handlers, masks and alarms of a job end with it; those of worker_start stay
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function state()
    {
        preg_match('/SigBlk:\t(\w+)\nSigIgn:\t(\w+)\nSigCgt:\t(\w+)/', file_get_contents('/proc/' . getmypid() . '/status'), $found);
        return implode(' ', array_slice($found, 1));
    }
    function report() { note(state()); }
    function meddles()
    {
        pcntl_signal(SIGTERM, fn () => note('term'));
        pcntl_signal(SIGUSR2, SIG_IGN);
        pcntl_signal(SIGALRM, fn () => note('alarm'));
        pcntl_signal(40, fn () => note('interrupt'));
        pcntl_sigprocmask(SIG_BLOCK, range(1, 15));
        pcntl_alarm(1);
    }
    function waits() { for ($i = 0; $i < 130; $i++) usleep(10000); note('waited'); }
    function asks() { posix_kill(getmypid(), SIGUSR1); usleep(1000); note('asked'); }
    function endless() { while (true) usleep(1000); }
    PHP, basics: <<<'PHP'
    'timeout_grace' => 5,
    'worker_start_handle' => function () { pcntl_async_signals(true); pcntl_signal(SIGUSR1, fn () => note('usr1')); }
    PHP);
$service->start();
MPQueue\Queue::pushMany('q', ['report', 'meddles', 'report', 'waits', 'asks']);
MPQueue\Queue::push('q', 'meddles');
MPQueue\Queue::push('q', 'endless', 0, ['timeout' => 0.2]);
[$record] = $service->waitForFailed(1);
echo $record['causes'][0]['end'], ' ', $record['causes'][0]['message'], "\n";
var_dump($service->stop());
$notes = $service->notes();
var_dump($notes[0] === $notes[1], str_starts_with($notes[0], '0000000000000000 '));
echo implode("\n", array_slice($notes, 2)), "\n";
--EXPECT--
timeout job exceeded its time limit of 0.2 s
int(0)
bool(true)
bool(true)
waited
usr1
asked
