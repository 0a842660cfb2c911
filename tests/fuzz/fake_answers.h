/* What a true server would answer: its requests and its answers, without connections. */
#ifndef MPQ_FAKE_ANSWERS_H
#define MPQ_FAKE_ANSWERS_H

#include "buf.h"
#include "fuzz.h"

enum { FAKE_ARGS_MAX = 4096 };

typedef struct fake_request {
    mpq_slice args[FAKE_ARGS_MAX]; /* the first ones */
    size_t count;
} fake_request;

bool fake_request_is(const fake_request *asked, size_t index, const char *word);

void fake_answers_begin(void);
/* Nothing for a request that blocks. Ends the process when the request is not one of ours. */
void fake_answer(mpq_buf *said, const fake_request *asked, bool subscribed);
/* A job that was not there before, as a bulk string. */
void fake_answer_job(mpq_buf *said);

#endif
