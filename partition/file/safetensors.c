/* partition/file/safetensors.c — see safetensors.h.
 *
 * The file is foreign: the header's length is held against the file and a cap before it is read, the JSON is read by a
 * reader with a depth limit, a shape's product is checked and compared with the distance of the offsets, and the
 * tensors must tile the data. An index names files that are opened, so a name is a plain file name and nothing else. */
#include "partition/file/safetensors.h"

#include "base/checked.h"
#include "partition/format/blocks.h"
#include "base/little_endian.h"
#include "base/name_table.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER (100ull << 20) /* of the format's own reader */
#define MAX_INDEX (64ull << 20)
#define MAX_TENSORS 65536
#define MAX_FILES 1024
#define MAX_NAME 256

struct safetensors {
    struct mapped *files;
    uint32_t n_files;
    struct safetensor *tensors;
    size_t n_tensors, room;
    struct name_table table;
};

static const char *tensor_name(const void *tensors, size_t i)
{
    return ((const struct safetensor *)tensors)[i].name;
}

/* ---- one file's header ---- */

/* What is being read, and which of a tensor's three fields were seen. */
struct header {
    struct safetensors *s;
    const struct mapped *file;
    uint64_t data; /* where the data begins */
    struct json json;
    struct err *why;
};

static int take_name(struct json *j, struct json_text text, char **out)
{
    char shown[64];
    if (!text.n || text.n > MAX_NAME)
        return json_fail(j, "a tensor's name of %zu bytes; wanted 1 to %d", text.n, MAX_NAME);
    for (size_t i = 0; i < text.n; i++)
        if (text.text[i] < 0x21 || text.text[i] > 0x7e)
            return json_fail(j, "the tensor's name \"%s\" holds a byte that is not printable", json_plain(shown, text));
    *out = strndup(text.text, text.n);
    return *out ? 0 : (j->code = fail(j->why, E_MEMORY, "no memory for the names in %s", j->from));
}

static int read_dtype(struct json *j, struct safetensor *t)
{
    static const struct {
        const char *name;
        uint32_t type, bytes;
    } known[] = {{"BF16", T_BF16, 2}, {"F16", T_F16, 2}, {"F32", T_F32, 4}, {"I64", SAFETENSOR_WHOLE, 8}, {"I32", SAFETENSOR_WHOLE, 4}};
    struct json_text name;
    char shown[64];
    TRY(json_string(j, &name));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (json_is(name, known[i].name)) return t->type = known[i].type, t->value_bytes = known[i].bytes, 0;
    return json_fail(j, "the tensor %s is of type \"%s\"; wanted the unquantised checkpoint, in BF16, F16 or F32",
                     t->name, json_plain(shown, name));
}

static int read_shape(struct json *j, struct safetensor *t)
{
    t->elements = 1;
    TRY(json_array(j));
    while (json_item(j)) {
        if (t->n_dims == 4) return json_fail(j, "the tensor %s has more than 4 dimensions", t->name);
        uint64_t *dim = &t->dims[t->n_dims++];
        TRY(json_u64(j, dim));
        if (!mul_ok(t->elements, *dim, &t->elements))
            return json_fail(j, "the shape of the tensor %s is absurd: its product passes 2^64", t->name);
    }
    return json_done(j);
}

static int read_offsets(struct json *j, struct safetensor *t, uint64_t *end)
{
    uint64_t pair[2];
    int n = 0;
    TRY(json_array(j));
    while (json_item(j)) {
        if (n == 2) return json_fail(j, "the tensor %s has more than two data_offsets", t->name);
        TRY(json_u64(j, &pair[n++]));
    }
    TRY(json_done(j));
    if (n != 2 || pair[0] > pair[1])
        return json_fail(j, "the data_offsets of the tensor %s are not a beginning and an end", t->name);
    t->offset = pair[0], t->bytes = pair[1] - pair[0], *end = pair[1];
    return 0;
}

/* Holds the fields against each other and against the file. */
static int place_tensor(struct header *h, struct safetensor *t, uint64_t end)
{
    struct json *j = &h->json;
    uint64_t have = h->file->bytes - h->data, wanted = 0;
    if (end > have)
        return json_fail(j, "the file is cut short: the tensor %s ends at byte %" PRIu64 " of %" PRIu64, t->name, end,
                         have);
    if (!mul_ok(t->elements, t->value_bytes, &wanted) || wanted != t->bytes)
        return json_fail(j, "the tensor %s has %" PRIu64 " values of %s in %" PRIu64 " bytes", t->name, t->elements,
                         t->type == SAFETENSOR_WHOLE ? "whole numbers" : block_info(t->type)->name, t->bytes);
    t->offset += h->data;
    t->data = h->file->data + t->offset;
    return 0;
}

static int read_tensor(struct header *h, struct safetensor *t)
{
    struct json *j = &h->json;
    struct json_text key;
    uint64_t end = 0;
    bool dtype = false, shape = false, offsets = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool *seen = json_is(key, "dtype")          ? &dtype
                     : json_is(key, "shape")        ? &shape
                     : json_is(key, "data_offsets") ? &offsets
                                                    : NULL;
        if (seen && *seen) return json_fail(j, "the tensor %s has one of its fields twice", t->name);
        if (seen) *seen = true;
        if (seen == &dtype) TRY(read_dtype(j, t));
        else if (seen == &shape) TRY(read_shape(j, t));
        else if (seen == &offsets) TRY(read_offsets(j, t, &end));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    if (!dtype || !shape || !offsets)
        return json_fail(j, "the tensor %s lacks %s", t->name, !dtype ? "dtype" : !shape ? "shape" : "data_offsets");
    return place_tensor(h, t, end);
}

static struct safetensor *new_tensor(struct header *h)
{
    struct safetensors *s = h->s;
    if (s->n_tensors == MAX_TENSORS) return json_fail(&h->json, "more than %d tensors", MAX_TENSORS), NULL;
    if (s->n_tensors == s->room) {
        size_t room = s->room * 2 + 64;
        struct safetensor *grown = realloc(s->tensors, room * sizeof *grown);
        if (!grown) return h->json.code = fail(h->why, E_MEMORY, "no memory for the tensors of %s", h->file->path), NULL;
        s->tensors = grown, s->room = room;
    }
    struct safetensor *t = &s->tensors[s->n_tensors];
    *t = (struct safetensor){.dims = {1, 1, 1, 1}, .file = s->n_files - 1};
    return t;
}

static int read_header(struct header *h)
{
    struct json *j = &h->json;
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "__metadata__")) {
            if (json_peek(j) != JSON_OBJECT) return json_fail(j, "__metadata__ is not an object");
            TRY(json_skip(j));
            continue;
        }
        struct safetensor *t = new_tensor(h);
        if (!t) return json_done(j);
        TRY(take_name(j, key, &t->name));
        h->s->n_tensors++; /* owned from here on */
        TRY(read_tensor(h, t));
    }
    TRY(json_done(j));
    return json_finish(j);
}

static int by_offset(const void *left, const void *right)
{
    const struct safetensor *a = *(struct safetensor *const *)left, *b = *(struct safetensor *const *)right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* Tensors `first` and on belong to this file: one begins where another ends, and the last ends with the file. */
static int check_packed(const struct header *h, size_t first, struct err *why)
{
    const struct safetensors *s = h->s;
    size_t n = s->n_tensors - first;
    uint64_t at = h->data;
    const struct safetensor **sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted) return fail(why, E_MEMORY, "no memory for the tensors of %s", h->file->path);
    for (size_t i = 0; i < n; i++) sorted[i] = &s->tensors[first + i];
    qsort(sorted, n, sizeof *sorted, by_offset);
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        if (sorted[i]->offset != at)
            code = fail(why, E_FILE, "%s is damaged: the tensor %s begins at byte %" PRIu64 " of the data, %s %" PRIu64,
                      h->file->path, sorted[i]->name, sorted[i]->offset - h->data,
                      sorted[i]->offset < at ? "inside another that ends at" : "and the one before it ends at",
                      at - h->data);
        at = sorted[i]->offset + sorted[i]->bytes;
    }
    if (!code && at != h->file->bytes)
        code = fail(why, E_FILE, "%s is damaged: its tensors end at byte %" PRIu64 " and the file has %" PRIu64,
                  h->file->path, at, h->file->bytes);
    free(sorted);
    return code;
}

/* The file was opened last. */
static int read_file(struct safetensors *s, struct err *why)
{
    const struct mapped *m = &s->files[s->n_files - 1];
    size_t first = s->n_tensors;
    if (m->bytes < 8)
        return fail(why, E_FILE, "%s is cut short: it has %" PRIu64 " bytes, a safetensors file begins with 8", m->path,
                    m->bytes);
    uint64_t n = le_of(m->data, 8);
    if (n > m->bytes - 8)
        return fail(why, E_FILE,
                    "%s is cut short, or no safetensors file: its header takes %" PRIu64 " bytes of %" PRIu64, m->path,
                    n, m->bytes);
    if (n > MAX_HEADER)
        return fail(why, E_FILE, "%s has a header of %" PRIu64 " bytes; %llu are allowed", m->path, n, MAX_HEADER);
    struct header h = {.s = s, .file = m, .data = 8 + n, .why = why};
    json_begin(&h.json, (const char *)m->data + 8, n, m->path, why);
    int code = read_header(&h);
    json_end(&h.json);
    if (!code) code = check_packed(&h, first, why);
    mapped_forget(m->data, n + 8);
    return code;
}

/* ---- files together ---- */

static int add_file(struct safetensors *s, const char *path, struct err *why)
{
    struct mapped *grown = realloc(s->files, (s->n_files + 1) * sizeof *grown);
    if (!grown) return fail(why, E_MEMORY, "no memory to open %s", path);
    s->files = grown;
    TRY(mapped_open(&s->files[s->n_files], path, UINT64_MAX, why));
    s->n_files++;
    return read_file(s, why);
}

static int index_names(struct safetensors *s, struct err *why)
{
    TRY(name_table_open(&s->table, s->n_tensors, why));
    for (size_t i = 0; i < s->n_tensors; i++) {
        size_t taken;
        if (name_table_add(&s->table, s->tensors[i].name, i, tensor_name, s->tensors, &taken)) continue;
        uint32_t other = s->tensors[taken].file, file = s->tensors[i].file;
        return fail(why, E_FILE, "%s has the tensor %s %s%s", s->files[file].path, s->tensors[i].name,
                    other == file ? "twice" : "that is also in ", other == file ? "" : s->files[other].path);
    }
    return 0;
}

/* ---- the index ---- */

struct shard_names {
    char *names[MAX_FILES];
    uint32_t n;
};

/* A plain name: what it names is opened, so it must lie in this very folder. */
static int check_shard_name(struct json *j, struct json_text name)
{
    static const char tail[] = ".safetensors";
    char shown[64];
    bool plain = name.n > sizeof tail - 1 && name.n <= MAX_NAME && name.text[0] != '.';
    for (size_t i = 0; i < name.n && plain; i++)
        plain = name.text[i] > 0x20 && name.text[i] < 0x7f && name.text[i] != '/' && name.text[i] != '\\';
    for (size_t i = 0; i + 1 < name.n && plain; i++) plain = name.text[i] != '.' || name.text[i + 1] != '.';
    if (plain && !memcmp(name.text + name.n - (sizeof tail - 1), tail, sizeof tail - 1)) return 0;
    return json_fail(j, "the shard \"%s\" is not a plain file name that ends in %s", json_plain(shown, name), tail);
}

/* Its number in `shards`, where it is added if it is new. Tensors of one shard mostly stand together. */
static int shard_number(struct json *j, struct shard_names *shards, struct json_text name, uint32_t *out)
{
    for (uint32_t i = shards->n; i-- > 0;)
        if (json_is(name, shards->names[i])) return *out = i, 0;
    TRY(check_shard_name(j, name));
    if (shards->n == MAX_FILES) return json_fail(j, "more than %d shards", MAX_FILES);
    char *copy = strndup(name.text, name.n);
    if (!copy) return j->code = fail(j->why, E_MEMORY, "no memory for the shards of %s", j->from);
    *out = shards->n;
    shards->names[shards->n++] = copy;
    return 0;
}

/* Goes through weight_map: once to gather the shards (s has no files yet), once more to hold each against them. */
static int walk_map(struct json *j, struct shard_names *shards, const struct safetensors *s)
{
    struct json_text name, file;
    size_t n = 0;
    TRY(json_object(j));
    while (json_key(j, &name)) {
        char *copy = NULL;
        uint32_t shard = 0;
        if (++n > MAX_TENSORS) return json_fail(j, "weight_map names more than %d tensors", MAX_TENSORS);
        TRY(take_name(j, name, &copy));
        int code = json_string(j, &file);
        if (!code) code = shard_number(j, shards, file, &shard);
        if (!code && s->n_files) {
            const struct safetensor *t = safetensors_find(s, copy);
            if (!t || t->file != shard)
                code = json_fail(j, "the tensor %s is not in %s, where the index has it", copy, shards->names[shard]);
        }
        free(copy);
        TRY(code);
    }
    return json_done(j);
}

static int walk_index(const struct mapped *m, struct shard_names *shards, const struct safetensors *s, struct err *why)
{
    struct json j;
    struct json_text key;
    int maps = 0, code = 0;
    json_begin(&j, (const char *)m->data, m->bytes, m->path, why);
    json_object(&j);
    while (!code && json_key(&j, &key)) {
        bool map = json_is(key, "weight_map");
        maps += map;
        code = map ? walk_map(&j, shards, s) : json_skip(&j);
    }
    if (!code) code = json_finish(&j);
    if (!code && maps != 1) code = json_fail(&j, "wanted one \"weight_map\", found %d", maps);
    json_end(&j);
    return code;
}

static int open_shards(struct safetensors *s, const char *dir, const struct mapped *index, struct shard_names *shards,
                       struct err *why)
{
    TRY(walk_index(index, shards, s, why));
    if (!shards->n) return fail(why, E_FILE, "%s names no shard", index->path);
    for (uint32_t i = 0; i < shards->n; i++) {
        char *path = path_in(dir, shards->names[i]);
        struct err inner;
        if (!path) return fail(why, E_MEMORY, "no memory to open the shards of %s", dir);
        int code = !is_file(path) ? fail(&inner, E_FILE, "%s names the shard %s, which is not there; download it too",
                                       index->path, shards->names[i])
                                : add_file(s, path, &inner);
        free(path);
        if (code) return fail(why, code, "%s", inner.text);
    }
    TRY(index_names(s, why));
    return walk_index(index, shards, s, why);
}

/* ---- open and close ---- */

static int new_set(struct safetensors **out, const char *path, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory to open %s", path);
}

int safetensors_open_file(struct safetensors **out, const char *path, struct err *why)
{
    TRY(new_set(out, path, why));
    int code = add_file(*out, path, why);
    if (!code) code = index_names(*out, why);
    if (code) safetensors_close(out);
    return code;
}

int safetensors_open_index(struct safetensors **out, const char *dir, const char *index_path, struct err *why)
{
    struct mapped index;
    struct shard_names shards = {.n = 0};
    *out = NULL;
    TRY(mapped_open(&index, index_path, MAX_INDEX, why));
    int code = new_set(out, dir, why);
    if (!code) code = open_shards(*out, dir, &index, &shards, why);
    for (uint32_t i = 0; i < shards.n; i++) free(shards.names[i]);
    mapped_close(&index);
    if (code) safetensors_close(out);
    return code;
}

int safetensors_open(struct safetensors **out, const char *dir, struct err *why)
{
    char *one = path_in(dir, "model.safetensors"), *index = path_in(dir, "model.safetensors.index.json");
    char *pickle = path_in(dir, "pytorch_model.bin");
    int code;
    *out = NULL;
    if (!one || !index || !pickle) code = fail(why, E_MEMORY, "no memory to open %s", dir);
    else if (is_file(one)) code = safetensors_open_file(out, one, why);
    else if (is_file(index)) code = safetensors_open_index(out, dir, index, why);
    else
        code = fail(why, E_FILE, "%s has neither model.safetensors nor model.safetensors.index.json%s", dir,
                  is_file(pickle) ? "; pytorch_model.bin is not read: get the safetensors" : "");
    free(one);
    free(index);
    free(pickle);
    return code;
}

void safetensors_close(struct safetensors **set)
{
    struct safetensors *s = *set;
    *set = NULL;
    if (!s) return;
    for (size_t i = 0; i < s->n_tensors; i++) free(s->tensors[i].name);
    for (uint32_t i = 0; i < s->n_files; i++) mapped_close(&s->files[i]);
    free(s->tensors);
    free(s->files);
    name_table_close(&s->table);
    free(s);
}

/* ---- looking ---- */

size_t safetensors_count(const struct safetensors *s)
{
    return s->n_tensors;
}

const struct safetensor *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    long i = name_table_find(&s->table, name, tensor_name, s->tensors);
    return i < 0 ? NULL : &s->tensors[i];
}

uint32_t safetensors_files(const struct safetensors *s)
{
    return s->n_files;
}

const struct mapped *safetensors_file(const struct safetensors *s, uint32_t i)
{
    return &s->files[i];
}
