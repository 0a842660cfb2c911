/*
 * What the fuzz targets share. A target is one program with LLVMFuzzerTestOneInput, either driven by libFuzzer or by
 * replay.c, which runs files through it. A broken promise ends the process:
 *
 *   MUST(mpq_codec_decode(bytes, &job, &err) == 0);
 */
#ifndef MPQ_FUZZ_H
#define MPQ_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "error.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fuzz_fail(__FILE__, __LINE__, #condition);                                                                 \
    } while (0)
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));

/* A call that said -1 has to say why, in a sentence that ends. */
void fuzz_must_explain(const mpq_error *err);

/* What is left of the input. Reading past the end yields zeros. */
typedef struct fuzz_input {
    const char *at;
    size_t left;
} fuzz_input;

fuzz_input fuzz_input_of(const uint8_t *data, size_t size);
uint8_t fuzz_u8(fuzz_input *input);
uint32_t fuzz_u32(fuzz_input *input);
/* At most `len` bytes; borrowed. */
mpq_slice fuzz_bytes(fuzz_input *input, size_t len);
/* Up to the stop, which is consumed but not part of it, or up to the end. */
mpq_slice fuzz_until(fuzz_input *input, char stop);

/* A block of exactly these bytes, so that every read beyond them is seen. To be freed. */
char *fuzz_copy(mpq_slice bytes);
/* The same as a string: ends at the first NUL. */
char *fuzz_string(mpq_slice bytes);
bool fuzz_contains(mpq_slice bytes, const char *text);

/* A directory of this process below $TMPDIR, without any below it; removed when the process ends by itself. */
const char *fuzz_directory(void);
/* How many descriptors are open: as many after as before whatever must not leak one. */
unsigned fuzz_open_fds(void);

#endif
