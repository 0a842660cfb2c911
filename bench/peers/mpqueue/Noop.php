<?php
require getenv('PEERS_LIB') . '/record.php';

final class Noop extends MPQueue\Job
{
    public function __construct(private int $id, private string $text)
    {
    }

    public function handle()
    {
        Record::ran($this->id);
    }
}
