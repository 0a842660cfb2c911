<?php
/* The peer cannot be had on this machine; the message is the last line of why. */
final class Unavailable extends RuntimeException
{
}

/* One rival: how it is installed, and the commands of its producer and workers. All talk to the Redis of PEERS_SOCKET. */
abstract class Peer
{
    public string $transport = 'unix socket';
    public array $figures = ['drain', 'push', 'bulk', 'latency'];

    public function __construct(public string $name, protected string $code, protected string $build)
    {
        is_dir($build) || mkdir($build, 0755, true);
    }

    /* What is missing; throws Unavailable. */
    abstract public function install(): void;

    abstract public function version(): string;

    /* Name of a row => what is set for it, in words. The first is the default. */
    abstract public function rows(): array;

    /* Takes "one|bulk|paced FIRST COUNT" behind it: see produce.php. */
    abstract public function producer(string $row): array;

    /* One command for each process to start. */
    abstract public function workers(string $row, int $count): array;

    /* Redis commands whose answers, added up, are the jobs that are not done. */
    abstract public function waiting(): array;

    public function environment(string $row): array
    {
        return [];
    }

    /* How many of the jobs asked for a drain gets: a part, so that the slow ones end, or several times as many, so that the fast last. */
    public function share(string $row): float
    {
        return 1;
    }

    /* A figure that is not measured by producer and workers, or null. */
    public function own(string $what, Server $redis, int $jobs): ?float
    {
        return null;
    }

    protected static function run(array $command, ?string $directory = null): string
    {
        $line = ($directory ? 'cd ' . escapeshellarg($directory) . ' && ' : '') . implode(' ', array_map('escapeshellarg', $command));
        exec("($line) 2>&1 </dev/null", $output, $status);
        if ($status !== 0) {
            throw new Unavailable(self::why($output));
        }
        return implode("\n", $output);
    }

    /* The last line that says something: Composer and npm end with advice. */
    private static function why(array $output): string
    {
        $lines = array_filter(array_map('trim', $output), fn (string $line) => preg_match('/\w/', $line));
        $reasons = preg_grep('/could not be found|not found|unable to|npm error [^A]|^E: |requires .* but/i', $lines) ?: $lines;
        return ltrim((string) end($reasons), '- ');
    }

    protected static function apt(string ...$packages): void
    {
        foreach ($packages as $package) {
            exec('dpkg -s ' . escapeshellarg($package) . ' 2>/dev/null', $status);
            if (!preg_grep('/^Status: .* installed/', $status)) {
                self::run(['apt-get', 'install', '-y', '--no-install-recommends', $package]);
            }
            $status = [];
        }
    }

    protected static function apt_version(string $package): string
    {
        return self::run(['dpkg-query', '-W', '-f', '${Version}', $package]);
    }

    /* The folder of the peer goes to the build directory, where Composer and npm may write. */
    protected function copy_code(): void
    {
        self::run(['cp', '-r', "$this->code/.", $this->build]);
    }

    protected function composer(string $package): void
    {
        putenv('COMPOSER_ALLOW_SUPERUSER=1');
        $this->once('composer.json', "vendor/$package", ['composer', 'update', '--no-interaction', '--no-dev', '--prefer-dist', '--no-progress']);
    }

    /* Not again while the package is there and what was asked for is the same. */
    private function once(string $manifest, string $package, array $command): void
    {
        $asked = "$this->build/$manifest.installed";
        if (!is_dir("$this->build/$package") || !is_file($asked) || md5_file($asked) !== md5_file("$this->build/$manifest")) {
            self::run($command, $this->build);
            copy("$this->build/$manifest", $asked);
        }
    }

    protected function composer_version(string $package): string
    {
        $installed = require "$this->build/vendor/composer/installed.php";
        return ltrim($installed['versions'][$package]['pretty_version'], 'v');
    }

    protected function npm(string $package): void
    {
        $this->once('package.json', "node_modules/$package", ['npm', 'install', '--no-audit', '--no-fund']);
    }

    protected function npm_version(string $package): string
    {
        return json_decode(file_get_contents("$this->build/node_modules/$package/package.json"), true)['version'];
    }
}

/* A rival that no registry within reach has had so far: it is asked for each time, and there is no program for it that nobody has run. */
abstract class Wanted extends Peer
{
    abstract protected function package(): string;

    public function install(): void
    {
        $this->copy_code();
        $this->composer($this->package());
        throw new Unavailable('it could be installed now, but there is no program for it here');
    }

    public function version(): string
    {
        return '';
    }

    public function rows(): array
    {
        return [];
    }

    public function producer(string $row): array
    {
        return [];
    }

    public function workers(string $row, int $count): array
    {
        return [];
    }

    public function waiting(): array
    {
        return [];
    }
}
