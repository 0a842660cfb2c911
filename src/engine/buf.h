/* A growable run of bytes. A failed allocation makes it `failed`; everything appended afterwards is ignored, so a
 * writer checks once at the end. Zero-initialised memory is an empty buffer. */
#ifndef MPQ_BUF_H
#define MPQ_BUF_H

#include "base.h"

typedef struct mpq_buf {
    char *data;
    size_t len;
    size_t capacity;
    bool failed;
} mpq_buf;

void mpq_buf_init(mpq_buf *buf);
void mpq_buf_fini(mpq_buf *buf);
void mpq_buf_clear(mpq_buf *buf); /* keeps the memory, forgets the failure */
void mpq_buf_append(mpq_buf *buf, const void *data, size_t len);
void mpq_buf_append_slice(mpq_buf *buf, mpq_slice slice);
void mpq_buf_append_str(mpq_buf *buf, const char *text);
void mpq_buf_printf(mpq_buf *buf, const char *fmt, ...) MPQ_PRINTF(2, 3);
void mpq_buf_append_u8(mpq_buf *buf, uint8_t value);
void mpq_buf_append_u32(mpq_buf *buf, uint32_t value); /* little endian */
void mpq_buf_append_u64(mpq_buf *buf, uint64_t value); /* little endian */

/* Reserves `len` more bytes and returns where they start, NULL when out of memory. buf->len is unchanged. */
char *mpq_buf_reserve(mpq_buf *buf, size_t len);

static inline mpq_slice mpq_buf_slice(const mpq_buf *buf)
{
    return mpq_slice_of(buf->data, buf->len);
}

/* Reads back what the buffer's writers wrote. A read past the end sets `failed` and yields zeros. */
typedef struct mpq_reader {
    const char *at;
    size_t left;
    bool failed;
} mpq_reader;

mpq_reader mpq_reader_of(mpq_slice slice);
uint8_t mpq_reader_u8(mpq_reader *reader);
uint32_t mpq_reader_u32(mpq_reader *reader);
uint64_t mpq_reader_u64(mpq_reader *reader);
mpq_slice mpq_reader_bytes(mpq_reader *reader, size_t len);

#endif
