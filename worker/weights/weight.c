/* worker/weights/weight.c — see weight.h. Matrices are packed into panels as they come; the file's bytes are not kept. */
#include "worker/weights/weight.h"

#include "base/checked.h"
#include "base/hash.h"

#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define Q8_BLOCK 32
#define Q8_BYTES 34

static bool is_floats(const struct tensor *t)
{
    if (t->chain == CHAIN_TEXT) return role_is_norm(t->role);
    return vision_role_is_vector(t->role) || t->role == V_POSITIONS;
}

static struct vision_kept kept_as(const struct tensor *t, enum vision_type as)
{
    return t->chain == CHAIN_TEXT ? (struct vision_kept){t->type, t->rows, t->cols} : vision_kept(t, as);
}

uint64_t weight_bytes(const struct tensor *t, enum vision_type as)
{
    return t->chain == CHAIN_TEXT ? text_tensor_bytes(t) : vision_tensor_bytes(t, as);
}

void weight_place(struct weight *w, const struct tensor *t, enum vision_type as, uint8_t *memory)
{
    *w = (struct weight){.is = *t, .kept = kept_as(t, as)};
    w->is.data = NULL;
    if (is_floats(t)) w->floats = (float *)memory;
    else panels_init(&w->panels, w->kept.type, w->kept.rows, w->kept.cols, memory);
}

/* ---- rows into their place ---- */

/* Up to 16 rows of floats become rows of Q8_0, filled up with zeros to whole blocks. A row with a value that is
 * too large for the format gets scales that are no numbers, and so will every picture's rows: they are refused there. */
static void to_q8(const struct quantizer *q, uint8_t *out, const struct weight *w, uint32_t n, const uint8_t *bytes, float *row)
{
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
    const uint32_t blocks = w->kept.cols / Q8_BLOCK;
    memset(row, 0, w->kept.cols * sizeof *row);
    for (uint32_t r = 0; r < n; r++, out += blocks * Q8_BYTES) {
        widen_values(q, w->is.type, bytes + r * row_bytes, w->is.cols, row);
        if (q->within(row, w->is.cols, quantize_limit(T_Q8_0))) q->q8_0(row, out, blocks);
        else memset(out, 0x7e, blocks * Q8_BYTES); /* 0x7e7e: a NaN */
    }
}

/* File rows are inputs here: row i holds column i of every panel. */
static void put_column(struct weight *w, uint32_t i, const uint8_t *bytes, float *row)
{
    const size_t each = w->kept.type == T_F32 ? 4 : 2;
    const bool as_is = w->kept.type == w->is.type;
    if (!as_is) block_dequantize(w->is.type, bytes, row, w->is.cols);
    const uint8_t *from = as_is ? bytes : (const uint8_t *)row;
    for (uint32_t o = 0; o < w->kept.rows; o += PANEL_ROWS) {
        uint32_t n = w->kept.rows - o < PANEL_ROWS ? w->kept.rows - o : PANEL_ROWS;
        uint8_t *to = w->panels.data + o / PANEL_ROWS * w->panels.panel_bytes + (size_t)i * PANEL_ROWS * each;
        memset(to, 0, PANEL_ROWS * each);
        memcpy(to, from + o * each, n * each);
    }
}

static void put_rows(const struct quantizer *q, struct weight *w, uint32_t first, uint32_t n, const uint8_t *bytes, float *room)
{
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
    if (w->floats) {
        for (uint32_t r = 0; r < n; r++)
            block_dequantize(w->is.type, bytes + r * row_bytes, w->floats + (size_t)(first + r) * w->is.cols, w->is.cols);
    } else if (w->is.chain == CHAIN_VISION && w->is.role == V_PROJECTION) {
        for (uint32_t r = 0; r < n; r++) put_column(w, first + r, bytes + r * row_bytes, room);
    } else if (w->kept.type != w->is.type) {
        uint8_t *blocks = (uint8_t *)(room + w->kept.cols);
        to_q8(q, blocks, w, n, bytes, room);
        panels_pack(&w->panels, w->kept.type, first, n, blocks);
    } else {
        panels_pack(&w->panels, w->is.type, first, n, bytes);
    }
}

static int check_rows(const struct weight *w, uint32_t first_row, uint32_t rows, struct err *why)
{
    const char *name = tensor_name(&w->is), *of = w->is.chain == CHAIN_VISION ? "vision layer" : "layer";
    const uint32_t left = w->is.rows - w->rows_in;
    if (first_row != w->rows_in)
        return fail(why, E_WIRE, "%s of %s %u: rows from %u came where row %u is next", name, of, w->is.layer, first_row, w->rows_in);
    if (rows == 0 || rows > left)
        return fail(why, E_WIRE, "%s of %s %u: %u rows came where 1 to %u are missing", name, of, w->is.layer, rows, left);
    if (rows != left && rows % PANEL_ROWS)
        return fail(why, E_WIRE, "%s of %s %u: a piece of %u rows in the middle; only multiples of %u fit", name, of, w->is.layer,
                    rows, PANEL_ROWS);
    return 0;
}

int weight_compare(const struct weight *w, struct err *why)
{
    if (!weight_is_whole(w) || !w->is.hash || w->hash == w->is.hash) return 0;
    return fail(why, E_FILE, "%s of %s %u is not what the coordinator's file holds: its hash is %016" PRIx64 ", wanted %016" PRIx64,
                tensor_name(&w->is), w->is.chain == CHAIN_VISION ? "vision layer" : "layer", w->is.layer, w->hash, w->is.hash);
}

int weight_load(struct weight *w, uint32_t first_row, uint32_t rows, const void *bytes, int threads, float *room, size_t room_each,
                struct err *why)
{
    const struct quantizer quantizer = quantizer_best();
    TRY(check_rows(w, first_row, rows, why));
    if (w->is.chain == CHAIN_VISION && WEIGHT_ROOM_FLOATS(w->is.cols) > room_each)
        return fail(why, E_INTERNAL, "no room to load rows of %u values", w->is.cols);
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
    uint64_t hash = 0;
    uint32_t odd = UINT32_MAX; /* where there are rows with something that is no number */
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1) reduction(+ : hash) reduction(min : odd)
    for (uint32_t r = 0; r < rows; r += PANEL_ROWS) {
        const uint32_t n = rows - r < PANEL_ROWS ? rows - r : PANEL_ROWS;
        const uint8_t *from = (const uint8_t *)bytes + r * row_bytes;
        hash += hash_rows(first_row + r, n, from, row_bytes); /* and now they are in this core's cache */
        if (!block_is_finite(w->is.type, from, n * row_bytes) && r < odd) odd = r;
        put_rows(&quantizer, w, first_row + r, n, from, room ? room + (size_t)omp_get_thread_num() * room_each : NULL);
    }
    if (odd < rows)
        return fail(why, E_FILE, "%s of %s %u is damaged: from row %u on it holds something that is no finite number", tensor_name(&w->is),
                    w->is.chain == CHAIN_VISION ? "vision layer" : "layer", w->is.layer, w->is.first_row + first_row + odd);
    w->rows_in += rows;
    w->hash += hash;
    return 0;
}
