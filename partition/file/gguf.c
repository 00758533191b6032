/* partition/file/gguf.c — a model as one or several GGUF files: opening, finding, fingerprint.
 *
 * A large model may come in pieces, NAME-00001-of-00003.gguf and so on. The first piece has all the metadata, the
 * others only their number and their tensors. They are opened together and look like one file from here on. */
#include "partition/file/gguf_parse.h"

#include "base/mapped.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILES 1024
#define SAMPLE 4096 /* bytes of each end of a tensor that go into the fingerprint */

static const char *tensor_name(const void *tensors, size_t i)
{
    return ((const struct gguf_tensor *)tensors)[i].name;
}

/* ---- split models ---- */

#define SPLIT_TAIL 20 /* "-00001-of-00003.gguf" */

static int file_u64(const struct gguf_file *f, const char *key, uint64_t *out, struct err *why)
{
    const struct gguf_key *k = gguf_file_key(f, key);
    if (!k) return fail(why, E_FILE, "%s has no key %s, which every piece of a split model has", f->path, key);
    return gguf_key_u64(f, k, out, why);
}

static int open_piece(struct gguf *g, uint64_t number, uint64_t count, struct err *why)
{
    const char *first = g->files[0].path;
    size_t stem = strlen(first) - SPLIT_TAIL, size = strlen(first) + 1;
    char *path = malloc(size);
    if (!path) return fail(why, E_MEMORY, "no memory to open the pieces of %s", first);
    memcpy(path, first, stem);
    snprintf(path + stem, size - stem, "-%05u-of-%05u.gguf", (unsigned)number + 1, (unsigned)count);
    int code = gguf_file_open(&g->files[number], path, (uint32_t)number, why);
    free(path);
    if (code) return code;
    g->n_files++;

    const struct gguf_file *f = &g->files[number];
    uint64_t no, of;
    TRY(file_u64(f, "split.no", &no, why));
    TRY(file_u64(f, "split.count", &of, why));
    if (no != number || of != count)
        return fail(why, E_FILE,
                    "%s says it is piece %" PRIu64 " of %" PRIu64 ", by its name it is %" PRIu64 " of %" PRIu64,
                    f->path, no + 1, of, number + 1, count);
    return 0;
}

static int open_pieces(struct gguf *g, struct err *why)
{
    struct gguf_file *f = &g->files[0];
    uint64_t no, count;
    char tail[64];
    if (!gguf_file_key(f, "split.count")) return 0;
    TRY(file_u64(f, "split.no", &no, why));
    TRY(file_u64(f, "split.count", &count, why));
    if (count < 1 || count > MAX_FILES)
        return fail(why, E_FILE, "%s says it is split into %" PRIu64 " files, wanted 1 to %d", f->path, count,
                    MAX_FILES);
    if (no != 0)
        return fail(why, E_FILE,
                    "%s is piece %" PRIu64 " of %" PRIu64 " of a split model; open the first, whose name ends in "
                    "-00001-of-%05u.gguf",
                    f->path, no + 1, count, (unsigned)count);
    if (count == 1) return 0;
    size_t n = strlen(f->path);
    snprintf(tail, sizeof tail, "-00001-of-%05u.gguf", (unsigned)count);
    if (n < SPLIT_TAIL || strcmp(f->path + n - SPLIT_TAIL, tail))
        return fail(why, E_FILE,
                    "%s is the first of %" PRIu64 " pieces but its name does not end in %s; the others cannot be found",
                    f->path, count, tail);
    struct gguf_file *files = realloc(g->files, count * sizeof *files);
    if (!files) return fail(why, E_MEMORY, "no memory for the %" PRIu64 " pieces of %s", count, f->path);
    g->files = files;
    for (uint64_t i = 1; i < count; i++) TRY(open_piece(g, i, count, why));
    return 0;
}

/* ---- open and close ---- */

static int gather_tensors(struct gguf *g, struct err *why)
{
    size_t n = 0;
    for (int i = 0; i < g->n_files; i++) n += g->files[i].n_tensors;
    g->tensors = calloc(n + 1, sizeof *g->tensors);
    if (!g->tensors) return fail(why, E_MEMORY, "no memory for the %zu tensors of %s", n, g->files[0].path);
    TRY(name_table_open(&g->tensor_table, n, why));
    for (int i = 0; i < g->n_files; i++)
        for (size_t k = 0; k < g->files[i].n_tensors; k++) {
            struct gguf_tensor *t = &g->tensors[g->n_tensors];
            size_t taken;
            *t = g->files[i].tensors[k];
            if (!name_table_add(&g->tensor_table, t->name, g->n_tensors++, tensor_name, g->tensors, &taken))
                return fail(why, E_FILE, "%s is damaged: it has the tensor %s twice", g->files[i].path, t->name);
        }
    const struct gguf_key *k = gguf_file_key(&g->files[0], "split.tensors.count");
    uint64_t wanted = n;
    if (k) TRY(gguf_key_u64(&g->files[0], k, &wanted, why));
    if (wanted != n)
        return fail(why, E_FILE, "%s: the %d files have %zu tensors together, split.tensors.count says %" PRIu64,
                    g->files[0].path, g->n_files, n, wanted);
    return 0;
}

static int open_all(struct gguf *g, const char *path, struct err *why)
{
    g->files = calloc(1, sizeof *g->files);
    if (!g->files) return fail(why, E_MEMORY, "no memory to open %s", path);
    TRY(gguf_file_open(&g->files[0], path, 0, why));
    g->n_files = 1;
    TRY(open_pieces(g, why));
    TRY(gather_tensors(g, why));
    for (int i = 0; i < g->n_files; i++) mapped_forget(g->files[i].map, g->files[i].header_bytes);
    return 0;
}

int gguf_open(struct gguf **out, const char *path, struct err *why)
{
    *out = NULL;
    struct gguf *g = calloc(1, sizeof *g);
    if (!g) return fail(why, E_MEMORY, "no memory to open %s", path);
    int code = open_all(g, path, why);
    if (code) gguf_close(&g);
    *out = g;
    return code;
}

void gguf_close(struct gguf **file)
{
    struct gguf *g = *file;
    *file = NULL;
    if (!g) return;
    for (int i = 0; i < g->n_files; i++) gguf_file_close(&g->files[i]);
    free(g->files);
    free(g->tensors);
    name_table_close(&g->tensor_table);
    free(g);
}

/* ---- looking ---- */

int gguf_file_count(const struct gguf *g)
{
    return g->n_files;
}

const char *gguf_path(const struct gguf *g, int file)
{
    return g->files[file].path;
}

uint64_t gguf_bytes(const struct gguf *g, int file)
{
    return g->files[file].bytes;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    long i = name_table_find(&g->tensor_table, name, tensor_name, g->tensors);
    return i < 0 ? NULL : &g->tensors[i];
}

static void fold(struct hash128 *h, const void *bytes, size_t n)
{
    struct hash128 x = hash128(bytes, n);
    h->low = hash_fold(h->low, x.low);
    h->high = hash_fold(h->high, x.high);
}

/* Pages touched here are given back tensor by tensor: the two ends of every tensor of a model are tens of megabytes of
 * mapped neighbourhood, and the peak would count. */
struct hash128 gguf_fingerprint(const struct gguf *g)
{
    struct hash128 h = {0, 0};
    for (int i = 0; i < g->n_files; i++) {
        fold(&h, g->files[i].map, g->files[i].header_bytes);
        mapped_forget(g->files[i].map, g->files[i].header_bytes);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        size_t n = t->bytes < SAMPLE ? t->bytes : SAMPLE;
        fold(&h, t->data, n);
        fold(&h, t->data + t->bytes - n, n);
        mapped_forget(t->data, t->bytes);
    }
    return h;
}

/* ---- reading what is mapped ---- */

static const struct gguf_file *file_at(const struct gguf *g, const void *from, uint64_t *offset)
{
    for (int i = 0; i < g->n_files; i++) {
        *offset = (uint64_t)((uintptr_t)from - (uintptr_t)g->files[i].map); /* of another file: far too large */
        if (*offset < g->files[i].bytes) return &g->files[i];
    }
    return NULL;
}

int gguf_read(const struct gguf *g, const void *from, void *out, size_t n, struct err *why)
{
    uint64_t offset;
    const struct gguf_file *f = file_at(g, from, &offset);
    if (!f) return fail(why, E_INTERNAL, "bytes were wanted that are not in %s", gguf_path(g, 0));
    return file_read(f->fd, f->path, offset, out, n, why);
}

int gguf_unchanged(const struct gguf *g, struct err *why)
{
    for (int i = 0; i < g->n_files; i++) TRY(file_unchanged(g->files[i].fd, g->files[i].path, &g->files[i].state, why));
    return 0;
}

void gguf_expect(const struct gguf *g, const void *from, size_t bytes)
{
    uint64_t offset;
    const struct gguf_file *f = file_at(g, from, &offset);
    if (f) posix_fadvise(f->fd, (off_t)offset, (off_t)bytes, POSIX_FADV_WILLNEED);
}
