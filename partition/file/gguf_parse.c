/* partition/file/gguf_parse.c — one GGUF file: mapped, walked once, checked as it is walked.
 *
 *   "GGUF" version tensors keys | key type value ... | name dims type offset ... | padding | tensor data
 *
 * The file is foreign. Every number that leads to memory or to another byte is held against what the file really has
 * before it is used: a count against the bytes left divided by the smallest thing it could count, a length against the
 * bytes left, a product and a sum against wrapping, an offset plus size against the end of the file. So no allocation
 * is larger than a small multiple of the file, and the walk is linear in it. Strings and arrays stay where they are;
 * only names are copied, to end in a NUL.
 *
 * What these checks cannot help: a file that somebody shortens or overwrites while it is mapped. base/mapped.h says what happens
 * then; models are replaced by renaming, as synth does, and not overwritten. */
#include "partition/file/gguf_parse.h"

#include "base/checked.h"
#include "base/inputs.h"
#include "partition/format/blocks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Real files: 45 keys, 808 tensors, names of 30 bytes, a chat template of 2 KB. Room for more, not for mischief. */
#define SMALLEST 24 /* bytes of a GGUF file */
#define MAX_KEYS 65536
#define MAX_TENSORS 65536
#define MAX_KEY_NAME 1024
#define MAX_TENSOR_NAME 64
#define MAX_STRING (16ull << 20)
#define MAX_DEPTH 4 /* arrays in arrays */
#define MIN_KEY_BYTES 14    /* length, one character, type, one byte */
#define MIN_TENSOR_BYTES 33 /* length, one character, rank, one dim, type, offset */

const uint8_t gguf_value_bytes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
const char *const gguf_value_names[13] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array",
                                          "u64", "i64", "f64"};

/* Where we are, and what to call it if the file ends here. */
struct walk {
    const struct gguf_file *f;
    uint64_t at;
    const char *what; /* "key general.name" */
    struct err *why;
};

static uint64_t left(const struct walk *w)
{
    return w->f->bytes - w->at;
}

static int take(struct walk *w, uint64_t n, const uint8_t **out)
{
    if (n > left(w))
        return fail(w->why, E_FILE,
                    "%s is cut short: %s at byte %" PRIu64 " takes %" PRIu64 " bytes and the file has only %" PRIu64,
                    w->f->path, w->what, w->at, n, w->f->bytes);
    *out = w->f->map + w->at;
    w->at += n;
    return 0;
}

static int take_u32(struct walk *w, uint32_t *out)
{
    const uint8_t *p;
    TRY(take(w, 4, &p));
    *out = (uint32_t)le_of(p, 4);
    return 0;
}

static int take_u64(struct walk *w, uint64_t *out)
{
    const uint8_t *p;
    TRY(take(w, 8, &p));
    *out = le_of(p, 8);
    return 0;
}

/* A name goes into sentences, tables and look-ups, so it must be printable and have an end. */
static int take_name(struct walk *w, uint64_t longest, char **out)
{
    uint64_t n;
    const uint8_t *p;
    TRY(take_u64(w, &n));
    if (n == 0 || n > longest)
        return fail(w->why, E_FILE, "%s is damaged: the name of %s has %" PRIu64 " bytes, wanted 1 to %" PRIu64,
                    w->f->path, w->what, n, longest);
    TRY(take(w, n, &p));
    for (uint64_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return fail(w->why, E_FILE, "%s is damaged: the name of %s holds byte %u, wanted printable characters",
                        w->f->path, w->what, p[i]);
    *out = malloc(n + 1);
    if (!*out) return fail(w->why, E_MEMORY, "no memory for the names in %s", w->f->path);
    memcpy(*out, p, n);
    (*out)[n] = 0;
    return 0;
}

static int skip_string(struct walk *w)
{
    uint64_t n;
    const uint8_t *p;
    TRY(take_u64(w, &n));
    if (n > MAX_STRING)
        return fail(w->why, E_FILE, "%s is damaged: %s holds a string of %" PRIu64 " bytes, at most %llu are allowed",
                    w->f->path, w->what, n, MAX_STRING);
    return take(w, n, &p);
}

static int skip_numbers(struct walk *w, uint32_t type, uint64_t count)
{
    uint64_t bytes;
    const uint8_t *p = NULL;
    if (!mul_ok(count, gguf_value_bytes[type], &bytes)) bytes = UINT64_MAX;
    TRY(take(w, bytes, &p));
    if (type == GGUF_BOOL)
        for (uint64_t i = 0; i < count; i++)
            if (p[i] > 1)
                return fail(w->why, E_FILE, "%s is damaged: %s is a truth value of %u, wanted 0 or 1", w->f->path,
                            w->what, p[i]);
    return 0;
}

static int take_type(struct walk *w, uint32_t *type)
{
    TRY(take_u32(w, type));
    if (*type > GGUF_F64)
        return fail(w->why, E_FILE, "%s is damaged: %s has value type %u, wanted 0 to %d", w->f->path, w->what, *type,
                    GGUF_F64);
    return 0;
}

static int skip_elements(struct walk *w, uint32_t elem, uint64_t count, int depth);

static int skip_array(struct walk *w, uint32_t *elem, uint64_t *count, int depth)
{
    if (depth > MAX_DEPTH)
        return fail(w->why, E_FILE, "%s is damaged: %s nests arrays deeper than %d", w->f->path, w->what, MAX_DEPTH);
    TRY(take_type(w, elem));
    TRY(take_u64(w, count));
    return 0;
}

static int skip_elements(struct walk *w, uint32_t elem, uint64_t count, int depth)
{
    if (gguf_value_bytes[elem]) return skip_numbers(w, elem, count);
    uint64_t smallest = elem == GGUF_STRING ? 8 : 12;
    if (count > left(w) / smallest)
        return fail(w->why, E_FILE,
                    "%s is damaged or cut short: %s has %" PRIu64 " elements, after it there is room for %" PRIu64,
                    w->f->path, w->what, count, left(w) / smallest);
    for (uint64_t i = 0; i < count; i++) {
        if (elem == GGUF_STRING) {
            TRY(skip_string(w));
            continue;
        }
        uint32_t inner;
        uint64_t inner_count;
        TRY(skip_array(w, &inner, &inner_count, depth + 1));
        TRY(skip_elements(w, inner, inner_count, depth + 1));
    }
    return 0;
}

static int walk_key(struct walk *w, struct gguf_key *k)
{
    w->what = "a key";
    TRY(take_name(w, MAX_KEY_NAME, &k->name));
    w->what = k->name;
    TRY(take_type(w, &k->type));
    k->value = w->f->map + w->at;
    if (k->type == GGUF_STRING) return skip_string(w);
    if (k->type != GGUF_ARRAY) return skip_numbers(w, k->type, 1);
    TRY(skip_array(w, &k->elem, &k->count, 1));
    k->value = w->f->map + w->at;
    return skip_elements(w, k->elem, k->count, 1);
}

static int bound_count(struct walk *w, const char *things, uint64_t n, uint64_t smallest, uint64_t most)
{
    uint64_t room = left(w) / smallest;
    if (room > most) room = most;
    if (n > room)
        return fail(w->why, E_FILE,
                    "%s is damaged or cut short: it claims %" PRIu64 " %s, its %" PRIu64 " bytes have room for %" PRIu64,
                    w->f->path, n, things, w->f->bytes, room);
    return 0;
}

static const char *key_name(const void *keys, size_t i)
{
    return ((const struct gguf_key *)keys)[i].name;
}

static int walk_keys(struct walk *w, struct gguf_file *f, uint64_t n)
{
    TRY(bound_count(w, "keys", n, MIN_KEY_BYTES, MAX_KEYS));
    f->keys = calloc(n + 1, sizeof *f->keys);
    if (!f->keys) return fail(w->why, E_MEMORY, "no memory for the %" PRIu64 " keys of %s", n, f->path);
    TRY(name_table_open(&f->key_table, n, w->why));
    for (uint64_t i = 0; i < n; i++) {
        size_t taken;
        f->n_keys = i + 1; /* before it can fail: closing frees the name */
        TRY(walk_key(w, &f->keys[i]));
        if (!name_table_add(&f->key_table, f->keys[i].name, i, key_name, f->keys, &taken))
            return fail(w->why, E_FILE, "%s is damaged: it has the key %s twice", f->path, f->keys[i].name);
    }
    return 0;
}

static int tensor_size(struct walk *w, struct gguf_tensor *t)
{
    const struct block_info *info = block_info(t->type);
    if (!info)
        return fail(w->why, E_FILE,
                    "%s: tensor %s has number format %u, which is not one of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, "
                    "Q8_0, Q4_K, Q5_K, Q6_K",
                    w->f->path, t->name, t->type);
    if (t->dims[0] % info->elems)
        return fail(w->why, E_FILE, "%s: tensor %s has rows of %" PRIu64 " values, %s wants a multiple of %u",
                    w->f->path, t->name, t->dims[0], info->name, info->elems);
    t->bytes = block_row_bytes(t->type, t->dims[0]);
    bool fits = t->bytes != 0;
    for (int d = 1; d < 4 && fits; d++) fits = mul_ok(t->bytes, t->dims[d], &t->bytes);
    if (!fits || t->bytes > w->f->bytes)
        return fail(w->why, E_FILE,
                    "%s is damaged or cut short: tensor %s [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                    "] is larger than the file",
                    w->f->path, t->name, t->dims[0], t->dims[1], t->dims[2], t->dims[3]);
    return 0;
}

static int walk_tensor(struct walk *w, struct gguf_tensor *t)
{
    char *name = NULL;
    w->what = "a tensor";
    TRY(take_name(w, MAX_TENSOR_NAME, &name));
    t->name = name;
    w->what = name;
    TRY(take_u32(w, &t->n_dims));
    if (t->n_dims < 1 || t->n_dims > 4)
        return fail(w->why, E_FILE, "%s is damaged: tensor %s has %u dimensions, wanted 1 to 4", w->f->path, name,
                    t->n_dims);
    for (uint32_t d = 0; d < 4; d++) {
        t->dims[d] = 1;
        if (d < t->n_dims) TRY(take_u64(w, &t->dims[d]));
        if (!t->dims[d])
            return fail(w->why, E_FILE, "%s is damaged: dimension %u of tensor %s is 0", w->f->path, d, name);
    }
    TRY(take_u32(w, &t->type));
    TRY(take_u64(w, &t->offset));
    return tensor_size(w, t);
}

static int walk_tensors(struct walk *w, struct gguf_file *f, uint64_t n)
{
    TRY(bound_count(w, "tensors", n, MIN_TENSOR_BYTES, MAX_TENSORS));
    f->tensors = calloc(n + 1, sizeof *f->tensors);
    if (!f->tensors) return fail(w->why, E_MEMORY, "no memory for the %" PRIu64 " tensors of %s", n, f->path);
    for (uint64_t i = 0; i < n; i++) {
        f->n_tensors = i + 1;
        TRY(walk_tensor(w, &f->tensors[i]));
    }
    return 0;
}

static int read_alignment(const struct gguf_file *f, uint64_t *out, struct err *why)
{
    const struct gguf_key *k = gguf_file_key(f, "general.alignment");
    *out = 32;
    if (!k) return 0;
    TRY(gguf_key_u64(f, k, out, why));
    if (*out < 1 || *out > 65536 || (*out & (*out - 1)))
        return fail(why, E_FILE, "%s: general.alignment is %" PRIu64 ", wanted a power of two from 1 to 65536", f->path,
                    *out);
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct gguf_tensor *const *x = a, *const *y = b;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

static int check_overlap(const struct gguf_file *f, struct err *why)
{
    const struct gguf_tensor **order = malloc((f->n_tensors + 1) * sizeof *order);
    int code = 0;
    if (!order) return fail(why, E_MEMORY, "no memory to sort the tensors of %s", f->path);
    for (size_t i = 0; i < f->n_tensors; i++) order[i] = &f->tensors[i];
    qsort(order, f->n_tensors, sizeof *order, by_offset);
    for (size_t i = 1; i < f->n_tensors && !code; i++)
        if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
            code = fail(why, E_FILE, "%s is damaged: tensor %s ends at byte %" PRIu64 " and %s begins at %" PRIu64,
                      f->path, order[i - 1]->name, order[i - 1]->offset + order[i - 1]->bytes, order[i]->name,
                      order[i]->offset);
    free(order);
    return code;
}

/* Offsets in the file count from the first aligned byte after the descriptions; from here on they count from byte 0. */
static int place_tensors(struct gguf_file *f, uint32_t number, struct err *why)
{
    uint64_t alignment, start;
    TRY(read_alignment(f, &alignment, why));
    if (!round_up_ok(f->header_bytes, alignment, &start)) start = UINT64_MAX;
    for (size_t i = 0; i < f->n_tensors; i++) {
        struct gguf_tensor *t = &f->tensors[i];
        uint64_t end;
        if (t->offset % alignment)
            return fail(why, E_FILE,
                        "%s is damaged: tensor %s begins at offset %" PRIu64 ", wanted a multiple of %" PRIu64, f->path,
                        t->name, t->offset, alignment);
        if (!add_ok(start, t->offset, &t->offset) || !add_ok(t->offset, t->bytes, &end)) end = UINT64_MAX;
        if (end > f->bytes)
            return fail(why, E_FILE,
                        "%s is cut short: tensor %s ends at byte %" PRIu64 " of %" PRIu64 "; download it again",
                        f->path, t->name, end, f->bytes);
        t->data = f->map + t->offset;
        t->file = number;
    }
    return check_overlap(f, why);
}

static int too_small(const struct gguf_file *f, struct err *why)
{
    return fail(why, E_FILE, "%s is cut short: it has %" PRIu64 " bytes, the smallest GGUF file has %d", f->path, f->state.bytes, SMALLEST);
}

static int map_file(struct gguf_file *f, struct err *why)
{
    TRY(file_open(&f->fd, f->path, &f->state, why));
    inputs_add(f->path);
    if (f->state.bytes < 4) return too_small(f, why); /* of four more is known what they are */
    f->map = map_open(f->fd, f->path, f->state.bytes);
    if (!f->map) return fail_errno(why, E_FILE, "cannot map %s", f->path);
    f->bytes = f->state.bytes;
    return 0;
}

static int walk_header(struct walk *w, uint64_t *tensors, uint64_t *keys)
{
    const uint8_t *magic;
    uint32_t version;
    w->what = "the header";
    TRY(take(w, 4, &magic));
    if (memcmp(magic, "GGUF", 4))
        return gguf_refuse_other(w->f->path, magic, w->f->bytes, w->why);
    if (w->f->bytes < SMALLEST) return too_small(w->f, w->why);
    TRY(take_u32(w, &version));
    if (version == 0x02000000 || version == 0x03000000)
        return fail(w->why, E_FILE, "%s is a big-endian GGUF file; get the ordinary, little-endian one", w->f->path);
    if (version != 2 && version != 3) /* 2 and 3 lie the same; 1 had 32-bit lengths */
        return fail(w->why, E_FILE, "%s is GGUF version %u, wanted 2 or 3", w->f->path, version);
    TRY(take_u64(w, tensors));
    return take_u64(w, keys);
}

static int walk_file(struct gguf_file *f, uint32_t number, struct err *why)
{
    struct walk w = {.f = f, .why = why};
    uint64_t tensors = 0, keys = 0;
    TRY(map_file(f, why));
    TRY(walk_header(&w, &tensors, &keys));
    TRY(walk_keys(&w, f, keys));
    TRY(walk_tensors(&w, f, tensors));
    f->header_bytes = w.at;
    return place_tensors(f, number, why);
}

int gguf_file_open(struct gguf_file *f, const char *path, uint32_t number, struct err *why)
{
    *f = (struct gguf_file){.fd = -1};
    f->path = strdup(path);
    int code = f->path ? walk_file(f, number, why) : fail(why, E_MEMORY, "no memory to open %s", path);
    if (code) gguf_file_close(f);
    return code;
}

void gguf_file_close(struct gguf_file *f)
{
    for (size_t i = 0; i < f->n_keys; i++) free(f->keys[i].name);
    for (size_t i = 0; i < f->n_tensors; i++) free((char *)f->tensors[i].name);
    free(f->keys);
    name_table_close(&f->key_table);
    free(f->tensors);
    if (f->map) map_close(f->map, f->bytes);
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    *f = (struct gguf_file){.fd = -1};
}

const struct gguf_key *gguf_file_key(const struct gguf_file *f, const char *name)
{
    long i = name_table_find(&f->key_table, name, key_name, f->keys);
    return i < 0 ? NULL : &f->keys[i];
}
