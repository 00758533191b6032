/* worker/stage/layer_weights.c — see shard.h. Matrices are packed into panels as they come; the file's bytes are not kept. */
#include "worker/stage/layer_weights.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

int shard_check(const struct model_config *c, struct part s, const struct tensor *tensors, struct err *why)
{
    size_t n = part_count(CHAIN_TEXT, s);
    struct tensor *wanted = calloc(n + 1, sizeof *wanted);
    if (!wanted) return fail(why, E_MEMORY, "no memory for a list of %zu tensors", n);
    text_part_shape(c, s, wanted);
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        const struct tensor *t = &tensors[i], *w = &wanted[i];
        if (t->role != w->role || t->layer != w->layer || t->rows != w->rows || t->cols != w->cols)
            code = fail(why, E_WIRE, "tensor %zu of the share should be %s of layer %u, [%u, %u]; it is another", i,
                        role_name(w->role), w->layer, w->rows, w->cols);
        else if (!block_info(t->type) || block_row_bytes(t->type, t->cols) == 0)
            code = fail(why, E_WIRE, "%s of layer %u cannot have number format %u with rows of %u", role_name(w->role),
                        w->layer, t->type, t->cols);
        else if (role_is_norm(w->role) && t->type != T_F32)
            code = fail(why, E_WIRE, "%s of layer %u is a norm and must be F32, not %s", role_name(w->role), w->layer,
                        block_info(t->type)->name);
    }
    free(wanted);
    return code;
}

static uint64_t place_bytes(const struct tensor *t)
{
    return role_is_norm(t->role) ? round_up((uint64_t)t->cols * sizeof(float), 64)
                                 : panels_bytes(t->type, t->rows, t->cols);
}

int shard_open(struct shard *shard, const struct tensor *tensors, size_t n, uint8_t *memory, uint64_t bytes,
               struct err *why)
{
    *shard = (struct shard){n, calloc(n + 1, sizeof(struct weight))};
    if (!shard->weights) return fail(why, E_MEMORY, "no memory for a list of %zu tensors", n);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        struct weight *w = &shard->weights[i];
        uint64_t size = place_bytes(&tensors[i]);
        if (size > bytes - at)
            return fail(why, E_INTERNAL, "the weights need more than the %llu bytes they were planned with",
                        (unsigned long long)bytes);
        w->is = tensors[i];
        w->is.data = NULL;
        if (role_is_norm(w->is.role)) w->norm = (float *)(memory + at);
        else panels_init(&w->panels, w->is.type, w->is.rows, w->is.cols, memory + at);
        at += size;
    }
    if (at != bytes)
        return fail(why, E_INTERNAL, "the weights were planned with %llu bytes and take %llu",
                    (unsigned long long)bytes, (unsigned long long)at);
    return 0;
}

void shard_close(struct shard *shard)
{
    free(shard->weights);
    *shard = (struct shard){0};
}

/* Panels are packed one by one, each by one thread. */
static void pack(struct weight *w, uint32_t first_row, uint32_t rows, const uint8_t *bytes, int threads)
{
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (uint32_t r = 0; r < rows; r += PANEL_ROWS) {
        uint32_t n = rows - r < PANEL_ROWS ? rows - r : PANEL_ROWS;
        panels_pack(&w->panels, w->is.type, first_row + r, n, bytes + r * row_bytes);
    }
}

int shard_load(struct shard *shard, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes, int threads,
               struct err *why)
{
    if (index >= shard->n)
        return fail(why, E_WIRE, "rows for tensor %u, but the share has %zu tensors", index, shard->n);
    struct weight *w = &shard->weights[index];
    const char *name = role_name(w->is.role);
    if (first_row != w->rows_in)
        return fail(why, E_WIRE, "%s of layer %u: rows from %u came where row %u is next", name, w->is.layer, first_row,
                    w->rows_in);
    uint32_t left = w->is.rows - w->rows_in;
    if (rows == 0 || rows > left)
        return fail(why, E_WIRE, "%s of layer %u: %u rows came where 1 to %u are missing", name, w->is.layer, rows,
                    left);
    if (rows != left && rows % PANEL_ROWS)
        return fail(why, E_WIRE, "%s of layer %u: a piece of %u rows in the middle; only multiples of %u fit", name,
                    w->is.layer, rows, PANEL_ROWS);
    if (w->norm) memcpy(w->norm, bytes, (size_t)w->is.cols * sizeof(float));
    else pack(w, first_row, rows, bytes, threads);
    w->rows_in += rows;
    return 0;
}

int shard_loaded(const struct shard *shard, struct err *why)
{
    for (size_t i = 0; i < shard->n; i++) {
        const struct weight *w = &shard->weights[i];
        if (w->rows_in != w->is.rows)
            return fail(why, E_WIRE, "%s of layer %u is not complete: %u of %u rows came", role_name(w->is.role),
                        w->is.layer, w->rows_in, w->is.rows);
    }
    return 0;
}
