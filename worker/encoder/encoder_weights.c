/* worker/encoder/encoder_weights.c — see vision_shard.h. */
#include "worker/encoder/encoder_weights.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define Q8_BLOCK 32
#define Q8_BYTES 34

int vision_shard_open(struct vision_shard *s, const struct tensor *tensors, size_t n, enum vision_type as,
                      uint8_t *memory, uint64_t bytes, struct err *why)
{
    *s = (struct vision_shard){n, calloc(n + 1, sizeof(struct vision_weight)), quantizer_best()};
    if (!s->weights) return fail(why, E_MEMORY, "no memory for a list of %zu tensors", n);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        struct vision_weight *w = &s->weights[i];
        uint64_t size = vision_tensor_bytes(&tensors[i], as);
        if (size > bytes - at)
            return fail(why, E_INTERNAL, "the vision weights need more than the %llu bytes they were planned with",
                        (unsigned long long)bytes);
        w->is = tensors[i];
        w->is.data = NULL;
        w->kept = vision_kept(&tensors[i], as);
        if (vision_role_is_vector(w->is.role) || w->is.role == V_POSITIONS) w->rows = (float *)(memory + at);
        else panels_init(&w->panels, w->kept.type, w->kept.rows, w->kept.cols, memory + at);
        at += size;
    }
    if (at != bytes)
        return fail(why, E_INTERNAL, "the vision weights were planned with %llu bytes and take %llu",
                    (unsigned long long)bytes, (unsigned long long)at);
    return 0;
}

void vision_shard_close(struct vision_shard *s)
{
    free(s->weights);
    *s = (struct vision_shard){0};
}

/* Up to 16 rows of floats become rows of Q8_0, filled up with zeros to whole blocks. A row with a value that is not finite,
 * or too large for the format, gets scales that are no numbers, and so will every picture's rows: they are refused there. */
static void to_q8(const struct quantizer *q, uint8_t *out, const struct vision_weight *w, uint32_t n, const uint8_t *bytes,
                  float *row)
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
static void put_column(struct vision_weight *w, uint32_t i, const uint8_t *bytes, float *row)
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

static void put_rows(const struct quantizer *q, struct vision_weight *w, uint32_t first, uint32_t n, const uint8_t *bytes,
                     float *room)
{
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
    if (w->rows) {
        for (uint32_t r = 0; r < n; r++)
            block_dequantize(w->is.type, bytes + r * row_bytes, w->rows + (size_t)(first + r) * w->is.cols, w->is.cols);
    } else if (w->is.role == V_PROJECTION) {
        for (uint32_t r = 0; r < n; r++) put_column(w, first + r, bytes + r * row_bytes, room);
    } else if (w->kept.type != w->is.type) {
        uint8_t *blocks = (uint8_t *)(room + w->kept.cols);
        to_q8(q, blocks, w, n, bytes, room);
        panels_pack(&w->panels, w->kept.type, first, n, blocks);
    } else {
        panels_pack(&w->panels, w->is.type, first, n, bytes);
    }
}

static int check_piece(const struct vision_weight *w, uint32_t first_row, uint32_t rows, struct err *why)
{
    const char *name = vision_role_name(w->is.role);
    uint32_t left = w->is.rows - w->rows_in;
    if (first_row != w->rows_in)
        return fail(why, E_WIRE, "%s of vision layer %u: rows from %u came where row %u is next", name, w->is.layer,
                    first_row, w->rows_in);
    if (rows == 0 || rows > left)
        return fail(why, E_WIRE, "%s of vision layer %u: %u rows came where 1 to %u are missing", name, w->is.layer,
                    rows, left);
    if (rows != left && rows % PANEL_ROWS)
        return fail(why, E_WIRE, "%s of vision layer %u: a piece of %u rows in the middle; only multiples of %u fit",
                    name, w->is.layer, rows, PANEL_ROWS);
    return 0;
}

int vision_shard_load(struct vision_shard *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes,
                      int threads, float *room, size_t room_each, struct err *why)
{
    if (index >= s->n)
        return fail(why, E_WIRE, "rows for tensor %u, but the vision share has %zu tensors", index, s->n);
    struct vision_weight *w = &s->weights[index];
    TRY(check_piece(w, first_row, rows, why));
    if (VISION_ROOM(w->is.cols) > room_each)
        return fail(why, E_INTERNAL, "no room to load rows of %u values", w->is.cols);
    const uint64_t row_bytes = block_row_bytes(w->is.type, w->is.cols);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (uint32_t r = 0; r < rows; r += PANEL_ROWS)
        put_rows(&s->quantizer, w, first_row + r, rows - r < PANEL_ROWS ? rows - r : PANEL_ROWS,
                 (const uint8_t *)bytes + r * row_bytes, room + (size_t)omp_get_thread_num() * room_each);
    w->rows_in += rows;
    return 0;
}

int vision_shard_loaded(const struct vision_shard *s, struct err *why)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct vision_weight *w = &s->weights[i];
        if (w->rows_in != w->is.rows)
            return fail(why, E_WIRE, "%s of vision layer %u is not complete: %u of %u rows came",
                        vision_role_name(w->is.role), w->is.layer, w->rows_in, w->is.rows);
    }
    return 0;
}
