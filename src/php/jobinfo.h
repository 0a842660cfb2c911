/* What failure handlers are told: the $jobInfo array, and the Throwable that stands for the last failure. */
#ifndef MPQUEUE_JOBINFO_H
#define MPQUEUE_JOBINFO_H

#include "../engine/mpq.h"
#include "php.h"

/* The failure that made the job final: the newest one that was the job's own, not its handler's. 0, or 1 when the
 * history tells of none; `out` then says that the cause is not known. */
int mpqueue_jobinfo_last_cause(const mpq_job *job, mpq_cause *out);

/* `job` is what the payload became; NULL when it could not be decoded: the raw bytes are then under "payload". */
void mpqueue_jobinfo_build(const mpq_run *run, zval *job, zval *info);

/* An object of the class that was thrown, made without its constructor, with message, code, file and line set. If there
 * is no such class (any more) a QueueException that names it; for everything that is no exception of the job, the class
 * of MPQueue\Exception that belongs to it. With `autoload` looking the class up may run autoloaders. */
void mpqueue_jobinfo_exception(const mpq_cause *cause, bool autoload, zval *exception);

#endif
