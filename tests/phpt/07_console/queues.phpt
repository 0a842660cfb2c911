--TEST--
queue:status, queue:failed and queue:clean
--EXTENSIONS--
posix
--FILE--
<?php
require __DIR__ . '/../../support/php/service.inc';
$service = new Service(jobs: <<<'PHP'
    function fine() {}
    function boom() { throw new DomainException("two\nlines \e[31m", 5); }
    PHP, queue: "'fail_number' => 2, 'fail_expire' => 0", more: "['name' => '队列'], ['name' => 'long-name-of-a-queue', 'fail_number' => 1]");
$service->start();
MPQueue\Queue::pushMany('q', ['fine', 'boom']);
MPQueue\Queue::push('q', 'fine', 100);
$service->waitForFailed(1);
$service->waitForDone(1);
[$status, $out, $err] = $service->console('queue:status');
echo $out, $err, $status, "\n";
[$status, $out, $err] = $service->console('queue:status', '--queue=q');
echo $out, $err, $status, "\n";
[$status, $out, $err] = $service->console('queue:failed', '--queue', 'q');
echo $out, $err, $status, "\n";
echo $service->console('queue:failed', '--queue', '队列')[1];
MPQueue\Queue::push('q', 'boom');
$service->waitForFailed(2);
[$status, $out] = $service->console('queue:failed', '--queue=q', '--limit=1');
echo substr_count($out, 'DomainException'), ' ', strstr($out, 'there are more');
[$status, $out] = $service->console('queue:clean', '--queue', 'q');
echo $out, $status, "\n", $service->console('queue:clean')[1];
echo json_encode(array_intersect_key(MPQueue\Queue::counts('q'), ['waiting' => 1, 'delayed' => 1, 'failed' => 1])), "\n";
var_dump($service->stop());
--EXPECTF--
queue                 pushed  waiting  delayed  running  failed  done
q                          3        0        1        0       1     1
队列                       0        0        0        0       0     0
long-name-of-a-queue       0        0        0        0       0     0
0
queue  pushed  waiting  delayed  running  failed  done
q           3        0        1        0       1     1
0
%x  boom
  pushed %d-%d-%d %d:%d:%d, failures: 2 of 2, payload of %d bytes
  run 1: exception, DomainException: two
  lines \x1b[31m
    in %sjobs.php:%d
    code 5
    %d-%d-%d %d:%d:%d.%d, after %f s, worker t:%d on %s
      #0 [internal function]: boom()
      #1 %smain.php(%d): mpqueue_run(Object(SensitiveParameterValue))
      #2 {main}
  run 2: exception, DomainException: two
  lines \x1b[31m
    in %sjobs.php:%d
    code 5
    %d-%d-%d %d:%d:%d.%d, after %f s, worker t:%d on %s
      #0 [internal function]: boom()
      #1 %smain.php(%d): mpqueue_run(Object(SensitiveParameterValue))
      #2 {main}
0
queue "队列" has no failed jobs
2 there are more; --limit N shows N of them
queue "q" is empty now
0
queue "q" is empty now
queue "队列" is empty now
queue "long-name-of-a-queue" is empty now
{"waiting":0,"delayed":0,"failed":0}
int(0)
