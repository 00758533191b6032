/* tests/support/forge.h — makes GGUF files byte by byte, sound or not, without help from the code under test.
 *
 * A forge is a growing run of bytes. The counts in its header are patched as keys and tensors are added, so a claim
 * writes only what it is about; to lie about a count, overwrite it at FORGE_TENSORS or FORGE_KEYS. Files live in memory
 * (memfd): nothing is left behind. Needs _GNU_SOURCE before the first include. */
#pragma once

#include "partition/format/blocks.h"
#include "partition/file/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FORGE_VERSION 4
#define FORGE_TENSORS 8
#define FORGE_KEYS 16
#define FORGE_MAX (1u << 20)

struct forge {
    uint8_t b[FORGE_MAX];
    size_t n;
    uint64_t keys, tensors;
};

static inline void forge_le(struct forge *f, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) f->b[f->n++] = (uint8_t)(v >> 8 * i);
}

static inline void forge_patch(struct forge *f, size_t at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) f->b[at + (size_t)i] = (uint8_t)(v >> 8 * i);
}

static inline void forge_bytes(struct forge *f, const void *p, size_t n)
{
    memcpy(f->b + f->n, p, n);
    f->n += n;
}

static inline void forge_text(struct forge *f, const char *s)
{
    forge_le(f, strlen(s), 8);
    forge_bytes(f, s, strlen(s));
}

static inline struct forge *forge_new(void)
{
    struct forge *f = calloc(1, sizeof *f);
    forge_bytes(f, "GGUF", 4);
    forge_le(f, 3, 4);
    forge_le(f, 0, 8);
    forge_le(f, 0, 8);
    return f;
}

/* Begins a key; the value is for the caller to add. */
static inline void forge_key(struct forge *f, const char *name, uint32_t type)
{
    forge_text(f, name);
    forge_le(f, type, 4);
    forge_patch(f, FORGE_KEYS, ++f->keys, 8);
}

static inline void forge_u32(struct forge *f, const char *name, uint32_t v)
{
    forge_key(f, name, GGUF_U32);
    forge_le(f, v, 4);
}

static inline void forge_f32(struct forge *f, const char *name, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    forge_key(f, name, GGUF_F32);
    forge_le(f, bits, 4);
}

static inline void forge_string(struct forge *f, const char *name, const char *v)
{
    forge_key(f, name, GGUF_STRING);
    forge_text(f, v);
}

/* Begins an array; the elements are for the caller to add. */
static inline void forge_array(struct forge *f, const char *name, uint32_t elem, uint64_t count)
{
    forge_key(f, name, GGUF_ARRAY);
    forge_le(f, elem, 4);
    forge_le(f, count, 8);
}

static inline void forge_tensor(struct forge *f, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
                                uint64_t offset)
{
    forge_text(f, name);
    forge_le(f, n_dims, 4);
    for (uint32_t d = 0; d < n_dims && d < 8; d++) forge_le(f, dims[d], 8);
    forge_le(f, type, 4);
    forge_le(f, offset, 8);
    forge_patch(f, FORGE_TENSORS, ++f->tensors, 8);
}

/* Padding to `align`, then `n` bytes of data. */
static inline void forge_data(struct forge *f, size_t align, size_t n)
{
    f->n = (f->n + align - 1) / align * align;
    for (size_t i = 0; i < n; i++) f->b[f->n++] = (uint8_t)(i * 37 + 11);
}

/* A path under which the bytes can be opened until the descriptor is closed. */
static inline int memory_file(const void *bytes, size_t n, char path[64])
{
    int fd = memfd_create("forged.gguf", MFD_CLOEXEC);
    if (fd >= 0 && pwrite(fd, bytes, n, 0) != (ssize_t)n) {
        close(fd);
        fd = -1;
    }
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static inline int open_forged(struct gguf **g, const struct forge *f, struct err *why)
{
    char path[64];
    int fd = memory_file(f->b, f->n, path);
    int rc = gguf_open(g, path, why);
    close(fd);
    return rc;
}
