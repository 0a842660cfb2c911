#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_CAPACITY = 64 };

void mpq_buf_init(mpq_buf *buf)
{
    memset(buf, 0, sizeof *buf);
}

void mpq_buf_fini(mpq_buf *buf)
{
    free(buf->data);
    mpq_buf_init(buf);
}

void mpq_buf_clear(mpq_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

/* Grows by half so that appending byte by byte stays linear. */
static size_t grown(size_t capacity, size_t needed)
{
    size_t larger = capacity <= SIZE_MAX / 3 * 2 ? capacity + capacity / 2 : SIZE_MAX;
    if (larger < needed)
        larger = needed;
    return larger < MIN_CAPACITY ? MIN_CAPACITY : larger;
}

char *mpq_buf_reserve(mpq_buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    if (!buf->data || buf->capacity - buf->len < len) {
        size_t capacity = buf->len <= SIZE_MAX - len ? grown(buf->capacity, buf->len + len) : 0;
        char *data = capacity && capacity <= PTRDIFF_MAX ? realloc(buf->data, capacity) : NULL;
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->len;
}

void mpq_buf_append(mpq_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    char *at = mpq_buf_reserve(buf, len);
    if (!at)
        return;
    memcpy(at, data, len);
    buf->len += len;
}

void mpq_buf_append_slice(mpq_buf *buf, mpq_slice slice)
{
    mpq_buf_append(buf, slice.data, slice.len);
}

void mpq_buf_append_str(mpq_buf *buf, const char *text)
{
    mpq_buf_append(buf, text, strlen(text));
}

void mpq_buf_printf(mpq_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *at = len < 0 ? NULL : mpq_buf_reserve(buf, (size_t)len + 1);
    if (!at) {
        buf->failed = true;
        return;
    }
    va_start(args, fmt);
    vsnprintf(at, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
}

void mpq_buf_append_u8(mpq_buf *buf, uint8_t value)
{
    mpq_buf_append(buf, &value, 1);
}

static void append_little_endian(mpq_buf *buf, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    mpq_buf_append(buf, bytes, size);
}

void mpq_buf_append_u32(mpq_buf *buf, uint32_t value)
{
    append_little_endian(buf, value, 4);
}

void mpq_buf_append_u64(mpq_buf *buf, uint64_t value)
{
    append_little_endian(buf, value, 8);
}

mpq_reader mpq_reader_of(mpq_slice slice)
{
    mpq_reader reader = {slice.data, slice.len, false};
    return reader;
}

mpq_slice mpq_reader_bytes(mpq_reader *reader, size_t len)
{
    if (reader->failed || reader->left < len) {
        reader->failed = true;
        return mpq_slice_of(NULL, 0);
    }
    mpq_slice slice = {reader->at, len};
    if (len > 0)
        reader->at += len;
    reader->left -= len;
    return slice;
}

static uint64_t read_little_endian(mpq_reader *reader, size_t size)
{
    mpq_slice bytes = mpq_reader_bytes(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value |= (uint64_t)(unsigned char)bytes.data[i] << (8 * i);
    return value;
}

uint8_t mpq_reader_u8(mpq_reader *reader)
{
    return (uint8_t)read_little_endian(reader, 1);
}

uint32_t mpq_reader_u32(mpq_reader *reader)
{
    return (uint32_t)read_little_endian(reader, 4);
}

uint64_t mpq_reader_u64(mpq_reader *reader)
{
    return read_little_endian(reader, 8);
}
