<?php

/** A job is an object with its data in it. */
class SendMail extends MPQueue\Job
{
    public function __construct(private string $to)
    {
    }

    public function handle()
    {
        echo getmypid() . " sends a mail to {$this->to}\n";
    }
}

/** This one does not succeed. */
class SendMailToNobody extends MPQueue\Job
{
    public function handle()
    {
        throw new RuntimeException('there is nobody of that name');
    }
}

function remind(string $who, string $of): void
{
    echo getmypid() . " reminds $who of $of\n";
}
