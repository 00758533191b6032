/* partition/file/gguf_parse.h — inside the GGUF reader: one file, walked once from its first byte to its first tensor.
 *
 * Only gguf.c, gguf_values.c and gguf_copy.c include this. gguf_file_open fills `f` or leaves nothing behind but the sentence. */
#ifndef PARTITION_FILE_GGUF_PARSE_H
#define PARTITION_FILE_GGUF_PARSE_H

#include "partition/file/gguf.h"

struct gguf_key {
    char *name;           /* NUL-terminated, ours */
    uint32_t type;
    uint32_t elem;        /* of an array: what it holds (possibly GGUF_ARRAY) */
    uint64_t count;       /* of an array */
    const uint8_t *value; /* first byte of the value; of an array: of its first element; of a string: of its length */
};

/* Names to positions: open addressing, slot holds position + 1. */
struct name_table {
    uint32_t *slots;
    uint32_t mask;
};

struct gguf_file {
    char *path;
    const uint8_t *map;
    uint64_t bytes;
    uint64_t header_bytes; /* metadata and tensor descriptions, up to the padding before the data */
    struct gguf_key *keys;
    size_t n_keys;
    struct name_table key_table;
    struct gguf_tensor *tensors;
    size_t n_tensors;
};

struct gguf {
    struct gguf_file *files;
    int n_files;
    struct gguf_tensor *tensors; /* of all files, in order; the names belong to the files */
    size_t n_tensors;
    struct name_table tensor_table;
};

int gguf_file_open(struct gguf_file *f, const char *path, uint32_t number, struct err *why);
void gguf_file_close(struct gguf_file *f);

const struct gguf_key *gguf_file_key(const struct gguf_file *f, const char *name); /* NULL if there is none */
int gguf_key_u64(const struct gguf_file *f, const struct gguf_key *k, uint64_t *out, struct err *why);

int name_table_open(struct name_table *t, size_t names, struct err *why);
/* Files `name` under `at`, unless it is taken: then *taken is where it stands already, and false. */
bool name_table_add(struct name_table *t, const char *name, size_t at, const char *(*name_at)(const void *, size_t),
                    const void *names, size_t *taken);
/* Position or -1. */
long name_table_find(const struct name_table *t, const char *name, const char *(*name_at)(const void *, size_t),
                     const void *names);

extern const uint8_t gguf_value_bytes[13]; /* 0 for strings and arrays */
extern const char *const gguf_value_names[13];

/* Numbers lie little-endian at any address. */
static inline uint64_t gguf_le(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

#endif
