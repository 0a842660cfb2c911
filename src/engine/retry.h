/* What becomes of a job after a run: the one place that decides. Pure. */
#ifndef MPQ_RETRY_H
#define MPQ_RETRY_H

#include "broker.h"
#include "codec.h"
#include "job.h"

/*
 * - END_DONE of the job: DONE. END_DONE of the failure handler: FAILED, with the history as it is.
 * - END_INTERRUPTED: RETURN, uncounted.
 * - UNDECODABLE: final at once. (If even the handler can't be run the worker reports DONE for the handler.)
 * - TIMEOUT of the job: final, unless MPQ_JOB_TIMEOUT_RETRY.
 * - any other end of the job: one failure. Below max(fail_number, 1) failures: RETRY, after fail_expire_ms when the job
 * failed by itself (exception, exit, fatal, out of memory, timeout), at once when its process died under it (signal,
 * died, service or node lost).
 * - final: RETRY at once in phase HANDLER, the cause added to the history.
 * - the handler itself ended otherwise than DONE or INTERRUPTED: an exception, exit or timeout of the handler: FAILED
 *   with that cause added (in_handler). Its process died under it (fatal, out of memory, signal, died, lost): run it
 *   again at once, at most max(fail_number, 1) runs in all, then FAILED.
 *
 * `envelope` receives the bytes for RETRY and FAILED; out->envelope borrows from it. `cause` is ignored for DONE and
 * INTERRUPTED. -1 only when out of memory.
 */
int mpq_retry_decide(const mpq_job *job, const mpq_cause *cause, mpq_buf *envelope, mpq_settle *out, mpq_error *err);

#endif
