/* partition/make/convert.h — the tensors of one GGUF file from tensors of other files: read, quantised, written.
 *
 * Use:      put the keys into `o`, then convert_write, then gguf_out_finish. A tensor whose format does not change is
 *           copied byte for byte.
 * Memory:   CONVERT_MEMORY at most for pieces under way, whatever the model's size and the number of threads; sources
 *           are read, not mapped, so a file that shrinks or cannot be read is a sentence and not a signal.
 * Threads:  `threads` of its own quantise; the caller's thread writes. SIGINT and SIGTERM are held back meanwhile and
 *           end the work with E_INTERRUPTED, so nothing half-made stays behind.
 * Equal:    the bytes do not depend on the number of threads or on the processor.
 * Errors:   E_FILE, naming tensor, row and column, for a value that is NaN, infinite, or too large for its format. */
#pragma once

#include "partition/file/gguf_write.h"

#define CONVERT_MEMORY (96u << 20)

struct conversion {
    char name[64];
    uint32_t type;      /* wanted: one that quantize_makes, or from_type */
    uint32_t n_dims;
    uint64_t dims[4];   /* dims[0] is the contiguous one; unused ones are 1 */
    uint32_t from_type; /* any that block_info knows */
    bool add_one;       /* 1 is added in f32 before anything else */
    uint32_t file;      /* the source lies in paths[file] */
    uint64_t offset;
};

/* What rounding did to one tensor. */
struct conversion_error {
    double signal, noise; /* sums of squares: of the values, of what they are off */
};

struct convert {
    const struct conversion *list;
    size_t count;
    const char *const *paths;
    size_t n_paths;
    int threads;
    const char *label;              /* of the progress line */
    struct conversion_error *error; /* `count` of them to be filled in, or NULL: measuring takes about as long again */
};

uint64_t conversion_bytes_from(const struct conversion *c);
uint64_t conversion_bytes(const struct conversion *c);

/* Puts and writes all tensors of the list, in order. */
int convert_write(struct gguf_out *o, const struct convert *job, struct err *why);
