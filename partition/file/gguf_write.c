/* partition/file/gguf_write.c — the mirror of gguf_parse.c, as small as it can be.
 *
 * Padding is written here and nowhere else: after the descriptions, and after every tensor, up to the next 32 bytes.
 *
 * That the file has its name only when it is whole is the work of base/whole_file.h. Room for all of it is taken before
 * the first byte: a full disk is told at once, not after an hour. */
#include "partition/file/gguf_write.h"

#include "base/checked.h"
#include "base/half.h"
#include "base/interrupt.h"
#include "base/little_endian.h"
#include "base/whole_file.h"
#include "partition/format/blocks.h"
#include "partition/file/gguf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 32

struct gguf_out {
    char *path;
    struct whole_file *file; /* NULL once it has its name */
    struct bytes keys, tensors;
    uint64_t n_keys, n_tensors;
    uint64_t *sizes; /* of the tensors, in order */
    size_t sizes_room;
    uint64_t offset;  /* of the next tensor put; at the end: all data */
    uint64_t current; /* tensor being written, and how much of it is */
    uint64_t done;
};

/* ---- bytes ---- */

void bytes_put(struct bytes *b, const void *from, size_t n)
{
    if (b->failed) return;
    if (n > b->room - b->n) {
        size_t room = (b->n + n) * 2 + 256;
        uint8_t *data = realloc(b->data, room);
        if (!data) {
            b->failed = true;
            return;
        }
        b->data = data;
        b->room = room;
    }
    if (n) memcpy(b->data + b->n, from, n);
    b->n += n;
}

void bytes_put_le(struct bytes *b, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    put_le(le, value, bytes);
    bytes_put(b, le, bytes);
}

void bytes_put_text(struct bytes *b, const char *text, size_t n)
{
    bytes_put_le(b, n, 8);
    bytes_put(b, text, n);
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* ---- open and close ---- */

/* A device could take the bytes, but whoever names one for a model has made a mistake. */
static int check_target(const char *path, struct err *why)
{
    struct stat st;
    if (!strcmp(path, "-"))
        return isatty(STDOUT_FILENO) ? fail(why, E_USAGE, "a model is not written to a terminal; lead standard output elsewhere") : 0;
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return fail(why, E_FILE, "cannot write %s: it is %s, wanted the name of a file", path,
                    S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    return 0;
}

int gguf_out_open(struct gguf_out **out, const char *path, struct err *why)
{
    *out = NULL;
    TRY(check_target(path, why));
    struct gguf_out *o = calloc(1, sizeof *o);
    char *copy = strdup(path);
    int code = o && copy ? whole_file_open(&o->file, path, why) : fail(why, E_MEMORY, "no memory to write %s", path);
    if (code) {
        free(copy);
        free(o);
        return code;
    }
    o->path = copy;
    *out = o;
    return 0;
}

void gguf_out_close(struct gguf_out **out)
{
    struct gguf_out *o = *out;
    *out = NULL;
    if (!o) return;
    whole_file_close(&o->file, E_FILE, NULL); /* not finished: removed */
    bytes_free(&o->keys);
    bytes_free(&o->tensors);
    free(o->sizes);
    free(o->path);
    free(o);
}

/* ---- putting ---- */

static void put_key(struct gguf_out *o, const char *key, uint32_t type)
{
    bytes_put_text(&o->keys, key, strlen(key));
    bytes_put_le(&o->keys, type, 4);
    o->n_keys++;
}

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t value)
{
    put_key(o, key, GGUF_U32);
    bytes_put_le(&o->keys, value, 4);
}

void gguf_put_f32(struct gguf_out *o, const char *key, float value)
{
    put_key(o, key, GGUF_F32);
    bytes_put_le(&o->keys, f32_bits(value), 4);
}

void gguf_put_bool(struct gguf_out *o, const char *key, bool value)
{
    put_key(o, key, GGUF_BOOL);
    bytes_put_le(&o->keys, value, 1);
}

void gguf_put_text(struct gguf_out *o, const char *key, const char *text)
{
    put_key(o, key, GGUF_STRING);
    bytes_put_text(&o->keys, text, strlen(text));
}

void gguf_put_array(struct gguf_out *o, const char *key, uint32_t elem_type, uint64_t count,
                    const struct bytes *elements)
{
    put_key(o, key, GGUF_ARRAY);
    bytes_put_le(&o->keys, elem_type, 4);
    bytes_put_le(&o->keys, count, 8);
    bytes_put(&o->keys, elements->data, elements->n);
    o->keys.failed |= elements->failed;
}

void gguf_put_raw(struct gguf_out *o, const char *key, uint32_t type, const void *value, size_t n)
{
    put_key(o, key, type);
    bytes_put(&o->keys, value, n);
}

uint32_t gguf_file_type(uint32_t matrix)
{
    switch (matrix) {
    case T_F32: return 0;
    case T_F16: return 1;
    case T_Q4_1: return 3;
    case T_Q8_0: return 7;
    case T_Q5_0: return 8;
    case T_Q5_1: return 9;
    case T_Q4_K: return 15;
    case T_Q5_K: return 17;
    case T_Q6_K: return 18;
    case T_BF16: return 32;
    default: return 2;
    }
}

static void remember_size(struct gguf_out *o, uint64_t bytes)
{
    if (o->n_tensors == o->sizes_room) {
        size_t room = o->sizes_room * 2 + 64;
        uint64_t *sizes = realloc(o->sizes, room * sizeof *sizes);
        if (!sizes) {
            o->tensors.failed = true;
            return;
        }
        o->sizes = sizes;
        o->sizes_room = room;
    }
    o->sizes[o->n_tensors] = bytes;
}

void gguf_put_tensor(struct gguf_out *o, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims)
{
    uint64_t bytes = block_row_bytes(type, dims[0]);
    bytes_put_text(&o->tensors, name, strlen(name));
    bytes_put_le(&o->tensors, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++) bytes_put_le(&o->tensors, dims[d], 8);
    for (uint32_t d = 1; d < n_dims; d++) bytes *= dims[d];
    bytes_put_le(&o->tensors, type, 4);
    bytes_put_le(&o->tensors, o->offset, 8);
    remember_size(o, bytes);
    o->n_tensors++;
    o->offset += round_up(bytes, ALIGNMENT);
}

/* ---- writing ---- */

static int write_padding(struct gguf_out *o, uint64_t after, struct err *why)
{
    static const uint8_t zeros[ALIGNMENT];
    return whole_file_write(o->file, zeros, (size_t)(-after % ALIGNMENT), why);
}

int gguf_out_begin(struct gguf_out *o, struct err *why)
{
    struct bytes head = {0};
    bytes_put(&head, "GGUF", 4);
    bytes_put_le(&head, 3, 4);
    bytes_put_le(&head, o->n_tensors, 8);
    bytes_put_le(&head, o->n_keys, 8);
    int code = 0;
    if (head.failed || o->keys.failed || o->tensors.failed)
        code = fail(why, E_MEMORY, "no memory for the metadata of %s", o->path);
    uint64_t described = round_up(head.n + o->keys.n + o->tensors.n, ALIGNMENT);
    if (!code) code = whole_file_reserve(o->file, described + o->offset, why);
    if (!code) code = whole_file_write(o->file, head.data, head.n, why);
    if (!code) code = whole_file_write(o->file, o->keys.data, o->keys.n, why);
    if (!code) code = whole_file_write(o->file, o->tensors.data, o->tensors.n, why);
    if (!code) code = write_padding(o, head.n + o->keys.n + o->tensors.n, why);
    bytes_free(&head);
    return code;
}

uint64_t gguf_out_total(const struct gguf_out *o)
{
    return o->offset;
}

int gguf_out_data(struct gguf_out *o, const void *from, size_t n, struct err *why)
{
    if (o->current >= o->n_tensors || n > o->sizes[o->current] - o->done)
        return fail(why, E_INTERNAL, "more data than %s has room for", o->path);
    if (interrupt_seen()) return fail(why, E_INTERRUPTED, "%s; %s is not written", interrupt_reason(), o->path);
    TRY(whole_file_write(o->file, from, n, why));
    o->done += n;
    if (o->done < o->sizes[o->current]) return 0;
    TRY(write_padding(o, o->done, why));
    o->current++;
    o->done = 0;
    return 0;
}

int gguf_out_finish(struct gguf_out *o, struct err *why)
{
    if (o->current != o->n_tensors)
        return fail(why, E_INTERNAL, "%s has data for %llu of %llu tensors", o->path, (unsigned long long)o->current,
                    (unsigned long long)o->n_tensors);
    return whole_file_close(&o->file, 0, why);
}
