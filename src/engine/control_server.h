/*
 * The manager's end of the control socket. Nobody who connects can make the manager wait: a client has one small
 * packet to send within CLIENT_FOR_MS, gets one, and whoever sends anything else is disconnected without an answer.
 */
#ifndef MPQ_CONTROL_SERVER_H
#define MPQ_CONTROL_SERVER_H

#include "control.h"
#include "control_wire.h"
#include "loop.h"

typedef struct mpq_control_server mpq_control_server;

typedef struct mpq_control_handler {
    void *arg;
    /* Only take note; answered at once. */
    void (*stop)(void *arg);
    /* 0 = begun: answered by mpq_control_server_reloaded; -1 = refused, err says why. */
    int (*reload)(void *arg, mpq_error *err);
    /* malloc'ed rows, 0 or -1. */
    int (*status)(void *arg, mpq_status_row **rows, size_t *count, mpq_error *err);
} mpq_control_handler;

/* Creates the socket, replacing one that a dead service of this user has left: the caller holds the pid file's lock. */
int mpq_control_server_open(const mpq_config *config, mpq_loop *loop, const mpq_control_handler *handler,
                            mpq_control_server **out, mpq_error *err);
/* Removes the socket. Clients that still wait see the end of file. */
void mpq_control_server_close(mpq_control_server *server);
/* In a child, whose loop is gone: closes the descriptors and leaves the socket to the manager. */
void mpq_control_server_forget(mpq_control_server *server);

/* Answers everybody who waits for a reload; `why` NULL = it has succeeded. */
void mpq_control_server_reloaded(mpq_control_server *server, const char *why);
/* Disconnects clients that have not asked anything in time; returns when the next one's time is over. */
uint64_t mpq_control_server_expire(mpq_control_server *server, uint64_t now_ms);

#endif
