/* tests/fuzz/gguf_fuzz.c — any bytes at all as a model file: opened, looked at in every way, closed.
 *
 * `make fuzz T=gguf` runs it under libFuzzer, from the seeds in seeds/gguf_fuzz (make_gguf_seeds.py wrote them).
 * Without it, gguf_fuzz_test.c feeds it damaged files. Whatever the bytes, it must end with 0 and touch no memory that
 * is not its own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "partition/file/model_file.h"
#include "partition/model/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static volatile uint64_t sink; /* so that no read is left out */

static void read_all(const struct gguf *g)
{
    char value[200];
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        uint32_t type;
        uint64_t u;
        float f;
        bool b;
        struct gguf_string s;
        struct gguf_array list;
        const char *key = gguf_key_at(g, i, &type, value, sizeof value);
        if (!gguf_u64(g, key, &u, NULL)) sink += u;
        if (!gguf_f32(g, key, &f, NULL)) sink += f == 1;
        if (!gguf_bool(g, key, &b, NULL)) sink += b;
        if (!gguf_text(g, key, &s, NULL) && s.n) sink += (uint8_t)s.text[s.n - 1];
        if (gguf_list(g, key, &list, NULL) || list.type != GGUF_STRING) continue;
        const uint8_t *cursor = list.data;
        for (uint64_t k = 0; k < list.count; k++) sink += gguf_next_string(&cursor).n;
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        sink += t->data[0] + t->data[t->bytes - 1] + (gguf_tensor(g, t->name) == t);
    }
}

static void use_model(const struct model *m)
{
    struct part all = {0, m->config.layers, 0, HEAD_PARTS, false};
    struct capacity cap = {4096, 1, 64, 2, 0, {0}};
    struct tensor *tensors = calloc(part_count(CHAIN_TEXT, all), sizeof *tensors);
    if (!tensors) return;
    text_part_tensors(m, all, tensors);
    sink += text_part_bytes(&m->config, all, tensors, &cap, 1).total;
    for (size_t i = 0; i < part_count(CHAIN_TEXT, all); i++)
        sink += tensors[i].data[tensors[i].rows * block_row_bytes(tensors[i].type, tensors[i].cols) - 1];
    free(tensors);
}

/* Looks at the file under `path` as a GGUF and as a model. True if it is a model. */
static bool look(const char *path)
{
    struct gguf *g;
    struct model *m;
    if (!gguf_open(&g, path, NULL)) read_all(g);
    gguf_close(&g);
    bool is_model = !model_open(&m, path, NULL);
    if (is_model) use_model(m);
    model_close(&m);
    return is_model;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[64];
    int fd = memfd_create("fuzz.gguf", MFD_CLOEXEC);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (pwrite(fd, bytes, n, 0) == (ssize_t)n) look(path);
    close(fd);
    return 0;
}
