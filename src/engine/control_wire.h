/* What goes over the control socket (SOCK_SEQPACKET): one request, one reply, each one packet of a fixed size. The rows
 * of a status come as a memory file passed with the reply, so that answering can never block the manager. */
#ifndef MPQ_CONTROL_WIRE_H
#define MPQ_CONTROL_WIRE_H

#include "error.h"

#define MPQ_CONTROL_MAGIC 0x4351504du
#define MPQ_CONTROL_VERSION 1u

enum mpq_control_command { MPQ_CONTROL_STOP = 1, MPQ_CONTROL_RELOAD = 2, MPQ_CONTROL_STATUS = 3 };

typedef struct mpq_control_request {
    uint32_t magic;
    uint16_t version;
    uint16_t command;
} mpq_control_request;

typedef struct mpq_control_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t failed;    /* text says why */
    uint32_t row_bytes; /* status: sizeof(mpq_status_row) */
    char text[sizeof(((mpq_error *)0)->text)];
} mpq_control_reply;

#endif
