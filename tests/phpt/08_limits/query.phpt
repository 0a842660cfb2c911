--TEST--
Time limit: a long SQLite query
--EXTENSIONS--
posix
sqlite3
--FILE--
<?php
require __DIR__ . '/../../support/php/limits.inc';
$limits = new Limits(<<<'PHP'
    const ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n';
    function queries() { $lock = begin(); (new SQLite3(':memory:'))->querySingle(ENDLESS); }
    function calls_back() { $lock = begin(); $db = new SQLite3(':memory:'); $db->createFunction('beat', 'beat'); $db->querySingle('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(beat()) FROM n'); }
    PHP);
$limits->start('-d', 'extension=sqlite3');
$limits->check('queries', killed: true);
$limits->check('calls_back', killed: false);
$limits->stop();
--EXPECT--
queries: killed in time
calls_back: interrupted in time
int(0)
