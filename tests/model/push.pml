/*
 * Pushing through gates (src/engine/broker_redis_gate.c): one producer pushes jobs in order, through the gate that is
 * open or by the script. A connection may be given up at any moment; what was sent on it is carried out at any later
 * moment, or never. Then the producer repeats the push on another connection, by the script, or gives it up for good.
 *
 * Checked: no job is added twice, and one whose push has been answered has been added.
 *
 * Bounds: JOBS, LOSSES (connections given up).
 * Mistakes that must be found:
 *   KEEP_GATE   the script leaves the gate of before
 *   ONE_NAME    gates that are opened one after the other have the same name
 *   BLIND       the script does not look into the gate
 */
#ifndef JOBS
#define JOBS 3
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#define CONNECTIONS (LOSSES + 1)
#define NAMES (JOBS + 2 * LOSSES + JOBS + 2)

mtype = {GATE, SCRIPT, ADDED, KNOWN, NO_GATE};

chan request[CONNECTIONS] = [1] of {mtype, byte, byte}; /* sequence, name of the gate (to open) */
chan answer[CONNECTIONS] = [1] of {mtype};

/* The store. */
byte record, gate;      /* last sequence that the script has seen; the gate that belongs to it, 0 = none */
bool exists[NAMES];
byte last[NAMES];       /* in the gate */
byte count[JOBS + 1];

inline add(n)
{
    count[n]++;
    assert(count[n] == 1);
}

inline pass_gate(n, name)
{
    if
    :: exists[name] ->
        add(n);
        last[name] = n;
        result = ADDED
    :: else -> result = NO_GATE
    fi
}

inline run_script(n, name)
{
#ifndef BLIND
    if
    :: gate != 0 && exists[gate] && last[gate] > record -> record = last[gate]
    :: else
    fi;
#endif
    if
    :: record < n ->
        add(n);
        record = n;
        result = ADDED
    :: else -> result = KNOWN
    fi;
#ifndef KEEP_GATE
    exists[gate] = false;
#endif
    gate = name;
    exists[name] = true;
    last[name] = record
}

/* One for each connection: it is served whenever the server likes, also after the producer has left it. */
proctype serve(byte c)
{
    mtype what, result;
    byte n, name;
end:
    do
    :: atomic {
            request[c] ? what, n, name;
            if
            :: what == GATE -> pass_gate(n, name)
            :: else -> run_script(n, name)
            fi;
            answer[c] ! result
        }
    od
}

active proctype producer()
{
    byte c = 0, n = 1, open = 0, names = 0, i;
    mtype sent, got;
    atomic {
        i = 0;
        do
        :: i < CONNECTIONS -> run serve(i); i++
        :: else -> break
        od;
        i = 0
    }
    do
    :: n > JOBS -> break
    :: else ->
        if
        :: open != 0 -> request[c] ! GATE, n, open; sent = GATE
        :: atomic {
#ifdef ONE_NAME
                names = 1;
#else
                names++;
#endif
                open = 0;
                request[c] ! SCRIPT, n, names;
                sent = SCRIPT
            }
        fi;
        if
        :: answer[c] ? got ->
            if
            :: sent == SCRIPT && got == ADDED -> open = names
            :: sent == SCRIPT && got == KNOWN -> open = 0
            :: got == NO_GATE -> open = 0
            :: else
            fi;
            if
            :: got != NO_GATE ->
                assert(count[n] == 1);
                n++
            :: else
            fi
        :: c < LOSSES ->
            c++;
            open = 0;
            if
            :: skip         /* and again */
            :: n++          /* an exception that nobody answers by pushing again */
            fi
        fi
    od
}
