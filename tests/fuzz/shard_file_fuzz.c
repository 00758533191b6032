/* tests/fuzz/shard_file_fuzz.c — any bytes at all as a worker's shard: its label read, its tensors found and touched. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partition/file/gguf.h"
#include "partition/file/shard_file.h"
#include "partition/format/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static volatile uint64_t sink; /* so that no read is left out */

/* As an assignment would ask for it: what the file itself says of the tensor's type and rows, and of the head some words. */
static bool find(const struct gguf *g, const struct shard_label *label, uint8_t role, uint32_t layer, struct part wanted)
{
    char name[ROLE_NAME_ROOM];
    role_tensor_name(name, role, layer);
    const struct gguf_tensor *there = gguf_tensor(g, name);
    if (!there || there->dims[0] > UINT32_MAX || there->dims[1] > UINT32_MAX) return false;
    struct tensor t = {.role = role, .layer = layer, .type = there->type, .cols = (uint32_t)there->dims[0], .rows = (uint32_t)there->dims[1]};
    if (role == W_HEAD) t.rows = head_word(label->vocab, wanted.back_end) - head_word(label->vocab, wanted.back);
    if (shard_tensors(g, label, wanted, &t, 1, NULL)) return false;
    const uint64_t bytes = t.rows * block_row_bytes(t.type, t.cols);
    if (bytes) sink += t.data[0] + t.data[bytes - 1];
    return true;
}

static bool look_into(const struct gguf *g)
{
    struct shard_label label;
    bool all = true;
    if (shard_label_read(&label, g, NULL)) return false;
    for (uint32_t layer = label.part.first; layer < label.part.end; layer++)
        for (uint8_t role = 0; role < W_LAYER_ROLES; role++) all &= find(g, &label, role, layer, label.part);
    struct part wanted = label.part;
    for (; wanted.back < wanted.back_end; wanted.back++) all &= find(g, &label, W_HEAD, 0, wanted);
    return all;
}

/* True if it is a shard that holds all its label says. */
static bool look(const uint8_t *bytes, size_t n)
{
    struct gguf *g = NULL;
    char path[64];
    const int fd = memfd_create("shard.gguf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const bool is = fd >= 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n && !gguf_open(&g, path, NULL) && look_into(g);
    gguf_close(&g);
    if (fd >= 0) close(fd);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
