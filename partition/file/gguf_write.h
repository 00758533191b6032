/* partition/file/gguf_write.h — writes a GGUF v3 file front to back: keys, then tensor descriptions, then their data.
 *
 * Use:       open, put keys and tensors in any order, begin, data of every tensor in the order they were put, finish.
 * Memory:    keys and descriptions are gathered in memory (a few megabytes); data goes straight out.
 * Errors:    putting cannot fail visibly; lack of memory is remembered and told by gguf_out_begin.
 * The file:  gets its name when it is complete and on the disk, so a name never stands for half a model. Until then it
 *            has none, or is PATH.partial where the file system knows no nameless files. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow. `failed` sticks once memory ran out; the rest is ignored then. */
struct bytes {
    uint8_t *data;
    size_t n, room;
    bool failed;
};
void bytes_put(struct bytes *b, const void *from, size_t n);
void bytes_put_le(struct bytes *b, uint64_t value, unsigned bytes); /* little-endian */
void bytes_put_text(struct bytes *b, const char *text, size_t n);   /* u64 length and text, as GGUF has it */
void bytes_free(struct bytes *b);

struct gguf_out;

/* "-" is standard output, if it is no terminal. */
int gguf_out_open(struct gguf_out **out, const char *path, struct err *why);

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_out *o, const char *key, float value);
void gguf_put_bool(struct gguf_out *o, const char *key, bool value);
void gguf_put_text(struct gguf_out *o, const char *key, const char *text);
/* `elements` as they lie in a file: numbers little-endian, strings as bytes_put_text writes them. */
void gguf_put_array(struct gguf_out *o, const char *key, uint32_t elem_type, uint64_t count,
                    const struct bytes *elements);
/* Any value, `n` bytes as they lie in a file. */
void gguf_put_raw(struct gguf_out *o, const char *key, uint32_t type, const void *value, size_t n);
/* general.file_type of a model whose matrices mostly have this format. */
uint32_t gguf_file_type(uint32_t matrix);
/* dims[0] is the contiguous one; a row is whole blocks. */
void gguf_put_tensor(struct gguf_out *o, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims);

/* Takes the room on the disk and writes all that was put; E_FILE with both numbers if it does not fit. */
int gguf_out_begin(struct gguf_out *o, struct err *why);
uint64_t gguf_out_total(const struct gguf_out *o); /* bytes of data to come, padding included; after begin */
/* The next bytes of the current tensor; never more than it has left. E_INTERRUPTED after a signal that is caught
 * (base/interrupt.h). */
int gguf_out_data(struct gguf_out *o, const void *from, size_t n, struct err *why);
/* Gives the file its name. Without it, or if it fails, gguf_out_close removes what was written. */
int gguf_out_finish(struct gguf_out *o, struct err *why);
void gguf_out_close(struct gguf_out **o); /* sets *o to NULL; NULL is fine */
