#include "job.h"

#include <string.h>

void mpq_id_format(const mpq_id *id, char out[MPQ_ID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MPQ_ID_BYTES; i++) {
        out[2 * i] = digits[id->bytes[i] >> 4];
        out[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    out[MPQ_ID_TEXT_LEN] = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

int mpq_id_parse(mpq_slice text, mpq_id *out)
{
    if (text.len != MPQ_ID_TEXT_LEN)
        return 1;
    mpq_id id;
    for (size_t i = 0; i < MPQ_ID_BYTES; i++) {
        int high = digit_value(text.data[2 * i]), low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return 1;
        id.bytes[i] = (unsigned char)(high << 4 | low);
    }
    *out = id;
    return 0;
}

bool mpq_id_equal(const mpq_id *a, const mpq_id *b)
{
    return memcmp(a->bytes, b->bytes, MPQ_ID_BYTES) == 0;
}

const char *mpq_end_name(enum mpq_end end)
{
    static const char *const names[] = {
        [MPQ_END_DONE] = "done",
        [MPQ_END_EXCEPTION] = "exception",
        [MPQ_END_EXIT] = "exit",
        [MPQ_END_FATAL] = "fatal",
        [MPQ_END_OUT_OF_MEMORY] = "out_of_memory",
        [MPQ_END_SIGNAL] = "signal",
        [MPQ_END_DIED] = "died",
        [MPQ_END_TIMEOUT] = "timeout",
        [MPQ_END_SERVICE_LOST] = "service_lost",
        [MPQ_END_NODE_LOST] = "node_lost",
        [MPQ_END_UNDECODABLE] = "undecodable",
        [MPQ_END_INTERRUPTED] = "interrupted",
    };
    return (size_t)end < sizeof names / sizeof *names ? names[end] : "unknown";
}
