/* tests/fuzz/packed_file_fuzz.c — any bytes at all as a file of packed weights: opened for a small group, hashed, all of it touched. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partition/file/packed_file.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A norm, and a matrix whose last panel is not full. */
static const struct tensor small_tensors[] = {
    {.role = W_ATTN_NORM, .layer = 3, .type = T_F32, .rows = 1, .cols = 32},
    {.role = W_Q, .layer = 3, .type = T_Q4_0, .rows = 20, .cols = 64},
};
static const struct packed_group small_group = {.tensors = small_tensors, .n = 2, .model = {1, 2}};

/* True if it would be computed from. */
static bool look(const uint8_t *bytes, size_t n)
{
    struct packed_file p;
    char path[64];
    const int fd = memfd_create("layer.panels", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool is = fd >= 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n && packed_open(&p, path, &small_group, NULL) == PACKED_FITS;
    if (is) {
        is = !packed_verify(&p, 1, NULL) && p.map[0] + p.map[p.bytes - 1] >= 0;
        packed_close(&p);
    }
    if (fd >= 0) close(fd);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
