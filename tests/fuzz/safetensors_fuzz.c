/* tests/fuzz/safetensors_fuzz.c — any bytes at all as a safetensors file, and as an index of shards.
 *
 * What begins with a brace is taken for an index. Its shards are looked for in a folder that does not exist, so it is
 * refused at the latest when the first is missing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partition/file/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static volatile uint64_t sink; /* so that no read is left out */

static void read_all(const struct safetensors *s)
{
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct safetensor *t = safetensors_at(s, i);
        if (t->bytes) sink += t->data[0] + t->data[t->bytes - 1];
        if (safetensors_find(s, t->name) != t) abort();
    }
}

static bool look(const uint8_t *bytes, size_t n)
{
    char path[64];
    struct safetensors *s = NULL;
    int fd = memfd_create("fuzz.safetensors", MFD_CLOEXEC);
    if (fd < 0) return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool index = n && bytes[0] == '{', accepted = false;
    if (pwrite(fd, bytes, n, 0) == (ssize_t)n)
        accepted = index ? !safetensors_open_index(&s, "/nonexistent", path, NULL)
                         : !safetensors_open_file(&s, path, NULL);
    if (accepted) read_all(s);
    safetensors_close(&s);
    close(fd);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
