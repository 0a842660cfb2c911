/*
 * A private redis-server on a unix socket below test_tmpdir(). It dies with the test's process, whatever way that ends.
 *
 *   redis_server server;
 *   redis_server_start(&server, "appendonly yes\nappendfsync always\n");
 *   if (test_failed()) return;
 *   mpq_broker_config config;
 *   redis_server_config(&server, &config);      (mpq_broker_config_fini it)
 */
#ifndef MPQ_TEST_REDIS_SERVER_H
#define MPQ_TEST_REDIS_SERVER_H

#include "config.h"

#include <hiredis/hiredis.h>
#include <sys/types.h>

typedef struct redis_server {
    char dir[64];         /* configuration, log and data */
    char socket_path[96]; /* always the same after a restart */
    pid_t pid;            /* 0 = not running */
    redisContext *admin;  /* redis_command's connection */
    char password[64];    /* of a requirepass line, else empty */
} redis_server;

/* False where there is no redis-server to run: the test should SKIP. */
bool redis_server_available(void);

/* `options` are further lines of redis.conf (may be NULL); by default nothing is written to disk. A `requirepass` line
 * is found and used by redis_command and redis_server_config. Marks the test failed when the server does not come up.
 */
void redis_server_start(redis_server *server, const char *options);
/* Ends it in an orderly way, keeps its directory: redis_server_restart brings it back with its data. */
void redis_server_stop(redis_server *server);
/* SIGKILL. */
void redis_server_kill(redis_server *server);
/* Starts it again with the same options, socket and data. */
void redis_server_restart(redis_server *server);
/* SIGSTOP and SIGCONT: a server that does not answer. */
void redis_server_freeze(redis_server *server, bool frozen);

/* A configuration that reaches it. mpq_broker_config_fini when done. */
void redis_server_config(const redis_server *server, mpq_broker_config *out);

/* One command through a connection of its own; the reply is freed by freeReplyObject. An error reply is returned like
 * any other; a broken connection ends the test's process. */
redisReply *redis_command(redis_server *server, const char *fmt, ...);
/* The integer answered, or the number in the string answered; -1 for anything else. */
long long redis_command_int(redis_server *server, const char *fmt, ...);

#endif
