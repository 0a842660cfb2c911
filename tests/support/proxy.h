/*
 * A process between clients and a Redis server, from one unix socket to another, that does on command what networks do
 * by themselves. It understands Redis' protocol just enough to tell one request from the next.
 *
 * Commands may be given by any process, at any time, also from inside a crash point; they have been obeyed when the
 * call returns. `pid` narrows them down to the connections which that process has opened; 0 = all of them.
 */
#ifndef MPQ_TEST_PROXY_H
#define MPQ_TEST_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct proxy {
    char path[96]; /* where clients connect */
    pid_t pid;
} proxy;

/* `path` is what clients connect to, `server_path` where the server is. It dies with its parent. False when it can't be
 * started. */
bool proxy_start(proxy *via, const char *path, const char *server_path);
void proxy_stop(proxy *via);

/* Closes connections in the middle of whatever is under way. */
bool proxy_cut(const proxy *via, pid_t pid);
/* The next request that changes something (a script, an EXEC or a BLMOVE) is carried out, but its answer is dropped and
 * its connection closed. */
bool proxy_lose_answer(const proxy *via, pid_t pid);
/* It never reaches the server, and its connection is closed. */
bool proxy_lose_request(const proxy *via, pid_t pid);
/* Every answer comes so much later from now on. */
bool proxy_delay(const proxy *via, uint32_t ms);
/* Connections stay open, new ones are accepted, and nothing passes any more; false lets everything pass that was held.
 */
bool proxy_be_silent(const proxy *via, bool silent);
/* Answers and requests lost so far on command; -1 when the proxy is gone. */
int proxy_losses(const proxy *via);

#endif
