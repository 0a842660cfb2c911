#include "buf.h"
#include "clock.h"
#include "error.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

TEST(buf_grows_byte_by_byte_and_keeps_everything)
{
    mpq_buf buf = {0};
    for (unsigned i = 0; i < 100000; i++)
        mpq_buf_append_u8(&buf, (uint8_t)(i * 7));
    CHECK(!buf.failed);
    CHECK_INT(buf.len, 100000);
    for (unsigned i = 0; i < 100000; i++)
        CHECK_INT((uint8_t)buf.data[i], (uint8_t)(i * 7));
    mpq_buf_fini(&buf);
    CHECK(buf.data == NULL && buf.len == 0 && buf.capacity == 0);
}

TEST(buf_writes_little_endian)
{
    mpq_buf buf = {0};
    mpq_buf_append_u32(&buf, 0x01020384u);
    mpq_buf_append_u64(&buf, 0x1122334455667788u);
    CHECK_INT(buf.len, 12);
    CHECK(memcmp(buf.data, "\x84\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11", 12) == 0);
    mpq_buf_fini(&buf);
}

TEST(buf_prints_more_than_it_has_room_for)
{
    mpq_buf buf = {0};
    mpq_buf_append_str(&buf, "a");
    mpq_buf_printf(&buf, "%0500d|%s", 42, "end");
    CHECK_INT(buf.len, 505);
    CHECK(memcmp(buf.data + 499, "42|end", 6) == 0);
    mpq_buf_append_str(&buf, "!");
    CHECK_INT(buf.data[505], '!');
    mpq_buf_fini(&buf);
}

TEST(buf_appends_nothing_harmlessly)
{
    mpq_buf buf = {0};
    mpq_buf_append(&buf, NULL, 0);
    mpq_buf_append_slice(&buf, mpq_slice_of(NULL, 0));
    mpq_buf_append_str(&buf, "");
    CHECK(!buf.failed && buf.len == 0);
    CHECK(mpq_buf_reserve(&buf, 0) != NULL);
    mpq_buf_fini(&buf);
}

TEST(buf_reserve_leaves_the_length_alone)
{
    mpq_buf buf = {0};
    mpq_buf_append_str(&buf, "head");
    char *at = mpq_buf_reserve(&buf, 1000);
    CHECK(at == buf.data + 4);
    CHECK_INT(buf.len, 4);
    CHECK(buf.capacity >= 1004);
    memset(at, 'x', 1000);
    CHECK(memcmp(buf.data, "head", 4) == 0);
    mpq_buf_fini(&buf);
}

TEST(buf_failure_sticks_until_cleared)
{
    mpq_buf buf = {0};
    mpq_buf_append_str(&buf, "kept");
    CHECK(mpq_buf_reserve(&buf, SIZE_MAX) == NULL);
    CHECK(buf.failed);
    mpq_buf_append_str(&buf, "ignored");
    mpq_buf_append_u64(&buf, 1);
    mpq_buf_printf(&buf, "%d", 1);
    CHECK_INT(buf.len, 4);
    CHECK(memcmp(buf.data, "kept", 4) == 0);
    CHECK(mpq_buf_reserve(&buf, SIZE_MAX - 2) == NULL);
    size_t capacity = buf.capacity;
    mpq_buf_clear(&buf);
    CHECK(!buf.failed && buf.len == 0 && buf.capacity == capacity);
    mpq_buf_append_str(&buf, "again");
    CHECK_INT(buf.len, 5);
    mpq_buf_fini(&buf);
}

TEST(reader_reads_back_and_stops_at_the_end)
{
    mpq_buf buf = {0};
    mpq_buf_append_u8(&buf, 200);
    mpq_buf_append_u32(&buf, 4000000000u);
    mpq_buf_append_u64(&buf, 18000000000000000000u);
    mpq_buf_append_str(&buf, "tail");
    mpq_reader reader = mpq_reader_of(mpq_buf_slice(&buf));
    CHECK_INT(mpq_reader_u8(&reader), 200);
    CHECK(mpq_reader_u32(&reader) == 4000000000u);
    CHECK(mpq_reader_u64(&reader) == 18000000000000000000u);
    mpq_slice tail = mpq_reader_bytes(&reader, 4);
    CHECK(tail.len == 4 && memcmp(tail.data, "tail", 4) == 0);
    CHECK(!reader.failed && reader.left == 0);
    CHECK_INT(mpq_reader_bytes(&reader, 0).len, 0);
    CHECK(!reader.failed);
    CHECK_INT(mpq_reader_u8(&reader), 0);
    CHECK(reader.failed);
    mpq_buf_fini(&buf);
}

TEST(reader_yields_zeros_after_a_short_read)
{
    mpq_reader reader = mpq_reader_of(mpq_slice_of("\xff\xff\xff", 3));
    CHECK_INT(mpq_reader_u32(&reader), 0);
    CHECK(reader.failed);
    CHECK_INT(mpq_reader_u8(&reader), 0);
    CHECK_INT(mpq_reader_bytes(&reader, 1).len, 0);
    mpq_reader huge = mpq_reader_of(mpq_slice_of("abc", 3));
    CHECK_INT(mpq_reader_bytes(&huge, SIZE_MAX).len, 0);
    CHECK(huge.failed);
    mpq_reader empty = mpq_reader_of(mpq_slice_of(NULL, 0));
    CHECK(mpq_reader_u64(&empty) == 0 && empty.failed);
}

TEST(error_keeps_kind_text_and_number)
{
    mpq_error err;
    CHECK_INT(mpq_error_set(&err, MPQ_ERROR_CONFIG, "queue[%d].timeout", 1), -1);
    CHECK_INT(err.kind, MPQ_ERROR_CONFIG);
    CHECK_INT(err.sys_errno, 0);
    CHECK_STR(err.text, "queue[1].timeout");
    CHECK_INT(mpq_error_set_errno(&err, ENOENT, "can't open %s", "/x"), -1);
    CHECK_INT(err.kind, MPQ_ERROR_SYSTEM);
    CHECK_INT(err.sys_errno, ENOENT);
    CHECK_STR(err.text, "can't open /x: No such file or directory");
    CHECK_INT(mpq_error_set_memory(&err), -1);
    CHECK_INT(err.kind, MPQ_ERROR_MEMORY);
    CHECK_INT(mpq_error_set(NULL, MPQ_ERROR_CONFIG, "nobody listens"), -1);
    CHECK_INT(mpq_error_set_errno(NULL, EIO, "nobody listens"), -1);
}

TEST(error_cuts_what_is_too_long)
{
    mpq_error err;
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    mpq_error_set_errno(&err, ENOENT, "%s", name);
    CHECK_INT(strlen(err.text), sizeof err.text - 1);
}

TEST(clock_moves_forward_in_its_units)
{
    uint64_t ms = mpq_clock_monotonic_ms(), us = mpq_clock_monotonic_us();
    usleep(20000);
    uint64_t ms_for = mpq_clock_monotonic_ms() - ms, us_for = mpq_clock_monotonic_us() - us;
    CHECK(ms_for >= 19 && ms_for < 10000);
    CHECK(us_for >= 20000 && us_for / 1000 <= ms_for + 1);
    CHECK(mpq_clock_wall_ms() > 1577836800000u); /* 2020 */
}
