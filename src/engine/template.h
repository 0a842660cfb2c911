/*
 * The template of a code generation: loads the user's code once, then copies itself into workers on request. Manager
 * and template talk over a SOCK_SEQPACKET pair, one struct for each packet; the end of file sends the template home.
 */
#ifndef MPQ_TEMPLATE_H
#define MPQ_TEMPLATE_H

#include "process.h"

typedef struct mpq_template_request {
    uint32_t index; /* entry on the board to work as */
} mpq_template_request;

enum mpq_template_said {
    MPQ_TEMPLATE_READY,
    MPQ_TEMPLATE_FAILED,   /* preload failed, text says why; the template is about to exit */
    MPQ_TEMPLATE_SPAWNED,  /* index and pid */
    MPQ_TEMPLATE_NO_WORKER /* index; text says why it could not be cloned */
};

typedef struct mpq_template_reply {
    uint32_t said;
    uint32_t index;
    int32_t pid;
    char text[sizeof((mpq_error *)0)->text];
} mpq_template_reply;

/* The template's main. Takes over `fd`. Returns its exit status, or, in each worker it has become, 0 with self->role
 * changed to MPQ_ROLE_WORKER and signals still blocked. */
int mpq_template_run(mpq_process *self, int fd);

#endif
