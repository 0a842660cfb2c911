--TEST--
Every method has its types and defaults
--FILE--
<?php
foreach ((new ReflectionExtension('mpqueue'))->getClasses() as $class) {
    if ($class->isSubclassOf('Throwable')) {
        continue;
    }
    $kind = $class->isInterface() ? 'interface' : implode(' ', Reflection::getModifierNames($class->getModifiers())) . ' class';
    echo $kind, ' ', $class->name, "\n";
    foreach ($class->getConstants() as $name => $value) {
        echo "    const $name = $value\n";
    }
    foreach ($class->getProperties() as $property) {
        echo '    ', $property->getType(), implode(' ', Reflection::getModifierNames($property->getModifiers())), " \$$property->name\n";
    }
    foreach ($class->getMethods() as $method) {
        echo '    ', implode(' ', Reflection::getModifierNames($method->getModifiers())), " $method->name(";
        echo implode(', ', array_map(function ($p) {
            $secret = $p->getAttributes(SensitiveParameter::class) ? '#[SensitiveParameter] ' : '';
            return $secret . $p->getType() . ' ' . ($p->isPassedByReference() ? '&' : '') . "\$$p->name"
                . ($p->isOptional() ? ' = ' . $p->getDefaultValueConstantName() . var_export($p->getDefaultValue(), true) : '');
        }, $method->getParameters()));
        echo ')', $method->hasReturnType() ? ': ' . $method->getReturnType() : '',
            $method->hasTentativeReturnType() ? ' tentative' : '', "\n";
    }
}
?>
--EXPECT--
interface MPQueue\Driver\Driver
final class MPQueue\Driver\Redis
    public __construct(#[SensitiveParameter] string $host = '127.0.0.1', ?int $port = 6379, #[SensitiveParameter] ?string $password = '', string|int $database = 0, string $prefix = 'mpq', ?string $user = NULL, float $connect_timeout = 2.0, float $read_timeout = 2.0)
final class MPQueue\Driver\Sqlite
    public __construct(string $path, bool $durable = false, float $timeout = 2.0)
final class MPQueue\Driver\Memory
    public __construct()
final class MPQueue\Config
    const MODE_DISTRIBUTE = 1
    const MODE_GRAB = 2
    private __construct()
    public static set(#[SensitiveParameter] array $config): void
    public static get(): ?array
abstract class MPQueue\Job
    protected $timeout
    protected $fail_number
    protected $fail_expire
    public getTimeout()
    public getFailNumber()
    public getFailExpire()
    abstract public handle()
    public fail_handle(array &$jobInfo, Throwable $e)
final class MPQueue\Queue
    private __construct()
    public static push(string $queue, mixed $job, DateTimeInterface|DateInterval|int|float $delay = 0, array $options = array (
)): string
    public static pushMany(string $queue, array $jobs, DateTimeInterface|DateInterval|int|float $delay = 0, array $options = array (
)): array
    public static counts(string $queue): array
    public static failed(string $queue, int $limit = 100): array
    public static clear(string $queue): void
