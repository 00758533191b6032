/* worker/stage/text.c — see text.h.
 *
 * A layer is a dozen shared loops. Loops over rows are cut evenly, so a row's vectors stay in one core's cache from
 * one loop to the next; loops over panels of weights hand out pieces to whoever is free, because cores of small
 * machines are seldom all ours and the slowest would set the pace. */
#include "worker/stage/text.h"

#include "base/checked.h"
#include "worker/kernels/blas.h"
#include "worker/stage/attention.h"

#include <omp.h>
#include <string.h>

#define PIECES_PER_THREAD 4 /* more evens out better, fewer give the kernel longer runs */
#define PIECE_MOST 64       /* panels: a head's eighth would keep the last thread busy for milliseconds */

/* Panels of which pieces consist: float32 math takes whole tiles, which begin at fixed places. */
static uint32_t panels_together(const struct workbench *b)
{
    return b->math == MATH_FLOAT32 ? SGEMM_COLS / PANEL_ROWS : 1;
}

static uint32_t panels_per_piece(const struct workbench *b, uint32_t panels)
{
    uint32_t n = panels / (uint32_t)(b->threads * PIECES_PER_THREAD);
    n = n < PIECE_MOST ? n : PIECE_MOST;
    return b->threads == 1 ? panels : (uint32_t)round_up(n ? n : 1, panels_together(b));
}

static uint32_t panel_count(const struct weight *w)
{
    return (w->is.rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

void meet(const struct workbench *b)
{
    barrier_wait(b->barrier, (uint32_t)omp_get_num_threads());
}

void workbench_set_rows(struct workbench *b, uint32_t n)
{
    const struct model_config *c = b->config;
    b->n = n;
    acts_shape(&b->of_hidden, n, c->hidden, b->narrow, c->hidden);
    acts_shape(&b->of_heads, n, heads_width(c), b->narrow, heads_width(c));
    acts_shape(&b->of_ffn, n, c->ffn, b->wide, c->ffn);
}

void text_angles(const struct workbench *b)
{
    const struct model_config *c = b->config;
    const size_t half = c->head_dim / 2;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < b->n; r++) {
        uint32_t p = b->places[r].position;
        rope_table(b->cos[0] + r * half, b->sin[0] + r * half, c->head_dim, c->rope_base_local, 1, p);
        rope_table(b->cos[1] + r * half, b->sin[1] + r * half, c->head_dim, c->rope_base_global, c->rope_factor, p);
    }
    meet(b);
}

/* narrow = norm(x), ready for a matrix; quantised if one of them wants that. */
static void norm_rows(const struct workbench *b, const float *x, const float *g, bool quantise)
{
    const size_t hidden = b->config->hidden;
    struct acts a = b->of_hidden;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < b->n; r++) {
        b->k->norm(b->narrow + r * hidden, x + r * hidden, g, b->config->hidden, b->config->norm_epsilon);
        if (quantise) b->k->quantize(&a, r, b->narrow + r * hidden, 0, b->config->hidden);
    }
    meet(b);
}

/* x += norm(y). Does not wait: the loop that follows is cut over rows in the same way, so each thread goes on with
 * rows that it has just finished itself. */
static void norm_back(const struct workbench *b, float *x, const float *y, const float *g)
{
    const size_t hidden = b->config->hidden;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < b->n; r++)
        b->k->norm_add(x + r * hidden, y + r * hidden, g, b->config->hidden, b->config->norm_epsilon);
}

static void quantise_heads(const struct workbench *b, bool quantise)
{
    struct acts a = b->of_heads;
    if (!quantise) return;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < b->n; r++) b->k->quantize(&a, r, b->narrow + r * (size_t)a.cols, 0, a.cols);
    meet(b);
}

/* Panels first..first+n-1, by this thread. */
static void product(const struct workbench *b, float *y, size_t ldy, const struct weight *w, const struct acts *a, uint32_t first, uint32_t n)
{
    if (b->math == MATH_FLOAT32) blas_matmul(y, ldy, &w->panels, a, first, n, b->tiles + (size_t)omp_get_thread_num() * b->tiles_each);
    else b->k->matmul(y, ldy, &w->panels, a, first, n);
}

void multiply(const struct workbench *b, float *y, size_t ldy, const struct weight *w, const struct acts *a)
{
    uint32_t panels = panel_count(w), piece = panels_per_piece(b, panels);
#pragma omp for schedule(dynamic) nowait
    for (uint32_t p = 0; p < panels; p += piece)
        product(b, y + p * PANEL_ROWS, ldy, w, a, p, panels - p < piece ? panels - p : piece);
}

static void multiply_wait(const struct workbench *b, float *y, size_t ldy, const struct weight *w, const struct acts *a)
{
    multiply(b, y, ldy, w, a);
    meet(b);
}

/* Panels first..first+n-1 of both, from the matrices to what the next one wants. */
static void gate_up_piece(const struct workbench *b, const struct weight *gate, const struct weight *up, uint32_t first, uint32_t n,
                          bool quantise)
{
    const uint32_t ffn = b->config->ffn, column = first * PANEL_ROWS, ld = n * PANEL_ROWS;
    const uint32_t width = ffn - column < ld ? ffn - column : ld;
    float *g = b->gate + 2 * (size_t)omp_get_thread_num() * b->gate_each, *u = g + b->gate_each;
    struct acts a = b->of_ffn;
    product(b, g, ld, gate, &b->of_hidden, first, n);
    product(b, u, ld, up, &b->of_hidden, first, n);
    for (uint32_t r = 0; r < b->n; r++, g += ld, u += ld) {
        b->k->gelu_mul(g, u, width);
        if (quantise) b->k->quantize(&a, r, g, column, width);
        else memcpy(b->wide + (size_t)r * ffn + column, g, width * sizeof *g);
    }
}

/* of_ffn = gelu(gate) * up. As many columns at a time as leave the rows of both in the thread's cache: written to memory
 * and read again, they cost a twentieth of a prompt (docs/SPEED.md 17). */
static void gate_up(const struct workbench *b, const struct weight *gate, const struct weight *up, bool quantise)
{
    const uint32_t panels = panel_count(gate), some = b->math == MATH_FLOAT32 ? panels_together(b) : gate_columns(b->n) / PANEL_ROWS;
    const uint32_t piece = (panels_per_piece(b, panels) + 1) / 2 * 2; /* 32 columns are quantised together */
#pragma omp for schedule(dynamic) nowait
    for (uint32_t p = 0; p < panels; p += piece) {
        const uint32_t end = panels - p < piece ? panels : p + piece;
        for (uint32_t q = p; q < end; q += some) gate_up_piece(b, gate, up, q, end - q < some ? end - q : some, quantise);
    }
    meet(b);
}

static void query_key_value(const struct workbench *b, const struct weight *w)
{
    const uint32_t q = heads_width(b->config), kv = kv_width(b->config), ld = q + 2 * kv;
    multiply(b, b->wide, ld, &w[W_Q], &b->of_hidden);
    multiply(b, b->wide + q, ld, &w[W_K], &b->of_hidden);
    multiply_wait(b, b->wide + q + kv, ld, &w[W_V], &b->of_hidden);
}

/* Gemma 3 norms on the way in and again on the way back. `narrow` and `wide` are b's. */
void text_layer(const struct workbench *b, const struct weight *w, uint32_t index, uint32_t layer, float *x)
{
    const bool in = wants_8_bits(b, &w[W_Q]) || wants_8_bits(b, &w[W_K]) || wants_8_bits(b, &w[W_V]);
    const bool in_ffn = wants_8_bits(b, &w[W_GATE]) || wants_8_bits(b, &w[W_UP]);
    const uint32_t hidden = b->config->hidden;
    const struct attention a = {b, index, layer, layer_is_global(b->config, layer)};

    if (b->all_drawn) {
        attention_store(&a, NULL, NULL);
        return;
    }
    norm_rows(b, x, w[W_ATTN_NORM].floats, in);                     /* x -> narrow [n, hidden]                   */
    query_key_value(b, w);                                        /* narrow -> wide [n, q + k + v]             */
    attention_store(&a, w[W_Q_NORM].floats, w[W_K_NORM].floats);      /* norm and turn q, k; k, v -> cache         */
    attention_look(&a);                                           /* wide q -> narrow [n, heads * head_dim]    */
    quantise_heads(b, wants_8_bits(b, &w[W_O]));
    multiply_wait(b, b->wide, hidden, &w[W_O], &b->of_heads);     /* narrow -> wide [n, hidden]                */
    norm_back(b, x, b->wide, w[W_ATTN_POST_NORM].floats);           /* x += norm(wide)                           */
    norm_rows(b, x, w[W_FFN_NORM].floats, in_ffn);                  /* x -> narrow [n, hidden]                   */
    gate_up(b, &w[W_GATE], &w[W_UP], wants_8_bits(b, &w[W_DOWN])); /* narrow -> of_ffn [n, ffn]              */
    multiply_wait(b, b->narrow, hidden, &w[W_DOWN], &b->of_ffn);  /* of_ffn -> narrow [n, hidden]              */
    norm_back(b, x, b->narrow, w[W_FFN_POST_NORM].floats);          /* x += norm(narrow)                         */
}
