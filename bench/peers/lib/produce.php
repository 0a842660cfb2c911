<?php
/*
 * What every producer is asked for, and answers; those in other languages do the same.
 *
 *   PRODUCER one FIRST COUNT     push the ids from FIRST on, one by one           prints the seconds that took
 *   PRODUCER bulk FIRST COUNT    the same, 1,000 with each call                   prints the seconds that took
 *   PRODUCER paced FIRST COUNT   one each 20 ms                                   prints the times before and after each push (CLOCK_MONOTONIC, ns)
 */
const TEXT = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';

/* $push takes an id, $bulk a list of ids. */
function produce(array $arguments, callable $push, ?callable $bulk = null): void
{
    [, $what, $first, $count] = $arguments;
    $ids = range((int) $first, $first + $count - 1);
    $begun = hrtime(true);
    if ($what === 'one') {
        array_walk($ids, fn (int $id) => $push($id));
    } elseif ($what === 'bulk') {
        array_map($bulk, array_chunk($ids, 1000));
    } else {
        paced($ids, $push);
        return;
    }
    echo (hrtime(true) - $begun) / 1e9, "\n";
}

function paced(array $ids, callable $push): void
{
    foreach ($ids as $id) {
        $times[] = hrtime(true);
        $push($id);
        $times[] = hrtime(true);
        usleep(20000);
    }
    echo implode(' ', $times), "\n";
}
