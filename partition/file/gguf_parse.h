/* partition/file/gguf_parse.h — inside the GGUF reader: one file, walked once from its first byte to its first tensor.
 *
 * Only gguf.c, gguf_parse.c, gguf_other.c, gguf_values.c, gguf_copy.c and gguf_hashes.c include this (tests/rooms.sh).
 * gguf_file_open fills `f` or leaves nothing behind but the sentence. */
#pragma once

#include "base/little_endian.h"
#include "base/mapped.h"
#include "base/name_table.h"
#include "partition/file/gguf.h"

/* E_FILE, and what the file is that begins with these bytes, four at least; `bytes` is its size. */
int gguf_refuse_other(const char *path, const uint8_t *begin, uint64_t bytes, struct err *why);

struct gguf_key {
    char *name;           /* NUL-terminated, ours */
    uint32_t type;
    uint32_t elem;        /* of an array: what it holds (possibly GGUF_ARRAY) */
    uint64_t count;       /* of an array */
    const uint8_t *value; /* first byte of the value; of an array: of its first element; of a string: of its length */
};

struct gguf_file {
    char *path;
    int fd;
    struct file_state state; /* when it was opened */
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

extern const uint8_t gguf_value_bytes[13]; /* 0 for strings and arrays */
extern const char *const gguf_value_names[13];
