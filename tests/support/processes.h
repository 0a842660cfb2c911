/* Processes that a test plays with: they share memory with it and end with it. */
#ifndef MPQ_TEST_PROCESSES_H
#define MPQ_TEST_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zero-filled, inherited by children; ends the test when there is none. */
void *process_shared_memory(size_t bytes);

pid_t process_spawn(void (*body)(uint32_t number), uint32_t number);
/* SIGKILL, and waits for the end. */
void process_stop(pid_t pid);
/* Blocked in a futex. */
bool process_is_asleep(pid_t pid);
/* Until it is; false after ten seconds. */
bool process_wait_for_sleep(pid_t pid);
/* Until it has ended by itself; false (and it is killed) after ten seconds. */
bool process_wait_for_end(pid_t pid);

/* A process whose `operation` can be run one instruction at a time. It is stopped right before it, after `prepare` (may
 * be NULL). -1 when processes can't be traced here. */
pid_t process_trace(void (*prepare)(void), void (*operation)(void));
/* One instruction of the operation: false when it is over or sleeps in a system call. */
bool process_step(pid_t pid);
/* Lets it run freely, to its end. */
void process_release(pid_t pid);

#endif
