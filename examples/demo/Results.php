<?php

declare(strict_types=1);

/**
 * What the jobs found out: each worker appends records of one size to a file of its own, so that a record is written
 * with one system call and the files' sizes tell how many there are.
 */
final class Results
{
    public const HASHED = 1;
    public const UNREADABLE = 2;
    public const FAILED = 3;
    public const PING = 4;

    private const SIZE = 4 + 1 + 8 + 32;

    /** @var resource|null */
    private static $out = null;

    public static function folder(): string
    {
        return getenv('MPQUEUE_DEMO_DIR') . '/results';
    }

    public static function add(int $number, int $status, int $waitedNs, string $hash): void
    {
        self::$out ??= fopen(self::folder() . '/' . getmypid(), 'ab');
        if (!self::$out || fwrite(self::$out, pack('NCJa32', $number, $status, $waitedNs, $hash)) !== self::SIZE) {
            throw new RuntimeException('The result could not be written to ' . self::folder() . '.');
        }
    }

    public static function addFailure(int $number, string $message): void
    {
        file_put_contents(self::folder() . '/../failures', "$number " . strtr($message, "\n", ' ') . "\n", FILE_APPEND | LOCK_EX);
    }

    /** How many records there are: what ran twice is counted twice. */
    public static function count(): int
    {
        clearstatcache();
        $bytes = 0;
        foreach (glob(self::folder() . '/*') ?: [] as $file) {
            $bytes += filesize($file);
        }
        return intdiv($bytes, self::SIZE);
    }

    /** @return Generator<array{worker: int, number: int, status: int, waited: int, hash: string}> */
    public static function all(): Generator
    {
        foreach (glob(self::folder() . '/*') ?: [] as $file) {
            $in = fopen($file, 'rb');
            while (strlen($record = (string) fread($in, self::SIZE)) === self::SIZE) {
                yield ['worker' => (int) basename($file)] + unpack('Nnumber/Cstatus/Jwaited/a32hash', $record);
            }
        }
    }
}
