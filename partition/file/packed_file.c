/* partition/file/packed_file.c — see packed_file.h. A file, all numbers little-endian:
 *
 *   tensors    packed_tensor_bytes each, the first at byte 0, so that what is mapped lies as memory does
 *   entries    96 bytes for each tensor: name[32], layer, type, rows, cols, first row, how kept (u32), bytes, hash, packed hash (u64),
 *              16 unused
 *   tail       64 bytes: model (u64 low, high), chain (u32), 4 unused, hash of entries and tail with this field 0 (u64), magic[16],
 *              form, panels, n (u32), 4 unused */
#define _GNU_SOURCE
#include "partition/file/packed_file.h"

#include "base/checked.h"
#include "base/little_endian.h"
#include "base/whole_file.h"
#include "partition/file/verified.h"
#include "partition/format/panels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FORM 1 /* of the file; raised whenever a byte means something else */
#define MAGIC "gemmapipe packed"
#define ENTRY 96
#define CONTENT 64 /* of an entry: what says which tensor it is, with its hash */
#define TAIL 64
#define LABEL_ROOM (PACKED_TENSORS * ENTRY + TAIL)
#define LINE 64
#define HASHED_AT_ONCE (1u << 20)

uint64_t packed_tensor_bytes(const struct tensor *t, enum vision_type as)
{
    return t->chain == CHAIN_TEXT ? text_tensor_bytes(t) : vision_tensor_bytes(t, as);
}

char *packed_name(char out[PACKED_NAME_ROOM], const struct packed_group *g)
{
    const struct tensor *last = &g->tensors[g->n - 1];
    if (last->role < W_LAYER_ROLES) snprintf(out, PACKED_NAME_ROOM, "layer-%u" PACKED_ENDING, last->layer);
    else snprintf(out, PACKED_NAME_ROOM, "head-%u-%u" PACKED_ENDING, last->first_row, last->first_row + last->rows);
    return out;
}

static uint64_t hash_lines(uint64_t at, const uint8_t *bytes, uint64_t n)
{
    return hash_rows((uint32_t)(at / LINE), (uint32_t)(n / LINE), bytes, LINE);
}

/* ---- the label ---- */

static uint32_t label_bytes(uint32_t n)
{
    return n * ENTRY + TAIL;
}

static void put_entry(uint8_t *to, const struct tensor *t, enum vision_type as, const struct packed_entry *e)
{
    const uint32_t numbers[] = {t->layer, t->type, t->rows, t->cols, t->first_row, as};
    const char *name = tensor_name(t);
    const size_t n = strlen(name);
    memset(to, 0, ENTRY);
    memcpy(to, name, n < 32 ? n : 32);
    for (int i = 0; i < 6; i++) put_le(to + 32 + 4 * i, numbers[i], 4);
    put_le(to + 56, e->hash, 8);
    put_le(to + CONTENT, e->bytes, 8);
    put_le(to + CONTENT + 8, e->packed, 8);
}

static uint64_t hash_of_label(uint8_t *label, uint32_t n)
{
    uint8_t *field = label + label_bytes(n) - TAIL + 24, was[8];
    memcpy(was, field, 8);
    memset(field, 0, 8);
    const uint64_t hash = hash64(label, label_bytes(n));
    memcpy(field, was, 8);
    return hash;
}

/* All of it, from what the tensors are and what `of` says of each. */
static void put_label(uint8_t *label, const struct packed_group *g, const struct packed_entry *of)
{
    uint8_t *tail = label + (size_t)g->n * ENTRY;
    for (uint32_t i = 0; i < g->n; i++) put_entry(label + (size_t)i * ENTRY, &g->tensors[i], g->as, &of[i]);
    memset(tail, 0, TAIL);
    put_le(tail, g->model.low, 8);
    put_le(tail + 8, g->model.high, 8);
    put_le(tail + 16, g->tensors[0].chain, 4);
    memcpy(tail + 32, MAGIC, 16);
    put_le(tail + 48, FORM, 4);
    put_le(tail + 52, PANELS_VERSION, 4);
    put_le(tail + 56, g->n, 4);
    put_le(tail + 24, hash_of_label(label, g->n), 8);
}

bool packed_content(const struct packed_group *g, struct hash128 *out)
{
    uint8_t entry[PACKED_TENSORS][ENTRY], content[PACKED_TENSORS * CONTENT + 4];
    if (!g->n || g->n > PACKED_TENSORS) return false;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!g->tensors[i].hash) return false;
        put_entry(entry[i], &g->tensors[i], g->as, &(struct packed_entry){.hash = g->tensors[i].hash});
        memcpy(content + (size_t)i * CONTENT, entry[i], CONTENT);
    }
    put_le(content + (size_t)g->n * CONTENT, g->tensors[0].chain, 4);
    *out = hash128(content, (size_t)g->n * CONTENT + 4);
    return true;
}

/* ---- reading ---- */

static int no_packed_file(const struct packed_file *f, const char *what, struct err *why)
{
    return fail(why, E_FILE, "%s %s; it is not used", f->path, what);
}

/* The whole label at `label`; what is compared here is its own: that it is one, of this version, and undamaged. */
static int read_label(struct packed_file *f, uint8_t label[LABEL_ROOM], struct err *why)
{
    uint8_t tail[TAIL];
    if (f->state.bytes < label_bytes(1)) return no_packed_file(f, "is too short for packed weights", why);
    TRY(file_read(f->fd, f->path, f->state.bytes - TAIL, tail, TAIL, why));
    if (memcmp(tail + 32, MAGIC, 16))
        return no_packed_file(f, "does not end as packed weights do: it is cut short, or something else", why);
    if (le32(tail + 48) != FORM || le32(tail + 52) != PANELS_VERSION)
        return fail(why, E_FILE, "%s has form %u with panels %u, this program reads form %d with panels %d; it is not used", f->path,
                    le32(tail + 48), le32(tail + 52), FORM, PANELS_VERSION);
    f->n = le32(tail + 56);
    if (!f->n || f->n > PACKED_TENSORS || f->state.bytes < label_bytes(f->n))
        return fail(why, E_FILE, "%s says it has %u tensors in %" PRIu64 " bytes; it is not used", f->path, f->n, f->state.bytes);
    TRY(file_read(f->fd, f->path, f->state.bytes - label_bytes(f->n), label, label_bytes(f->n), why));
    f->label = le_of(label + (size_t)f->n * ENTRY + 24, 8);
    return f->label == hash_of_label(label, f->n) ? 0 : no_packed_file(f, "has a damaged label", why);
}

/* What the file says of hashes, and the size that follows from what is wanted. UINT64_MAX: no file is so large. */
static uint64_t take_entries(struct packed_file *f, const uint8_t *label, const struct packed_group *want)
{
    f->bytes = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const uint8_t *e = label + (size_t)i * ENTRY;
        f->of[i] = (struct packed_entry){packed_tensor_bytes(&want->tensors[i], want->as), le_of(e + 56, 8), le_of(e + CONTENT + 8, 8)};
        if (!add_ok(f->bytes, f->of[i].bytes, &f->bytes)) return UINT64_MAX;
    }
    return add_ok(f->bytes, label_bytes(f->n), &f->all) ? f->all : UINT64_MAX;
}

/* Every byte of the label but the hashes must be the one that would be written for the wanted tensors. */
static bool is_wanted(struct packed_file *f, const uint8_t *label, const struct packed_group *want)
{
    uint8_t mine[LABEL_ROOM];
    struct packed_group g = *want;
    const uint8_t *tail = label + (size_t)f->n * ENTRY;
    bool same_model = le_of(tail, 8) == want->model.low && le_of(tail + 8, 8) == want->model.high;
    g.model = (struct hash128){le_of(tail, 8), le_of(tail + 8, 8)};
    put_label(mine, &g, f->of);
    if (memcmp(mine, label, label_bytes(f->n))) return false;
    for (uint32_t i = 0; i < f->n; i++) {
        const uint64_t hash = want->tensors[i].hash;
        if (hash ? hash != f->of[i].hash : !same_model) return false;
    }
    return true;
}

static enum packed_found look(struct packed_file *f, const struct packed_group *want, struct err *why)
{
    uint8_t label[LABEL_ROOM];
    if (read_label(f, label, why)) return PACKED_BAD;
    if (f->n != want->n || take_entries(f, label, want) == UINT64_MAX || !is_wanted(f, label, want))
        return no_packed_file(f, "holds other weights than are wanted", why), PACKED_OTHER;
    if (f->state.bytes != f->all) {
        fail(why, E_FILE, "%s has %" PRIu64 " bytes, wanted %" PRIu64 "; it is not used", f->path, f->state.bytes, f->all);
        return PACKED_BAD;
    }
    f->map = map_open(f->fd, f->path, f->bytes);
    if (f->map) {
        (void)madvise((void *)f->map, f->bytes, MADV_HUGEPAGE); /* large pages, and read as such, where the file system knows them */
        return PACKED_FITS;
    }
    fail_errno(why, E_FILE, "cannot map %s", f->path);
    return PACKED_BAD;
}

enum packed_found packed_open(struct packed_file *f, const char *path, const struct packed_group *want, struct err *why)
{
    *f = (struct packed_file){.fd = -1};
    if (access(path, F_OK)) return PACKED_NONE;
    f->path = strdup(path);
    enum packed_found found = PACKED_BAD;
    if (!f->path) fail(why, E_MEMORY, "no memory to open %s", path);
    else if (!file_open(&f->fd, path, &f->state, why)) found = look(f, want, why);
    if (found != PACKED_FITS) packed_close(f);
    return found;
}

static uint64_t hash_mapped(const uint8_t *at, uint64_t bytes, int threads)
{
    uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(+ : sum)
    for (uint64_t from = 0; from < bytes; from += HASHED_AT_ONCE)
        sum += hash_lines(from, at + from, bytes - from < HASHED_AT_ONCE ? bytes - from : HASHED_AT_ONCE);
    return sum;
}

int packed_check(const struct packed_file *f, int threads, struct err *why)
{
    const uint8_t *at = f->map;
    for (uint32_t i = 0; i < f->n; at += f->of[i++].bytes)
        if (hash_mapped(at, f->of[i].bytes, threads) != f->of[i].packed)
            return fail(why, E_FILE, "%s is damaged: tensor %u of its %u is not what its label says; it is not used", f->path, i + 1, f->n);
    return file_unchanged(f->fd, f->path, &f->state, why);
}

int packed_verify(struct packed_file *f, int threads, struct err *why)
{
    f->verified = f->verified || verified_before(f->path, &f->state, f->label);
    if (f->verified) return file_unchanged(f->fd, f->path, &f->state, why);
    TRY(packed_check(f, threads, why));
    f->verified = true;
    verified_note(f->path, &f->state, f->label);
    return 0;
}

void packed_close(struct packed_file *f)
{
    if (f->map) map_close(f->map, f->bytes);
    if (f->path && f->fd >= 0) close(f->fd);
    free(f->path);
    *f = (struct packed_file){.fd = -1};
}

/* ---- writing ---- */

struct packed_out {
    struct whole_file *file;
    struct packed_group group;
    struct packed_entry of[PACKED_TENSORS];
    uint32_t now; /* the tensor that is being written */
    uint64_t at;  /* bytes of it */
};

int packed_out_open(struct packed_out **out, const char *path, const struct packed_group *g, struct err *why)
{
    struct packed_out *o = *out = calloc(1, sizeof *o);
    uint64_t all = 0;
    if (!o) return fail(why, E_MEMORY, "no memory to write %s", path);
    if (g->n > PACKED_TENSORS) return fail(why, E_INTERNAL, "%u tensors for one file", g->n);
    o->group = *g;
    for (uint32_t i = 0; i < g->n; i++) all += o->of[i].bytes = packed_tensor_bytes(&g->tensors[i], g->as);
    TRY(whole_file_open(&o->file, path, why));
    return whole_file_reserve(o->file, all + label_bytes(g->n), why);
}

int packed_out_add(struct packed_out *o, const void *bytes, uint64_t n, struct err *why)
{
    struct packed_entry *e = &o->of[o->now];
    if (o->now == o->group.n || n > e->bytes - o->at) return fail(why, E_INTERNAL, "more bytes than a group of packed weights has");
    e->packed += hash_lines(o->at, bytes, n);
    o->at += n;
    if (o->at == e->bytes) o->now++, o->at = 0;
    return whole_file_write(o->file, bytes, n, why);
}

int packed_out_close(struct packed_out **po, const uint64_t *hashes, bool for_good, int code, struct err *why)
{
    struct packed_out *o = *po;
    uint8_t label[LABEL_ROOM];
    *po = NULL;
    if (!o) return code;
    if (!code) {
        for (uint32_t i = 0; i < o->group.n; i++) o->of[i].hash = hashes[i];
        put_label(label, &o->group, o->of);
        code = whole_file_write(o->file, label, label_bytes(o->group.n), why);
    }
    if (o->file && !for_good) whole_file_may_be_lost(o->file);
    code = whole_file_close(&o->file, code, why);
    free(o);
    return code;
}
