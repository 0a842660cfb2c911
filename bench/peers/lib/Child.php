<?php
/* A process of ours with everything it starts: a process group of its own, killed when this process dies, stopped by its number only. */
final class Child
{
    private static array $all = [];
    private $process;
    private int $pid;

    public function __construct(array $command, private string $log, array $environment = [], ?string $directory = null)
    {
        $command = ['setsid', 'setpriv', '--pdeathsig', 'KILL', '--', ...$command];
        $this->process = proc_open($command, [['file', '/dev/null', 'r'], ['file', $log, 'a'], ['file', $log, 'a']], $pipes, $directory,
            $environment + getenv());
        $this->pid = proc_get_status($this->process)['pid'];
        self::$all[$this->pid] = $this;
    }

    public function running(): bool
    {
        return proc_get_status($this->process)['running'];
    }

    public function last_line(): string
    {
        $lines = array_filter(array_map('trim', file($this->log) ?: []));
        return (string) end($lines);
    }

    /* The last line that names an error, or the last one. */
    public function complaint(): string
    {
        $errors = preg_grep('/error|exception/i', file($this->log) ?: []);
        return $errors ? trim(end($errors)) : $this->last_line();
    }

    /* Asks all of them to end, gives them some seconds, and leaves nothing of their groups. */
    public static function stop(self ...$children): void
    {
        foreach ($children as $child) {
            $child->running() && posix_kill($child->pid, SIGTERM);
        }
        $until = hrtime(true) + 15_000_000_000;
        while (array_filter($children, fn (self $child) => $child->running()) && hrtime(true) < $until) {
            usleep(10000);
        }
        foreach ($children as $child) {
            posix_kill(-$child->pid, SIGKILL);
            proc_close($child->process);
            unset(self::$all[$child->pid]);
        }
    }

    public static function stop_all(): void
    {
        self::stop(...array_values(self::$all));
    }
}
