/*
 * The lease protocol between producers, nodes and the store, for exhaustive checking with spin.
 *
 * One step of the store (a Lua script, an SQLite transaction, a BLMOVE) is one atomic block here. Nodes may crash, be
 * frozen past their lease (it expires while they go on afterwards), lose an answer, and be served by a BLMOVE that was
 * blocked before their lease was taken. All faults draw on budgets, and every other step makes progress, so every
 * execution ends; in the end each job must be done or in the failed records.
 *
 * Built in mistakes, to show that the checker finds them:
 *   NO_OWNER_CHECK     a settlement does not look at who owns the job
 *   POP_BEFORE_RECORD  a reservation takes the job from the queue before it writes down who has it
 *   NO_SEQUENCE_CHECK  a repeated push is not recognised
 *   NO_SWEEP           staging lists of retired owners are forgotten
 *   NO_FENCE           a resumed connection does not refuse requests of the one before it
 *   MOVE_FIRST         a take-over moves jobs to the new owner before it settles them
 *   NO_MARK            a take-over hands back what was staged as if it had surely not begun, however often
 */
#ifndef JOBS
#define JOBS 2
#endif
#ifndef NODES
#define NODES 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef FREEZES
#define FREEZES 1
#endif
#ifndef LOSSES
#define LOSSES 1 /* answers lost on a broken connection */
#endif
#define FAIL_NUMBER 2
#define EPOCHS (NODES + CRASHES + FREEZES)
#define NOBODY 255
/* JOBS is 1 or 2 */
#define SOME_READY (place[0] == ready || place[JOBS - 1] == ready)
#define SWEEPABLE(j) (place[j] == staged && lease[owner[j]] == retired)
#define HOLDS(x, j) (place[j] == running && owner[j] == x)
#define TO_BE_TAKEN(x) (lease[x] == expired || (lease[x] == retired && (HOLDS(x, 0) || HOLDS(x, JOBS - 1))))
#define NOTHING 255

mtype = { absent, ready, staged, running, done, failed };   /* where a job is, in the store */
mtype = { unused, live, expired, retired };                 /* an owner name */
mtype = { unknown, succeeded, threw, lost };                /* how a run ended */

/* -- the store -- */
mtype place[JOBS] = absent;
byte owner[JOBS] = NOBODY;
byte failures[JOBS];
bool handler[JOBS];      /* failed for the last time: the failure handler is due */
bool seen[JOBS];         /* the producer's sequence number of this push */
bool doubtful[JOBS];     /* was staged when its owner's lease had ended: it may have begun */
mtype lease[EPOCHS] = unused;
byte generation[EPOCHS];
byte next_epoch;

byte ended = NOBODY;     /* some owner whose lease has ended, or that held jobs when it did; found where that changes */

/* -- budgets -- */
byte crashes = CRASHES, freezes = FREEZES, losses = LOSSES;

/* -- what must hold; no part of the protocol -- */
byte pushed[JOBS], completed[JOBS], counted[JOBS], begun[JOBS];

bool dead[EPOCHS]; /* the process behind it is gone */

inline find_ended()
{
    byte x;
    ended = NOBODY;
    x = 0;
    do
    :: x < EPOCHS && TO_BE_TAKEN(x) -> ended = x; break
    :: x < EPOCHS && !TO_BE_TAKEN(x) -> x++
    :: x == EPOCHS -> break
    od;
    x = 0
}

inline enqueue(j)
{
    pushed[j]++;
    assert(pushed[j] == 1); /* a repeated push enqueues once */
    place[j] = ready
}

/* Every settlement in the hands of whoever may make it. */
inline complete(j)
{
    completed[j]++;
    assert(completed[j] == 1);
    place[j] = done;
    owner[j] = NOBODY
}

inline count_failure(j, known)
{
    failures[j] = known + 1;
    assert(failures[j] > counted[j]); /* no attempt counter goes backwards */
    counted[j] = failures[j];
    owner[j] = NOBODY;
    place[j] = ready;
    if
    :: failures[j] >= FAIL_NUMBER -> handler[j] = true
    :: else
    fi
}

/* -- a producer: pushes each job, repeats a push whose answer was lost -- */
proctype Producer()
{
    byte j = 0;
    bool answered;
    do
    :: j < JOBS ->
        answered = false;
        do
        :: !answered ->
            atomic {
#ifdef NO_SEQUENCE_CHECK
                enqueue(j);
#else
                if
                :: !seen[j] -> enqueue(j); seen[j] = true
                :: else
                fi;
#endif
                if
                :: answered = true
                :: losses > 0 -> losses--
                fi
            }
        :: answered -> break
        od;
        j++
    :: else -> break
    od
}

/* May `e` still act for the node that speaks through connection `gen`? */
#ifdef NO_FENCE
#define MAY_ACT(e, gen) (lease[e] == live || lease[e] == expired)
#else
#define MAY_ACT(e, gen) ((lease[e] == live || lease[e] == expired) && generation[e] == gen)
#endif

/* -- a node: dispatcher and one worker, one job in hand at a time -- */
proctype Node()
{
    byte e = NOBODY;      /* its owner name */
    byte gen = 0;         /* its connection */
    byte hand = NOTHING;  /* the job in hand */
    byte known = 0;       /* its failures, as read when it was reserved */
    bool known_handler = false;
    bool claimed = false; /* reserved properly; else only staged */
    mtype end = unknown;
    bool broken = false;  /* the connection broke: resume before anything else */
    byte late = NOTHING;  /* a reservation sent on the broken connection that the store has not executed yet */
    byte late_gen = 0;    /* sent through this connection, */
    byte late_owner = 0;  /* under this name */
    byte from = NOBODY;   /* the dead owner whose job it is; else it is our own */
    byte j;

    do
    /* a new owner name */
    :: atomic { e == NOBODY && next_epoch < EPOCHS ->
        e = next_epoch; next_epoch++; lease[e] = live; generation[e] = 1; gen = 1; broken = false }

    /* reserve: one script */
    :: atomic { e != NOBODY && !broken && hand == NOTHING && SOME_READY ->
        if
        :: place[0] == ready -> j = 0
        :: place[JOBS - 1] == ready -> j = JOBS - 1
        fi;
        if
        :: !MAY_ACT(e, gen) -> e = NOBODY
        :: else ->
#ifdef POP_BEFORE_RECORD
            place[j] = absent; hand = j; claimed = false; end = lost;
#else
            lease[e] = live; find_ended();
            place[j] = running; owner[j] = e;
            if
            :: hand = j; known = failures[j]; known_handler = handler[j]; claimed = true; end = unknown
            :: losses > 0 -> losses--; broken = true /* executed, but the answer never came */
            fi
#endif
        fi }
#ifdef POP_BEFORE_RECORD
    :: atomic { hand != NOTHING && end == lost && place[hand] == absent ->
        place[hand] = running; owner[hand] = e; known = failures[hand]; known_handler = handler[hand]; claimed = true;
        end = unknown }
#endif
    /* the connection breaks with a reservation still in a buffer on the way */
    :: atomic { e != NOBODY && !broken && hand == NOTHING && late == NOTHING && losses > 0 && SOME_READY ->
        if
        :: place[0] == ready -> late = 0
        :: place[JOBS - 1] == ready -> late = JOBS - 1
        fi;
        losses--; late_gen = gen; late_owner = e; broken = true }
    /* and the store executes it later, whatever has happened to the sender meanwhile; its answer goes nowhere */
    :: atomic { late != NOTHING ->
        if
        :: MAY_ACT(late_owner, late_gen) && place[late] == ready -> place[late] = running; owner[late] = late_owner
        :: else
        fi;
        late = NOTHING }

    /* a blocked BLMOVE is served: it does not look at the lease. It is only waited for with nothing in hand */
    :: atomic { e != NOBODY && !broken && hand == NOTHING && SOME_READY ->
        if
        :: place[0] == ready -> j = 0
        :: place[JOBS - 1] == ready -> j = JOBS - 1
        fi;
        place[j] = staged; owner[j] = e;
        if
        :: lease[e] == live -> /* the local clock says that the lease still runs: start it at once */
            hand = j; known = failures[j]; known_handler = handler[j]; claimed = false; end = unknown
        :: lease[e] != live -> /* in doubt: ask first; the next exchange claims it or says that the lease is lost */
            broken = true
        fi }
    /* claim what was staged; goes with the next exchange, before any settlement. It may be running by then */
    :: atomic { hand != NOTHING && !claimed && end != lost ->
        if
        :: MAY_ACT(e, gen) && place[hand] == staged && owner[hand] == e ->
            place[hand] = running; claimed = true
        :: else -> hand = NOTHING; end = unknown; e = NOBODY
        fi }

    /* run the job (or its handler) */
    :: atomic { hand != NOTHING && end == unknown ->
        if
        :: known_handler
        :: !known_handler -> /* all runs before this one were counted, but for one that nobody can have known of */
            assert(begun[hand] <= failures[hand] + doubtful[hand]); begun[hand]++
        fi;
        if
        :: end = succeeded
        :: end = threw
        fi }

    /* settle: one script */
    :: atomic { hand != NOTHING && claimed && end != unknown ->
#ifdef NO_OWNER_CHECK
        if
        :: true ->
#else
        if
        :: MAY_ACT(e, gen) && HOLDS((from == NOBODY -> e : from), hand) ->
#endif
            if
            :: known_handler && end == lost -> place[hand] = ready; owner[hand] = NOBODY
            :: known_handler && end != lost -> place[hand] = failed; owner[hand] = NOBODY
            :: !known_handler && end == succeeded -> complete(hand)
            :: !known_handler && end != succeeded -> count_failure(hand, known)
            fi
#ifndef NO_OWNER_CHECK
        :: else /* refused: others own it */
#endif
        fi;
        if
        :: from != NOBODY -> from = NOBODY; find_ended()
        :: else
        fi;
        hand = NOTHING; claimed = false; end = unknown }

    /* resume after a broken connection: fence the old one, hand back what is not known here */
    :: atomic { broken && e != NOBODY ->
        if
        :: lease[e] == retired -> e = NOBODY; hand = NOTHING; claimed = false; end = unknown
        :: else ->
            lease[e] = live; find_ended(); generation[e]++; gen = generation[e];
            j = 0;
            do
            :: j < JOBS ->
                if
                :: owner[j] == e && place[j] == staged && hand == j -> place[j] = running; claimed = true
                :: owner[j] == e && place[j] == staged && hand != j -> place[j] = ready; owner[j] = NOBODY
                :: owner[j] == e && place[j] == running && hand != j -> place[j] = ready; owner[j] = NOBODY
                :: else
                fi;
                j++
            :: else -> break
            od
        fi;
        broken = false }

    /* take over from an owner whose lease has ended: retire it and read what it held, one job at a time here. The job
       stays where it is until it is settled there; others may read it, too */
    :: atomic { e != NOBODY && !broken && hand == NOTHING && MAY_ACT(e, gen) && ended != NOBODY && ended != e ->
        lease[ended] = retired;
        j = 0;
        do
        :: j < JOBS ->
            if
            :: place[j] == staged && owner[j] == ended ->
#ifdef NO_MARK
                place[j] = ready; owner[j] = NOBODY
#else
                if
                :: doubtful[j] -> place[j] = running /* listed with the others from now on */
                :: else -> doubtful[j] = true; place[j] = ready; owner[j] = NOBODY
                fi
#endif
            :: else
            fi;
            if
            :: HOLDS(ended, j) && hand == NOTHING ->
                hand = j; known = failures[j]; known_handler = handler[j]; claimed = true; end = lost;
#ifdef MOVE_FIRST
                owner[j] = e
#else
                from = ended
#endif
            :: else
            fi;
            j++
        :: else -> break
        od;
        if
        :: true
        :: hand != NOTHING && losses > 0 -> /* the answer never came */
            losses--; broken = true; hand = NOTHING; claimed = false; end = unknown; from = NOBODY
        fi;
        find_ended() }
#ifndef NO_SWEEP
    /* sweep what a BLMOVE has put into the staging list of a retired owner */
    :: atomic { e != NOBODY && (SWEEPABLE(0) || SWEEPABLE(JOBS - 1)) ->
        if
        :: SWEEPABLE(0) -> j = 0
        :: SWEEPABLE(JOBS - 1) -> j = JOBS - 1
        fi;
        place[j] = ready; owner[j] = NOBODY }
#endif

    /* faults */
    :: atomic { crashes > 0 && e != NOBODY ->
        crashes--; dead[e] = true;
        e = NOBODY; hand = NOTHING; claimed = false; end = unknown; broken = false; from = NOBODY }
    od
}

/* Leases end: of dead nodes always, of others only when they were frozen. */
proctype Clock(byte e)
{
    do
    :: atomic { lease[e] == live && dead[e] -> lease[e] = expired; find_ended() }
    :: atomic { lease[e] == live && freezes > 0 -> freezes--; lease[e] = expired; find_ended() }
    od
}

init
{
    byte n = 0;
    atomic {
        run Producer();
        do
        :: n < NODES -> run Node(); n++
        :: else -> break
        od;
        n = 0;
        do
        :: n < EPOCHS -> run Clock(n); n++
        :: else -> break
        od
    };
    timeout ->
        n = 0;
        do
        :: n < JOBS -> assert(place[n] == done || place[n] == failed); n++
        :: else -> break
        od
}
