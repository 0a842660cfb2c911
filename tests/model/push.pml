/*
 * Pushing through gates (src/engine/broker_redis_gate.c): one producer pushes jobs in order, through the gate that is
 * open or by the script. A connection may be given up at any moment; what was sent on it is carried out at any later
 * moment, or never. Then the producer repeats the push on another connection, by the script, or gives it up for good.
 *
 * A push may be one of many jobs: the first passes the gate, and the others follow it. That is a transaction which the
 * server drops if the gate was touched since it has answered that it is watched and there.
 *
 * Checked: no job is added twice, and those whose push has been answered have been added.
 *
 * Bounds: JOBS, LOSSES (connections given up).
 * Mistakes that must be found:
 *   KEEP_GATE   the script leaves the gate of before
 *   ONE_NAME    gates that are opened one after the other have the same name
 *   BLIND       the script does not look into the gate
 *   NO_WATCH    the server does not drop a transaction
 *   NO_LOOK     nobody looks whether the gate that is watched is there
 */
#ifndef JOBS
#define JOBS 3
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#define CONNECTIONS (LOSSES + 1)
#define NAMES (JOBS + 2 * LOSSES + JOBS + 2)

mtype = {GATE, WATCH, MANY, SCRIPT, ADDED, KNOWN, WATCHED, NO_GATE};

chan request[CONNECTIONS] = [1] of {mtype, byte, byte}; /* sequence, name of the gate (to open) */
chan answer[CONNECTIONS] = [1] of {mtype};

/* The store. */
byte record, gate;      /* last sequence that the script has seen; the gate that belongs to it, 0 = none */
bool exists[NAMES];
byte last[NAMES];       /* in the gate */
byte count[JOBS + 1];   /* of the first, or only, job of a push */
byte others[JOBS + 1];  /* of those that follow it */
byte watched[CONNECTIONS];
bool touched[CONNECTIONS];

bool many[JOBS + 1];

inline add(n)
{
    count[n]++;
    assert(count[n] == 1);
}

inline add_others(n)
{
    others[n]++;
    assert(others[n] == 1);
}

inline touch(name)
{
    i = 0;
    do
    :: i < CONNECTIONS ->
        if
        :: watched[i] == name -> touched[i] = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline watch(name)
{
    watched[c] = name;
    touched[c] = false;
    result = WATCHED;
#ifndef NO_LOOK
    if
    :: !exists[name] ->
        watched[c] = 0;
        result = NO_GATE
    :: else
    fi
#endif
}

inline pass_gate(n, name)
{
    if
    :: exists[name] ->
        add(n);
        last[name] = n;
        touch(name);
        result = ADDED
    :: else -> result = NO_GATE
    fi
}

inline pass_many(n, name)
{
#ifndef NO_WATCH
    if
    :: touched[c] -> result = NO_GATE
    :: else ->
#endif
        pass_gate(n, name);
        add_others(n)
#ifndef NO_WATCH
    fi
#endif
    ;
    watched[c] = 0;
    touched[c] = false
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
        if
        :: many[n] -> add_others(n)
        :: else
        fi;
        record = n;
        result = ADDED
    :: else -> result = KNOWN
    fi;
#ifndef KEEP_GATE
    exists[gate] = false;
    touch(gate);
#endif
    gate = name;
    exists[name] = true;
    last[name] = record
}

/* One for each connection: it is served whenever the server likes, also after the producer has left it. */
proctype serve(byte c)
{
    mtype what, result;
    byte n, name, i;
end:
    do
    :: atomic {
            request[c] ? what, n, name;
            if
            :: what == GATE -> pass_gate(n, name)
            :: what == WATCH -> watch(name)
            :: what == MANY -> pass_many(n, name)
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
    bool watching = false; /* this connection the gate that is open */
    atomic {
        i = 0;
        do
        :: i < CONNECTIONS -> run serve(i); i++
        :: else -> break
        od;
        i = 1;
        do
        :: i > JOBS -> break
        :: i <= JOBS -> many[i] = true; i++
        :: i <= JOBS -> i++
        od;
        i = 0
    }
    do
    :: n > JOBS -> break
    :: else ->
        if
        :: watching -> request[c] ! MANY, n, open; sent = MANY; watching = false
        :: open != 0 && !watching && many[n] -> request[c] ! WATCH, n, open; sent = WATCH
        :: open != 0 && !many[n] -> request[c] ! GATE, n, open; sent = GATE
        :: !watching -> atomic {
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
            :: got == WATCHED -> watching = true
            :: else
            fi;
            if
            :: got != NO_GATE && got != WATCHED ->
                assert(count[n] == 1);
                assert(others[n] == many[n]);
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
