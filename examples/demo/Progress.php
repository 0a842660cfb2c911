<?php

declare(strict_types=1);

/** A progress bar on a terminal; elsewhere a line each second. */
final class Progress
{
    private int $begun;
    private int $shownAt = 0;
    private bool $terminal;
    private int $width;

    public function __construct(private int $all)
    {
        $this->begun = hrtime(true);
        $this->terminal = stream_isatty(STDOUT);
        $this->width = max(10, min(40, (int) getenv('MPQUEUE_DEMO_COLUMNS') - 55));
    }

    public function show(int $done, int $pushed): void
    {
        $now = hrtime(true);
        if ($now - $this->shownAt < ($this->terminal ? 100_000_000 : 1_000_000_000)) {
            return;
        }
        $this->shownAt = $now;
        $this->draw($done, $pushed);
    }

    /** The last picture: all done. */
    public function end(): void
    {
        $this->draw($this->all, $this->all);
        if ($this->terminal) {
            echo "\n";
        }
    }

    private function draw(int $done, int $pushed): void
    {
        $part = $this->all > 0 ? $done / $this->all : 1;
        $seconds = max(1e-9, (hrtime(true) - $this->begun) / 1e9);
        $text = sprintf('%3d %%  %s of %s  %s jobs/s', (int) ($part * 100), number_format($done),
            number_format($this->all), number_format($done / $seconds));
        if ($pushed < $this->all) {
            $text .= sprintf('  (pushed %s)', number_format($pushed));
        }
        if ($this->terminal) {
            $full = (int) ($part * $this->width);
            echo "\r  [", str_repeat('#', $full), str_repeat('.', $this->width - $full), "] $text\033[K";
        } else {
            echo "  $text\n";
        }
    }
}
