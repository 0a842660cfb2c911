#include "redis_server.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_TRIES = 500, START_PAUSE_US = 10000 };

bool redis_server_available(void)
{
    const char *path = getenv("PATH");
    char candidate[512];
    while (path && *path) {
        size_t len = strcspn(path, ":");
        snprintf(candidate, sizeof candidate, "%.*s/redis-server", (int)len, path);
        if (access(candidate, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static int write_config(const redis_server *server, const char *options)
{
    char path[96];
    snprintf(path, sizeof path, "%s/redis.conf", server->dir);
    FILE *file = fopen(path, "w");
    if (!file)
        return -1;
    fprintf(file, "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nlogfile %s/redis.log\n", server->socket_path,
            server->dir, server->dir);
    fprintf(file, "save \"\"\nappendonly no\ndaemonize no\n%s\n", options ? options : "");
    return fclose(file);
}

/* Only async-signal-safe work between fork and exec; PDEATHSIG makes the server die with this test. */
static pid_t spawn(const redis_server *server)
{
    char path[96];
    snprintf(path, sizeof path, "%s/redis.conf", server->dir);
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    execlp("redis-server", "redis-server", path, (char *)NULL);
    _exit(127);
}

static int authenticate(redis_server *server)
{
    if (!server->password[0])
        return 0;
    redisReply *reply = redisCommand(server->admin, "AUTH %s", server->password);
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    return ok ? 0 : -1;
}

static int connect_admin(redis_server *server)
{
    server->admin = redisConnectUnix(server->socket_path);
    if (server->admin && !server->admin->err && authenticate(server) == 0)
        return 0;
    if (server->admin)
        redisFree(server->admin);
    server->admin = NULL;
    return -1;
}

/* Any answer but LOADING means that it is up; NOAUTH is an answer, too. */
static bool is_up(redis_server *server)
{
    if (!server->admin && connect_admin(server) != 0)
        return false;
    redisReply *reply = redisCommand(server->admin, "PING");
    bool up = reply && !(reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0);
    if (!reply) {
        redisFree(server->admin);
        server->admin = NULL;
    } else {
        freeReplyObject(reply);
    }
    return up;
}

static void disconnect_admin(redis_server *server)
{
    if (server->admin)
        redisFree(server->admin);
    server->admin = NULL;
}

void redis_server_restart(redis_server *server)
{
    unlink(server->socket_path);
    server->pid = spawn(server);
    for (int i = 0; server->pid > 0 && i < START_TRIES; i++) {
        if (is_up(server))
            return;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            break;
        usleep(START_PAUSE_US);
    }
    test_fail(__FILE__, __LINE__, "redis-server does not start, see %s/redis.log", server->dir);
}

void redis_server_start(redis_server *server, const char *options)
{
    memset(server, 0, sizeof *server);
    snprintf(server->dir, sizeof server->dir, "%s/redis-XXXXXX", test_tmpdir());
    if (!mkdtemp(server->dir)) {
        test_fail(__FILE__, __LINE__, "can't make %s: %s", server->dir, strerror(errno));
        return;
    }
    snprintf(server->socket_path, sizeof server->socket_path, "%s/s", server->dir);
    const char *password = options ? strstr(options, "requirepass ") : NULL;
    if (password)
        sscanf(password, "requirepass %63s", server->password);
    if (write_config(server, options) != 0)
        test_fail(__FILE__, __LINE__, "can't write %s/redis.conf", server->dir);
    else
        redis_server_restart(server);
}

static void end(redis_server *server, int signal_number)
{
    disconnect_admin(server);
    if (server->pid <= 0)
        return;
    kill(server->pid, signal_number);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_stop(redis_server *server)
{
    end(server, SIGTERM);
}

void redis_server_kill(redis_server *server)
{
    end(server, SIGKILL);
}

void redis_server_freeze(redis_server *server, bool frozen)
{
    kill(server->pid, frozen ? SIGSTOP : SIGCONT);
}

void redis_server_config(const redis_server *server, mpq_broker_config *out)
{
    mpq_broker_config_init(out);
    out->driver = MPQ_DRIVER_REDIS;
    free(out->host);
    out->host = NULL;
    out->socket_path = strdup(server->socket_path);
    free(out->prefix);
    out->prefix = strdup("mpq");
    if (server->password[0])
        out->password = strdup(server->password);
    out->connect_timeout_ms = 2000;
    out->read_timeout_ms = 5000;
}

static redisReply *command(redis_server *server, const char *fmt, va_list args)
{
    if (!server->admin && connect_admin(server) != 0) {
        printf("  redis_command: can't connect to %s\n", server->socket_path);
        exit(1);
    }
    redisReply *reply = redisvCommand(server->admin, fmt, args);
    if (!reply) {
        printf("  redis_command %s: %s\n", fmt, server->admin->errstr);
        exit(1);
    }
    return reply;
}

redisReply *redis_command(redis_server *server, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    redisReply *reply = command(server, fmt, args);
    va_end(args);
    return reply;
}

long long redis_command_int(redis_server *server, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    redisReply *reply = command(server, fmt, args);
    va_end(args);
    long long value = -1;
    if (reply->type == REDIS_REPLY_INTEGER)
        value = reply->integer;
    else if (reply->type == REDIS_REPLY_STRING)
        value = strtoll(reply->str, NULL, 10);
    freeReplyObject(reply);
    return value;
}
