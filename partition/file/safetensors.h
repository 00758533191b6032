/* partition/file/safetensors.h — reads safetensors files: one, or the shards that an index names. Mapped, never copied.
 *
 * The format: u64 N, N bytes of JSON (name -> dtype, shape, data_offsets), data. The data lies packed: no holes, no
 * overlaps, nothing behind the last tensor; a file where that is not so is refused, as its authors want it.
 *
 * Ownership: everything handed out lives until safetensors_close.
 * Threads:   read-only after opening.
 * Errors:    E_FILE and a sentence. */
#pragma once

#include "base/mapped.h"

/* Whole numbers: no weights, but some libraries saved such things beside them. */
#define SAFETENSOR_WHOLE UINT32_MAX

struct safetensor {
    char *name;       /* printable, NUL-terminated */
    uint32_t type;    /* T_F32, T_F16, T_BF16 or SAFETENSOR_WHOLE: others are refused */
    uint32_t value_bytes;
    uint32_t n_dims;  /* 0..4 */
    uint64_t dims[4]; /* as in the header: the last one is contiguous; unused ones are 1 */
    uint64_t elements, bytes;
    uint64_t offset; /* of the data in the file */
    uint32_t file;
    const uint8_t *data; /* not necessarily aligned */
};

struct safetensors;

/* model.safetensors of the folder, or else the shards that model.safetensors.index.json names. */
int safetensors_open(struct safetensors **out, const char *dir, struct err *why);
int safetensors_open_file(struct safetensors **out, const char *path, struct err *why);
int safetensors_open_index(struct safetensors **out, const char *dir, const char *index_path, struct err *why);
void safetensors_close(struct safetensors **s); /* sets *s to NULL; NULL is fine */

size_t safetensors_count(const struct safetensors *s);
const struct safetensor *safetensors_at(const struct safetensors *s, size_t i);
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL if there is none */

uint32_t safetensors_files(const struct safetensors *s);
const struct mapped *safetensors_file(const struct safetensors *s, uint32_t i);
