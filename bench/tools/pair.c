/* The floor under every queue on Redis: one process does RPUSH, another one waits in BLPOP. No envelope, no lease, no
 * retry. Prints one line for each job: microseconds from before the push, and from its return, to the arrival.
 *
 *   pair SOCKET COUNT GAP-IN-MICROSECONDS
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 200 };

typedef struct stamps {
    int64_t before_us, after_us, arrived_us;
} stamps;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static redisContext *open_connection(const char *path)
{
    redisContext *context = redisConnectUnix(path);
    if (context && !context->err)
        return context;
    fprintf(stderr, "can't connect to %s\n", path);
    exit(1);
}

static redisReply *must(redisReply *reply, const redisContext *context)
{
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    fprintf(stderr, "redis: %s\n", reply ? reply->str : context->errstr);
    exit(1);
}

static void receive(const char *path, stamps *all, long count)
{
    redisContext *context = open_connection(path);
    for (long i = 0; i < count; i++) {
        redisReply *reply = must(redisCommand(context, "BLPOP pair 60"), context);
        int64_t at_us = now_us();
        if (reply->type != REDIS_REPLY_ARRAY)
            exit(1);
        all[atol(reply->element[1]->str)].arrived_us = at_us;
        freeReplyObject(reply);
    }
    exit(0);
}

static void send_all(const char *path, stamps *all, long count, useconds_t gap_us)
{
    redisContext *context = open_connection(path);
    char value[BYTES + 1];
    for (long i = 0; i < count; i++) {
        snprintf(value, sizeof value, "%-*ld", BYTES, i);
        usleep(gap_us);
        all[i].before_us = now_us();
        freeReplyObject(must(redisCommand(context, "RPUSH pair %b", value, (size_t)BYTES), context));
        all[i].after_us = now_us();
    }
}

int main(int argc, char **argv)
{
    long count = argc == 4 ? atol(argv[2]) : 0;
    if (count < 1) {
        fprintf(stderr, "usage: pair SOCKET COUNT GAP-IN-MICROSECONDS\n");
        return 2;
    }
    size_t bytes = (size_t)count * sizeof(stamps);
    stamps *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        receive(argv[1], all, count);
    }
    usleep(100000);
    send_all(argv[1], all, count, (useconds_t)atol(argv[3]));
    int status = 1;
    waitpid(pid, &status, 0);
    if (status != 0)
        return 1;
    for (long i = 0; i < count; i++)
        printf("%" PRId64 " %" PRId64 "\n", all[i].arrived_us - all[i].before_us, all[i].arrived_us - all[i].after_us);
    return 0;
}
