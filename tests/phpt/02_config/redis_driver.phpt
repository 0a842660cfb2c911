--TEST--
MPQueue\Driver\Redis: every form of an address, and what is refused
--INI--
pcre.jit=0
--FILE--
<?php
use MPQueue\Driver\Redis;

require __DIR__ . '/../../support/php/produce.inc';

function show(Redis $driver): void
{
    preg_match_all('/\["(\w+)"\]=>\s+(?:string\(\d+\) |int\(|float\()([^\s)]+)/', (function () use ($driver) {
        ob_start();
        var_dump($driver);
        return ob_get_clean();
    })(), $found, PREG_SET_ORDER);
    echo implode(' ', array_map(fn ($pair) => "$pair[1]=$pair[2]", $found)), "\n";
}

show(new Redis);
show(new Redis('10.0.0.5', null, null, '3', 'shop'));
show(new Redis('/run/redis/redis.sock', password: 'secret', user: 'me', connect_timeout: 0.5, read_timeout: 3));
show(new Redis('redis://me:secret@10.0.0.5:6380/2?prefix=shop', 1, 'other', 5, 'mine'));
show(new Redis('unix:///run/redis.sock?database=4'));
show(new Redis('::1'));
show(new Redis('[::1]'));
foreach ([
    fn () => new Redis(''),
    fn () => new Redis("a\0b"),
    fn () => new Redis('host:6380'),
    fn () => new Redis('ftp://host'),
    fn () => new Redis('redis://me:secret@host/x'),
    fn () => new Redis(port: 0),
    fn () => new Redis(port: 65536),
    fn () => new Redis(database: -1),
    fn () => new Redis(database: 'main'),
    fn () => new Redis(prefix: ''),
    fn () => new Redis(prefix: 'a{b'),
    fn () => new Redis(prefix: str_repeat('p', 65)),
    fn () => new Redis(password: "a\0b"),
    fn () => new Redis(user: "a\0b"),
    fn () => new Redis(connect_timeout: 0),
    fn () => new Redis(read_timeout: NAN),
    fn () => new Redis(read_timeout: 3601),
    fn () => new Redis([]),
] as $wrong) {
    attempt($wrong);
}
$failed = (new ReflectionClass(Redis::class))->newInstanceArgs(['host']);
try {
    $failed->__construct('host', 0);
} catch (MPQueue\Exception\ConfigException) {
    // What is left of it can't be used.
    attempt(fn () => MPQueue\Config::set(['basics' => ['driver' => $failed], 'queue' => [['name' => 'q']]]));
}
var_dump(new Redis('a') == new Redis('a'), new Redis('a') == new Redis('b'), clone new Redis('a') == new Redis('a'),
    new Redis('a', password: 'x') == new Redis('a', password: 'y'));
?>
--EXPECT--
host="127.0.0.1" port=6379 database=0 prefix="mpq" connect_timeout=2 read_timeout=2
host="10.0.0.5" port=6379 database=3 prefix="shop" connect_timeout=2 read_timeout=2
socket="/run/redis/redis.sock" user="me" password="(hidden database=0 prefix="mpq" connect_timeout=0.5 read_timeout=3
host="10.0.0.5" port=6380 user="me" password="(hidden database=2 prefix="shop" connect_timeout=2 read_timeout=2
socket="/run/redis.sock" database=4 prefix="mpq" connect_timeout=2 read_timeout=2
host="::1" port=6379 database=0 prefix="mpq" connect_timeout=2 read_timeout=2
host="::1" port=6379 database=0 prefix="mpq" connect_timeout=2 read_timeout=2
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: host must be a host name, a path or a DSN, got ""
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: host must be a host name, a path or a DSN, got "a\x00b"
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: host must not contain the port, which is an argument of its own, got "host:6380"
MPQueue\Exception\ConfigException: the address must begin with redis://, unix:// or redis+unix://, as in redis://:password@127.0.0.1:6379/0
MPQueue\Exception\ConfigException: the address "redis://***@host/x" is wrong: the database must be a number from 0 to 2147483647
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: port must be 1 to 65535, got 0
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: port must be 1 to 65535, got 65536
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: database must be the number of a database, 0 or more, got -1
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: database must be the number of a database, 0 or more, got "main"
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: prefix must be 1 to 64 bytes long, got ""
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: prefix must not contain { or }, got "a{b"
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: prefix must be 1 to 64 bytes long, got "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp..."
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: password must not contain NUL bytes
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: user must not contain NUL bytes
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: connect_timeout must be a number of seconds from 0.001 to 3600, got 0
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: read_timeout must be a number of seconds from 0.001 to 3600, got NAN
MPQueue\Exception\ConfigException: MPQueue\Driver\Redis: read_timeout must be a number of seconds from 0.001 to 3600, got 3601
TypeError: MPQueue\Driver\Redis::__construct(): Argument #1 ($host) must be of type string, array given
MPQueue\Exception\ConfigException: basics.driver must be a driver whose constructor has succeeded, got an object of class MPQueue\Driver\Redis
bool(true)
bool(false)
bool(true)
bool(false)
