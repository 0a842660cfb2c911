#ifndef MPQ_TEST_LOG_LINES_H
#define MPQ_TEST_LOG_LINES_H

/* Lines with the text in all logs (mpqueue-*.log) of the directory. */
unsigned log_lines(const char *directory, const char *text);

#endif
