--TEST--
A run that was interrupted is a timeout, whatever the job made of the exception
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function swallows() { try { while (true); } catch (Throwable) { note('caught'); } }
    function wraps() { try { while (true); } catch (Throwable $e) { throw new RuntimeException('wrapped', 5, $e); } }
    function leaves() { try { while (true); } catch (Throwable) { exit(4); } }
    function next_one() { note('next'); }
    PHP, basics: "'timeout_grace' => 5", queue: "'timeout' => 0.2");
$service->start();
foreach (['swallows', 'wraps', 'leaves'] as $i => $job) {
    MPQueue\Queue::push('q', $job);
    MPQueue\Queue::push('q', 'next_one');
    $service->waitForFailed($i + 1);
    $service->waitForDone($i + 1);
}
var_dump($service->stop());
$messages = [];
foreach (MPQueue\Queue::failed('q') as $record) {
    $messages[] = $record['causes'][0]['end'] . ' ' . $record['causes'][0]['class'] . ' ' . $record['causes'][0]['message'];
}
sort($messages);
echo implode("\n", $messages), "\n", implode(' ', $service->notes()), "\n";
--EXPECTF--
int(0)
timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s, caught the TimeoutException and then called exit(4)
timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s, caught the TimeoutException and then returned
timeout MPQueue\Exception\TimeoutException job exceeded its time limit of 0.2 s, caught the TimeoutException and then threw RuntimeException: wrapped in %sjobs.php:%d
caught next next next
