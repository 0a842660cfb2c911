#include "fuzz.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, what);
    abort();
}

void fuzz_must_explain(const mpq_error *err)
{
    MUST(err->kind != MPQ_ERROR_NONE);
    size_t len = strnlen(err->text, sizeof err->text);
    MUST(len > 0 && len < sizeof err->text);
}

fuzz_input fuzz_input_of(const uint8_t *data, size_t size)
{
    fuzz_input input = {(const char *)data, size};
    return input;
}

mpq_slice fuzz_bytes(fuzz_input *input, size_t len)
{
    if (len > input->left)
        len = input->left;
    mpq_slice bytes = mpq_slice_of(input->at, len);
    if (len > 0)
        input->at += len;
    input->left -= len;
    return bytes;
}

uint8_t fuzz_u8(fuzz_input *input)
{
    mpq_slice byte = fuzz_bytes(input, 1);
    return byte.len ? (uint8_t)byte.data[0] : 0;
}

uint32_t fuzz_u32(fuzz_input *input)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)fuzz_u8(input) << (8 * i);
    return value;
}

mpq_slice fuzz_until(fuzz_input *input, char stop)
{
    const char *end = input->left ? memchr(input->at, stop, input->left) : NULL;
    mpq_slice bytes = fuzz_bytes(input, end ? (size_t)(end - input->at) : input->left);
    if (end)
        fuzz_bytes(input, 1);
    return bytes;
}

char *fuzz_copy(mpq_slice bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    MUST(copy);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return copy;
}

char *fuzz_string(mpq_slice bytes)
{
    const char *end = bytes.len ? memchr(bytes.data, '\0', bytes.len) : NULL;
    size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
    char *copy = malloc(len + 1);
    MUST(copy);
    if (len)
        memcpy(copy, bytes.data, len);
    copy[len] = '\0';
    return copy;
}

bool fuzz_contains(mpq_slice bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static char directory[256];
static pid_t directory_owner;

static void remove_directory(void)
{
    DIR *dir = directory_owner == getpid() ? opendir(directory) : NULL;
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(directory);
}

const char *fuzz_directory(void)
{
    const char *parent = getenv("TMPDIR");
    if (directory[0])
        return directory;
    snprintf(directory, sizeof directory, "%s/mpq-fuzz-XXXXXX", parent && *parent ? parent : "/tmp");
    MUST(mkdtemp(directory));
    directory_owner = getpid();
    atexit(remove_directory);
    return directory;
}

unsigned fuzz_open_fds(void)
{
    enum { LOOKED_AT = 512 };
    static const struct timespec at_once;
    struct pollfd fds[LOOKED_AT];
    unsigned open = 0;
    for (int i = 0; i < LOOKED_AT; i++)
        fds[i] = (struct pollfd){.fd = i};
    MUST(ppoll(fds, LOOKED_AT, &at_once, NULL) >= 0);
    for (int i = 0; i < LOOKED_AT; i++)
        open += !(fds[i].revents & POLLNVAL);
    return open;
}
