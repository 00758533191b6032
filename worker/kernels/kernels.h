/* worker/kernels/kernels.h — the arithmetic of a stage: a table of operations, one version per instruction set.
 *
 * ref.c is plain C and defines the bits. Every other implementation gives exactly the same bits, for any number of rows
 * and whatever part of the work a call is given. What makes that possible:
 *
 *   matmul    One lane is one output row. Blocks of 32 columns are added in ascending order. Per block, with integer
 *             weights q (after the offset of their kind), activations a quantised to int8, scales dw and da:
 *                 acc = fma((float) sum(q * a), dw * da, acc)           the integer sum is exact in any order
 *                 acc = fma(mw, da * (float) sum(a), acc)             only kinds with a minimum; Q4_K: mw = -(dmin * m)
 *             K kinds: dw = d * (float) s, one product, exact. Q6 has a factor for each half of a block:
 *                 acc = fma(fma((float) sum(last 16), d * s1, (float) sum(first 16) * (d * s0)), da, acc)
 *             Float kinds use the f32 activations: acc = fma(w, x, acc), column by column.
 *   rows      Activations are quantised per row and block, so a row never depends on its neighbours.
 *             amax = max |x|; amax < 2^-100: all zero, da = 0. amax infinite or NaN: da = NaN, a = 0.
 *             Else da = amax / 127, a = round half to even(x * (1 / da)).
 *   sums      16 lanes, element i in lane i % 16, ascending, fma where there is a product; then lanes are folded
 *             8 + 8, 4 + 4, 2 + 2, 1 + 1 (lane i += lane i + 8, and so on). Tails are as if filled up with zeros.
 *   exp, gelu Own polynomial (ref.c), never libm. gelu(x) = x / (1 + exp(-2u)), the tanh form without its tanh.
 *   rounding  Nearest even everywhere, no flush to zero, -ffp-contract=off, every fma is written as one. That is how a
 *             thread starts; nothing here sets or checks it, so no caller may change MXCSR or FPCR.
 *   NaN       Where ref gives a NaN so do all; which of the many NaNs is not defined.
 *
 * Threads:  no call starts one. The caller splits rows or panels over its threads; the split changes nothing.
 * Memory:   no call allocates. Pointers need 4-byte alignment unless said otherwise; panels are 64-byte aligned. */
#pragma once

#include "base/error.h"
#include "partition/model/memory.h" /* KV_PAGE, ATTEND_SPANS, act_bytes, attend_bytes */
#include "partition/format/pack.h"
#include "partition/format/tiles.h"
#include "partition/model/vision_memory.h" /* vision_attend_bytes */

#include <stddef.h>
#include <stdint.h>

/* Raised whenever any bit of any result changes: a golden fingerprint, a picture's rows. Workers and coordinators of different
 * versions refuse each other. */
#define NUMERIC_VERSION 1

/* Activations of up to `rows` rows as matmul wants them. Rows are stored in tiles so that one weight block meets several
 * rows while it is in registers; the tile's inner layout belongs to the kernels. */
struct acts {
    uint32_t rows, cols; /* in use; cols is rounded up to 32 inside, the fill is zeros */
    uint32_t tile;       /* rows of a tile: the smallest of 1, 2, 4 … ACT_TILE that holds them all, or ACT_TILE */
    const float *x;      /* the f32 rows, [rows, cols] with stride ldx, for float kinds */
    size_t ldx;
    int8_t *q;       /* [n of tile][block][row of tile][32] */
    float *scale;    /* [n of tile][block][row of tile]     da                    */
    float *sums;     /* [n of tile][block][row of tile]     da * (float) sum(a)   */
    int32_t *minus8; /* [n of tile][block][row of tile]     -8 * sum(a)           */
    int32_t *minus32; /* [n of tile][block][row of tile][2] -32 * sum(a) of columns 0..15 and of 16..31; avx2: see there */
    const int16_t *wide; /* avx2's own: a piece of q as shorts, from place wide_at on */
    size_t wide_at;
};

/* Lays `a` out in `memory` (act_bytes(max_rows, max_cols) of partition/model/memory.h, 64-byte aligned). */
void acts_init(struct acts *a, void *memory, uint32_t max_rows, uint32_t max_cols);

/* Says what is in use now: must be called (by one thread) before quantize; x is for matrices of floats alone. Rows past
 * `rows` in the last tile must be left alone or be zeros; they never reach a result. */
void acts_shape(struct acts *a, uint32_t rows, uint32_t cols, const float *x, size_t ldx);

/* Attention of `rows` query rows of one sequence over one key/value head, for all `heads` query heads that share it.
 * Position p lies in page (p / KV_PAGE) % n_pages at place i = p % KV_PAGE. A page holds numbers of `type`: its keys at page + keys_at in
 * panels of 16 places, [KV_PAGE / 16][head_dim][16], one lane is one key; its values at page + values_at, [KV_PAGE, head_dim]. Q8_0 are
 * bytes q, and behind a head's keys stand the factors d of every KV_BLOCK columns b, f16 [KV_PAGE / 16][b][16], behind its values [b][KV_PAGE].
 * Row r sees the positions from..to (both included) of sees[r] and is never touched by what lies in other places.
 *
 * Positions are taken in pieces of KV_PAGE, and pieces in spans of attend_span(from, to) positions; both begin at multiples
 * of their length. Spans start with m = -infinity and zeros; per row, head and piece, over the positions p it sees:
 *     s_p = scale * (fma over columns ascending, from 0)        of Q8_0: so over the q of a block, then fma(that sum, d, s), blocks ascending
 *     M = max(m, max s_p)       alpha = exp(m - M)
 *     e_p = exp(s_p - M)       lane[i] = lane[i] * alpha + (e_p of p % 16 == i, ascending)
 *     out = out * alpha, then fma(e_p, v_p, out) over p ascending; of Q8_0: fma(e_p * d, q, out);    m = M
 * The first span is the sum so far; each further one (m', lane', out') joins it, ascending:
 *     M = max(m, m')    a = exp(m - M)    b = exp(m' - M)    lane = fma(lane', b, lane * a)    out = fma(out', b, out * a)
 * and at the end out * (1 / fold(lane)). So a row depends on what it sees and on nothing else, and the spans of one row can be
 * worked on by several threads: at most ATTEND_SPANS of them, however long the context. */
struct attend_row {
    uint32_t from, to;
};
struct attend {
    const float *q; /* [rows][heads, head_dim], a row every ldq floats */
    float *out;     /* the same, every ldo; may not overlap q */
    size_t ldq, ldo;
    const struct attend_row *sees; /* [rows] */
    uint32_t rows, heads, head_dim;
    float scale;
    const uint8_t *const *pages;
    uint32_t n_pages;
    size_t keys_at, values_at;
    enum kv_type type;
    void *scratch;             /* attend_bytes(head_dim) of partition/model/memory.h, 64-byte aligned */
};

/* The shortest length of ATTEND_SPAN, twice that, and so on of which ATTEND_SPANS - 1 would hold what is seen. */
static inline uint32_t attend_span(uint32_t from, uint32_t to)
{
    uint32_t span = ATTEND_SPAN;
    while ((to - from) / span >= ATTEND_SPANS - 1) span *= 2;
    return span;
}

/* How many spans that gives: one more than would hold it, if it begins in the middle of one. */
static inline uint32_t attend_spans(uint32_t from, uint32_t to)
{
    uint32_t span = attend_span(from, to);
    return to / span - from / span + 1;
}

/* Attention of a picture: `rows` query rows of one head against all n keys of that head, no mask, in 16-bit integers: twice
 * as fast as in f32, and its error (about 2e-8 of the squares of an encoder's rows) is far below what f16 weights promise.
 * Queries and keys are rounded per row and head, values per column and SHORT_KEYS keys, as short_row and short_columns
 * below do: to vectors of a certain length, so that by Cauchy's inequality no sum of products leaves 32 bits, and sums are
 * exact in any order. Scores count in powers of two: 1 / ln 2 is in q_scale. Keys are taken SHORT_KEYS at a time,
 * ascending, whatever the rows; the last piece is shorter. Per row and piece:
 *     s_k = (float) sum * q_scale * key_scale_k       top = max s_k       M = max(m, top)        (m: -infinity at first)
 *     p_k = round half to even(SHORT_ONE * 2^(s_k - top))        alpha = 2^(m - M)        beta = 2^(top - M)
 *     sum = fma((float) (sum over the p_k), beta, sum * alpha);       m = M
 *     out = fma((float) (sum over p_k * v_k), value_scale * beta, out * alpha)
 * and at the end out * (1 / sum): weights are rounded before they are added up, so they add up to one. 2^x is a polynomial
 * (ref_vision.c), with x at least SHORT_LOW. A NaN in q_scale or value_scale comes out; key_scale must be finite. */
#define SHORT_LINE 8        /* keys that lie side by side */
#define SHORT_KEY 46300.0f  /* length of a query and of a key: squared < 2^31, with room for rounding heads up to 4096 */
#define SHORT_ONE 11585.0f  /* sqrt(SHORT_KEYS) * SHORT_ONE * (SHORT_VALUE + sqrt(SHORT_KEYS) / 2) < 2^31 */
#define SHORT_VALUE 16370.0f
#define SHORT_LOW (-100.0f)
struct vision_attend {
    const int16_t *q;         /* [rows, head_dim rounded up to 2], a row every ldq shorts */
    const float *q_scale;     /* one every ld_scale floats; the scale of attention is in it */
    float *out;
    const int16_t *keys;      /* [n in lines of SHORT_LINE][head_dim / 2, rounded up][SHORT_LINE][2] */
    const float *key_scale;   /* [n rounded up to SHORT_LINE] */
    const int16_t *values;    /* [n / 2, rounded up][head_dim][2] */
    const float *value_scale; /* [n in pieces of SHORT_KEYS][head_dim] */
    size_t ldq, ld_scale, ldo;
    uint32_t rows, head_dim, n;
    void *scratch;            /* vision_attend_bytes(head_dim) of partition/model/vision_memory.h, 64-byte aligned */
};

struct kernels {
    const char *isa; /* "ref", "avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm" */

    /* Quantises n values, columns first.. of row `row`, into a. Whole blocks: `first` is a multiple of 32, and so is n unless
     * the row ends there. Needless when every matrix that follows is a float kind. */
    void (*quantize)(struct acts *a, uint32_t row, const float *x, uint32_t first, uint32_t n);

    /* y[r * ldy + o - 16 * first] = row r of a times output row o, for all rows of a and the output rows of panels
     * first..first+n-1. */
    void (*matmul)(float *y, size_t ldy, const struct panels *w, const struct acts *a, uint32_t first, uint32_t n);

    /* y = x * (1 / sqrt(mean(x^2) + epsilon)) * g, one row; y may be x. Per element (x * r) * g. */
    void (*norm)(float *y, const float *x, const float *g, uint32_t n, float epsilon);
    /* x += norm(a): the way back into the residual stream. */
    void (*norm_add)(float *x, const float *a, const float *g, uint32_t n, float epsilon);
    /* Rotates one head in place; pairs are (i, i + head_dim / 2). cos, sin: [head_dim / 2].
     * out[i] = fma(x[i], cos, -(x[i+h] * sin)), out[i+h] = fma(x[i+h], cos, x[i] * sin). */
    void (*rope)(float *x, const float *cos, const float *sin, uint32_t head_dim);
    /* g = gelu_tanh(g) * u, element by element. */
    void (*gelu_mul)(float *g, const float *u, size_t n);
    void (*to_f16)(uint16_t *y, const float *x, size_t n); /* as f32_to_f16 of base/half.h */
    void (*attend)(const struct attend *task);
    /* The same in two steps, for one row: span number `span` of attend_spans by itself, into `parts`
     * [heads][attend_spans][attend_part(head_dim)] floats, 64-byte aligned; and, once all have been there, the row. */
    void (*attend_one_span)(const struct attend *task, uint32_t span, float *parts);
    void (*attend_join)(const struct attend *task, const float *parts);

    /* *best = the largest of n scores; returns the sum of exp(x[i] - *best): lane i % 16, ascending, folded. NaN, with
     * *best of no meaning, if a score is not finite. */
    float (*exp_sum)(const float *x, uint32_t n, float *best);

    /* ---- the picture encoder ---- */
    /* m = mean(x), v = mean((x - m)^2), both 16-lane sums divided by n; y = fma((x - m) * (1 / sqrt(v + epsilon)), g, b);
     * y may be x. */
    void (*layer_norm)(float *y, const float *x, const float *g, const float *b, uint32_t n, float epsilon);
    void (*add)(float *x, const float *a, const float *b, size_t n);   /* x += a + b */
    void (*gelu_bias)(float *x, const float *b, size_t n);             /* x = gelu_tanh(x + b) */
    /* matmul over all panels, the same bits; faster where many rows meet float weights, which it widens once for all. */
    void (*matmul_many)(float *y, size_t ldy, const struct panels *w, const struct acts *a);
    void (*vision_attend)(const struct vision_attend *task);
    /* y = x rounded to shorts, about SHORT_KEY long; returns the scale: |x| / SHORT_KEY, or max |x| / 32767 if that is more; 0
     * with y all zeros if |x|^2 < 2^-100, NaN if it is not finite. |x|^2 is a 16-lane sum of products, not fused. */
    float (*short_row)(int16_t *y, const float *x, uint32_t n);
    /* The same for `rows` (at most SHORT_KEYS) rows of n columns, each column by itself, rows ascending, with SHORT_VALUE:
     * y [rows / 2, rounded up][n][2], zeros where there is nothing. */
    void (*short_columns)(int16_t *y, float *scale, const float *x, size_t ldx, uint32_t rows, uint32_t n);
};

/* cos and sin of position * base^(-2i/head_dim) / factor for i < head_dim/2, computed in double by own code (the same
 * bits everywhere) and rounded once. */
void rope_table(float *cos, float *sin, uint32_t head_dim, double base, double factor, uint32_t position);

/* The best table this CPU can run. GEMMAPIPE_ISA=ref|avx2|avxvnni|avx512|neon forces one; E_USAGE if this CPU cannot. */
int kernels_choose(struct kernels *out, struct err *why);
/* By name, for tests; NULL-name means best. */
int kernels_named(struct kernels *out, const char *isa, struct err *why);

/* For the sampler and tests: the exp of ref.c, one value. */
float kernel_exp(float x);
