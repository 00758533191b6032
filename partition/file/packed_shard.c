/* partition/file/packed_shard.c — see packed_shard.h. A tensor is packed in pieces, so that no more than one piece is in memory. */
#include "partition/file/packed_shard.h"

#include "base/interrupt.h"
#include "partition/file/gguf.h"
#include "partition/format/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_ROWS (PACKED_PIECE / 64 * PANEL_ROWS) /* a panel is a multiple of 64 bytes */

/* One run of tensors that lie in one file, as a worker holds them together. */
struct group_walk {
    const struct model *model;
    struct part rest; /* what is still to come */
};

static bool next_group(struct group_walk *w, struct tensor *tensors, struct packed_group *out)
{
    struct part one = {.back = w->rest.back, .back_end = w->rest.back_end};
    if (w->rest.first < w->rest.end) one = (struct part){.first = w->rest.first, .end = w->rest.first + 1}, w->rest.first++;
    else w->rest.back = w->rest.back_end;
    if (part_is_empty(one)) return false;
    text_part_tensors(w->model, one, tensors);
    *out = (struct packed_group){.tensors = tensors, .n = (uint32_t)part_count(CHAIN_TEXT, one), .model = w->model->fingerprint};
    return true;
}

static int write_rows(struct packed_out *o, const struct model *m, const struct tensor *t, uint32_t first, uint32_t rows, uint64_t *hash,
                      uint8_t *room, struct err *why)
{
    const uint64_t row_bytes = block_row_bytes(t->type, t->cols);
    uint8_t *packed = room + PIECE_ROWS * row_bytes;
    struct panels p;
    if (interrupt_seen()) return fail(why, E_INTERRUPTED, "%s", interrupt_reason());
    TRY(gguf_read(m->file, t->data + first * row_bytes, room, rows * row_bytes, why));
    if (!block_is_finite(t->type, room, rows * row_bytes))
        return fail(why, E_FILE, "%s of layer %u is damaged: from row %u on it holds something that is no finite number",
                    tensor_name(t), t->layer, t->first_row + first);
    *hash += hash_rows(first, rows, room, row_bytes);
    const uint64_t all = packed_tensor_bytes(t, 0);
    if (role_is_norm(t->role)) { /* one row of floats, filled up to whole lines */
        memset(room + row_bytes, 0, all - row_bytes);
        return packed_out_add(o, room, all, why);
    }
    panels_init(&p, t->type, rows, t->cols, packed);
    panels_pack(&p, t->type, 0, rows, room);
    return packed_out_add(o, packed, panels_bytes(t->type, rows, t->cols), why);
}

static int write_tensor(struct packed_out *o, const struct model *m, const struct tensor *t, uint64_t *hash, struct err *why)
{
    uint8_t *room = aligned_alloc(64, PIECE_ROWS * block_row_bytes(t->type, t->cols) + panels_bytes(t->type, PIECE_ROWS, t->cols));
    int code = room ? 0 : fail(why, E_MEMORY, "no memory to pack %s", tensor_name(t));
    *hash = 0;
    for (uint32_t r = 0; r < t->rows && !code; r += PIECE_ROWS)
        code = write_rows(o, m, t, r, t->rows - r < PIECE_ROWS ? t->rows - r : PIECE_ROWS, hash, room, why);
    free(room);
    return code;
}

static int write_group(const struct model *m, const struct packed_group *g, const char *path, struct err *why)
{
    uint64_t hashes[PACKED_TENSORS];
    struct packed_out *o = NULL;
    int code = packed_out_open(&o, path, g, why);
    for (uint32_t i = 0; i < g->n && !code; i++) code = write_tensor(o, m, &g->tensors[i], &hashes[i], why);
    return packed_out_close(&o, hashes, true, code, why);
}

int packed_shard_write(const struct model *m, struct part s, const char *folder, uint64_t *bytes, struct err *why)
{
    struct group_walk walk = {m, s};
    struct tensor tensors[W_LAYER_ROLES];
    struct packed_group g;
    char name[PACKED_NAME_ROOM];
    struct stat st;
    *bytes = 0;
    if (mkdir(folder, 0777) && errno != EEXIST) return fail_errno(why, E_FILE, "cannot make the folder %s", folder);
    while (next_group(&walk, tensors, &g)) {
        char *path = path_in(folder, packed_name(name, &g));
        if (!path) return fail(why, E_MEMORY, "no memory to write into %s", folder);
        const int code = write_group(m, &g, path, why);
        if (!code && !stat(path, &st)) *bytes += (uint64_t)st.st_size;
        free(path);
        TRY(code);
    }
    return 0;
}

void packed_shard_remove(const struct model *m, struct part s, const char *folder)
{
    struct group_walk walk = {m, s};
    struct tensor tensors[W_LAYER_ROLES];
    struct packed_group g;
    char name[PACKED_NAME_ROOM];
    while (next_group(&walk, tensors, &g)) {
        char *path = path_in(folder, packed_name(name, &g));
        if (path) unlink(path);
        free(path);
    }
    rmdir(folder);
}
