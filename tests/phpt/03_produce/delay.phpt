--TEST--
Delays: seconds to the millisecond, points in time, intervals; what is refused
--INI--
pcre.jit=0
date.timezone=Europe/Berlin
--FILE--
<?php
use MPQueue\Queue;

require __DIR__ . '/../../support/php/produce.inc';

use_redis();
class Late extends DateTimeImmutable {}
class Unborn extends DateTime { function __construct() {} }

/** Milliseconds from now at which the only delayed job is due. */
function due(mixed $delay): string
{
    $id = Queue::push('q', 'strlen', $delay);
    [$seconds, $micros] = redis('TIME');
    $now = $seconds * 1000 + intdiv((int)$micros, 1000);
    $delayed = redis('ZRANGE', redis_key('q', 'delayed'), '0', '-1', 'WITHSCORES');
    if (!$delayed) {
        last_stored()['id'] === $id or die('not stored');
        return 'at once';
    }
    redis('DEL', redis_key('q', 'delayed'));
    envelope($delayed[0])['id'] === $id or die('wrong job');
    return (string)((float)$delayed[1] - $now);
}

/** The same, checked: within half a second of the time expected. */
function around(string $what, mixed $delay, float $seconds): void
{
    $due = due($delay);
    echo $what, ' ', is_numeric($due) && abs((float)$due - $seconds * 1000) < 500 ? 'ok' : "wrong: $due", "\n";
}

foreach ([0, 0.0, -0.0, 0.0004, '0', false] as $delay) {
    echo var_export($delay, true), ': ', due($delay), "\n";
}
// To the millisecond: one is ten thousand seconds and something later than the other.
$a = (float)due(10000.123);
$b = (float)due(20000.246);
echo 'difference ', abs($b - $a - 10000123) < 400 ? 'ok' : $b - $a, "\n";
around('float', 1.5, 1.5);
around('int', 3600, 3600);
around('string', '2.5', 2.5);
around('ten years', 10 * 365 * 86400, 10 * 365 * 86400);
around('DateTime', new DateTime('+90 seconds'), 90);
around('DateTimeImmutable subclass', new Late('+2 hours'), 7200);
around('other zone', new DateTime('+1 minute', new DateTimeZone('Asia/Tokyo')), 60);
echo 'past: ', due(new DateTime('2001-01-01')), ', now: ', due(new DateTimeImmutable('-1 second')), "\n";
around('interval', new DateInterval('PT1M30S'), 90);
around('interval of days', new DateInterval('P1DT1S'), (new DateTime('+1 day +1 second'))->getTimestamp() - time());
$next = (new DateTimeImmutable)->add(new DateInterval('P1M'));
around('interval of a month', new DateInterval('P1M'), $next->getTimestamp() - time());
around('difference', (new DateTime('2020-01-01'))->diff(new DateTime('2020-01-03')), (new DateTime('+2 days'))->getTimestamp() - time());
$fraction = DateInterval::createFromDateString('250 milliseconds');
around('fraction', $fraction, 0.25);
echo 'interval of nothing: ', due(new DateInterval('PT0S')), "\n";
echo "-- refused\n";
$backwards = new DateInterval('PT5S');
$backwards->invert = 1;
foreach ([-1, -0.001, NAN, INF, -INF, PHP_INT_MAX, 4e8, 'soon', '', [], new stdClass, new Unborn] as $delay) {
    attempt(fn () => due($delay));
}
try {
    due(new DateTime('9000-01-01'));
} catch (ValueError $e) {
    echo 'far: ', preg_replace('/\d{9}[.\d]*/', 'N', $e->getMessage()), "\n";
}
try {
    due($backwards);
} catch (ValueError $e) {
    echo 'backwards: ', preg_replace('/-[45][.\d]*/', '-5', $e->getMessage()), "\n";
}
attempt(fn () => Queue::pushMany('q', ['strlen'], -1));
echo Queue::counts('q')['delayed'], "\n";
?>
--EXPECT--
0: at once
0.0: at once
-0.0: at once
0.0004: at once
'0': at once
false: at once
difference ok
float ok
int ok
string ok
ten years ok
DateTime ok
DateTimeImmutable subclass ok
other zone ok
past: at once, now: at once
interval ok
interval of days ok
interval of a month ok
difference ok
fraction ok
interval of nothing: at once
-- refused
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, -1 seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, -0.001 seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, NAN seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, INF seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, -INF seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, 9.223372036854776E+18 seconds given
ValueError: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, 400000000 seconds given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, string given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, string given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, array given
TypeError: MPQueue\Queue::push(): Argument #3 ($delay) must be of type DateTimeInterface|DateInterval|int|float, stdClass given
Error: The Unborn object has not been correctly initialized by its constructor
far: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, N seconds given
backwards: MPQueue\Queue::push(): Argument #3 ($delay) must be 0 seconds to ten years from now, -5 seconds given
ValueError: MPQueue\Queue::pushMany(): Argument #3 ($delay) must be 0 seconds to ten years from now, -1 seconds given
0
