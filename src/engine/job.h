/*
 * The nouns of a job: its id, the job itself, how one run of it ended.
 *
 * A job is stored as an *envelope*: a fixed-width header (so that brokers can find the id without parsing), the
 * payload (opaque bytes of the embedder) and the history (one record for each failed run). codec.h writes and
 * reads it.
 */
#ifndef MPQ_JOB_H
#define MPQ_JOB_H

#include "base.h"

#define MPQ_ID_BYTES 16
#define MPQ_ID_TEXT_LEN 32

/* 8 bytes of producer id and 8 bytes of that producer's sequence number (big endian). */
typedef struct mpq_id {
    unsigned char bytes[MPQ_ID_BYTES];
} mpq_id;

/* Writes 32 lower-case hexadecimal digits and a NUL. */
void mpq_id_format(const mpq_id *id, char out[MPQ_ID_TEXT_LEN + 1]);
/* 0, or 1 when `text` is not 32 hexadecimal digits. */
int mpq_id_parse(mpq_slice text, mpq_id *out);
bool mpq_id_equal(const mpq_id *a, const mpq_id *b);

/* Which piece of user code a worker has to run for a job. */
enum mpq_phase {
    MPQ_PHASE_RUN = 0,    /* the job */
    MPQ_PHASE_HANDLER = 1 /* its failure handler: the job has failed for the last time */
};

enum mpq_job_flag {
    MPQ_JOB_TIMEOUT_RETRY = 1, /* a timeout is an ordinary failure instead of a final one */
    MPQ_JOB_IN_DOUBT = 2       /* was delivered to an owner that died before the store knew whether the job had begun */
};

/* A job as stored. Slices are borrowed from the envelope it was decoded from. */
typedef struct mpq_job {
    mpq_id id;
    enum mpq_phase phase;
    uint32_t flags;          /* enum mpq_job_flag */
    uint32_t failures;       /* runs that were counted as failed */
    uint32_t handler_runs;   /* runs of the failure handler whose process died or that timed out */
    uint32_t timeout_ms;     /* 0 = no limit */
    uint32_t fail_number;    /* the fail_number-th failure is final; 0 counts as 1 */
    uint32_t fail_expire_ms; /* pause before a retry */
    uint64_t created_at_ms;  /* producer's wall clock, for people only */
    mpq_slice payload;
    mpq_slice history; /* causes as written by mpq_codec_append_cause */
    uint32_t history_count;
} mpq_job;

/* How a run ended. The order is part of the stored format: append only. */
enum mpq_end {
    MPQ_END_DONE = 0,
    MPQ_END_EXCEPTION = 1, /* user code threw */
    MPQ_END_EXIT = 2,      /* user code called exit() */
    MPQ_END_FATAL = 3,     /* a fatal error of the language ended the process */
    MPQ_END_OUT_OF_MEMORY = 4,
    MPQ_END_SIGNAL = 5, /* the process was killed by a signal we did not send */
    MPQ_END_DIED = 6,   /* the process ended by itself in the middle of the job; code = exit status */
    MPQ_END_TIMEOUT = 7,
    MPQ_END_SERVICE_LOST = 8, /* the whole service on this host died under the job */
    MPQ_END_NODE_LOST = 9,    /* the node's lease ended */
    MPQ_END_UNDECODABLE = 10, /* the payload can't be turned into something to run; final at once */
    MPQ_END_INTERRUPTED = 11  /* we stopped it (stop or reload past its grace): handed back, not counted */
};

/* Stable lower-case name of an end ("exception", "out_of_memory", ...), for records and logs. */
const char *mpq_end_name(enum mpq_end end);

/* Why a run failed; kept with the job. Slices are borrowed. */
typedef struct mpq_cause {
    enum mpq_end end;
    bool in_handler; /* it was the failure handler that failed, not the job */
    int32_t code;    /* exception code, exit status or signal number */
    uint32_t run;    /* 1 for the first run of the job */
    uint32_t line;
    uint64_t at_ms;         /* wall clock of the host where it ended */
    uint64_t started_at_ms; /* wall clock; 0 = not known */
    mpq_slice class_name;   /* exception class, empty if none */
    mpq_slice message;
    mpq_slice file;
    mpq_slice trace;
    mpq_slice worker; /* "<service>:<pid>" */
    mpq_slice node;   /* host name */
} mpq_cause;

#endif
