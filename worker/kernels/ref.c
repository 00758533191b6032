/* worker/kernels/ref.c — the arithmetic in plain C. What this file computes is what the answer is.
 *
 * Written to be read beside kernels.h, one value at a time, sixteen lanes as arrays of sixteen. It is slow: its work
 * is to say which bits are right, on any CPU with IEEE floats, and to be equalled by every faster file.
 * fmaf, sqrtf and rintf are called because their results are fixed by IEEE 754; nothing else of libm is. */
#include "worker/kernels/inside.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

/* ---- sums over a row ------------------------------------------------------------------------------------------ */

/* 16 lanes become one: 8 + 8, 4 + 4, 2 + 2, 1 + 1. */
static float fold(float lane[LANES])
{
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

static float sum_of_squares(const float *x, uint32_t n)
{
    float lane[LANES] = {0};
    for (uint32_t i = 0; i < n; i++) lane[i % LANES] = fmaf(x[i], x[i], lane[i % LANES]);
    return fold(lane);
}

/* ---- exp and gelu --------------------------------------------------------------------------------------------- */

static float power_of_two(int n)
{
    return f32_from_bits((uint32_t)(n + 127) << 23);
}

float kernel_exp(float x)
{
    if (x != x) return x;
    x = x < EXP_LOW ? EXP_LOW : x;
    x = x > EXP_HIGH ? EXP_HIGH : x;
    float rounded = (x * EXP_LOG2E + EXP_ROUND) - EXP_ROUND;
    float r = fmaf(-rounded, EXP_LN2_HI, x);
    r = fmaf(-rounded, EXP_LN2_LO, r);
    float p = fmaf(EXP_C4, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, EXP_C1);
    p = fmaf(p, r, EXP_C0);
    p = fmaf(p, r * r, r) + 1.0f;
    int n = (int)rounded, half = n >> 1;
    return p * power_of_two(half) * power_of_two(n - half);
}

static float gelu(float x)
{
    float slope = fmaf(GELU_B, x * x, GELU_A);
    return x / (1.0f + kernel_exp(x * slope));
}

static float ref_exp_sum(const float *x, uint32_t n, float *best)
{
    float lane[LANES] = {0};
    *best = x[0];
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return NAN;
        *best = x[i] > *best ? x[i] : *best;
    }
    for (uint32_t i = 0; i < n; i++) lane[i % LANES] += kernel_exp(x[i] - *best);
    return fold(lane);
}

static void ref_gelu_mul(float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i++) g[i] = gelu(g[i]) * u[i];
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static float norm_factor(const float *x, uint32_t n, float epsilon)
{
    return 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + epsilon);
}

static void ref_norm(float *y, const float *x, const float *g, uint32_t n, float epsilon)
{
    float r = norm_factor(x, n, epsilon);
    for (uint32_t i = 0; i < n; i++) y[i] = x[i] * r * g[i];
}

static void ref_norm_add(float *x, const float *a, const float *g, uint32_t n, float epsilon)
{
    float r = norm_factor(a, n, epsilon);
    for (uint32_t i = 0; i < n; i++) x[i] += a[i] * r * g[i];
}

static void ref_rope(float *x, const float *cos, const float *sin, uint32_t head_dim)
{
    uint32_t h = head_dim / 2;
    for (uint32_t i = 0; i < h; i++) {
        float a = x[i], b = x[i + h];
        x[i] = fmaf(a, cos[i], -(b * sin[i]));
        x[i + h] = fmaf(b, cos[i], a * sin[i]);
    }
}

static void ref_to_f16(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = f32_to_f16(x[i]);
}

/* ---- activations ---------------------------------------------------------------------------------------------- */

/* Of |x|, as bits: they sort like the numbers, with infinity and NaN on top. */
static uint32_t largest_bits(const float *x, uint32_t n)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits = f32_bits(x[i]) & 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

static void quantize_block(struct acts *a, const float *x, uint32_t n, size_t at)
{
    uint32_t largest = largest_bits(x, n);
    int8_t *q = a->q + at * BLOCK;
    int sum[2] = {0, 0};
    memset(q, 0, BLOCK);
    float scale = largest >= INF_BITS ? f32_from_bits(NAN_BITS) : 0;
    if (largest >= ACT_TINY_BITS && largest < INF_BITS) {
        scale = f32_from_bits(largest) / 127.0f;
        float inverse = 1.0f / scale;
        for (uint32_t i = 0; i < n; i++) {
            q[i] = (int8_t)rintf(x[i] * inverse);
            sum[i / 16] += q[i];
        }
    }
    a->scale[at] = scale;
    act_sums(a, at, sum);
}

static void ref_quantize(struct acts *a, uint32_t row, const float *x, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += BLOCK)
        quantize_block(a, x + i, n - i < BLOCK ? n - i : BLOCK, act_at(a, row, (first + i) / BLOCK));
}

/* ---- matmul --------------------------------------------------------------------------------------------------- */

/* One lane's share of one block, as numbers. */
struct weight_block {
    int q[BLOCK];
    float d, m;  /* dw and mw */
    int s0, s1;  /* Q6: the integer factors of the two halves; else 1 */
};

static float f16_at(const uint8_t *p, uint32_t lane)
{
    uint16_t h;
    memcpy(&h, p + 2 * lane, 2);
    return f16_to_f32(h);
}

static void read_scales(struct weight_block *w, enum panel_kind kind, const uint8_t *group, uint32_t j, uint32_t lane)
{
    const uint8_t *at = group + scales_at(kind, j);
    bool has_super = panel_shape(kind).shared != 0;
    w->d = f16_at(has_super ? group : at, lane);
    w->m = 0;
    w->s0 = w->s1 = 1;
    if (kind == P_Q4M || kind == P_Q8M) w->m = f16_at(at + 32, lane);
    if (kind == P_K4 || kind == P_K5) {
        w->d *= (float)at[lane];
        w->m = -(f16_at(group + 32, lane) * (float)at[16 + lane]);
    }
    if (kind == P_Q6) {
        w->s0 = (int8_t)at[lane];
        w->s1 = (int8_t)at[16 + lane];
    }
}

static void read_quants(struct weight_block *w, enum panel_kind kind, const uint8_t *block, uint32_t lane)
{
    bool nibbles = panel_shape(kind).quants < 512;
    for (uint32_t j = 0; j < BLOCK; j++) {
        uint32_t k = j / 4, place = ((nibbles ? k % 4 : k) * LANES + lane) * 4 + j % 4;
        if (nibbles) w->q[j] = k < 4 ? block[place] & 15 : block[place] >> 4;
        else w->q[j] = (int8_t)block[place];
        if (kind == P_Q4) w->q[j] -= 8;
        if (kind == P_Q6) {
            uint8_t twos = block[((4 + k / 4) * LANES + lane) * 4 + j % 4];
            w->q[j] = (w->q[j] | (twos >> 2 * (k % 4) & 3) << 4) - 32;
        }
    }
}

static float add_block(float acc, enum panel_kind kind, const struct weight_block *w, const struct acts *a, size_t at)
{
    const int8_t *q = a->q + at * BLOCK;
    int sum0 = 0, sum1 = 0;
    for (int j = 0; j < 16; j++) {
        sum0 += w->q[j] * q[j];
        sum1 += w->q[j + 16] * q[j + 16];
    }
    if (kind == P_Q6) {
        float halves = fmaf((float)sum1, w->d * (float)w->s1, (float)sum0 * (w->d * (float)w->s0));
        return fmaf(halves, a->scale[at], acc);
    }
    acc = fmaf((float)(sum0 + sum1), w->d * a->scale[at], acc);
    bool has_minimum = kind == P_Q4M || kind == P_Q8M || kind == P_K4 || kind == P_K5;
    return has_minimum ? fmaf(w->m, a->sums[at], acc) : acc;
}

/* All rows of `a` times one output row. */
static void output_row(float *y, size_t ldy, const struct panels *w, const struct acts *a, const uint8_t *group,
                       uint32_t lane)
{
    for (uint32_t r = 0; r < a->rows; r++) y[r * ldy] = 0;
    for (uint32_t b = 0; b < w->cols / BLOCK; b++) {
        struct weight_block block;
        const uint32_t j = b % panel_shape(w->kind).blocks;
        if (b && j == 0) group += group_bytes(w->kind);
        read_scales(&block, w->kind, group, j, lane);
        read_quants(&block, w->kind, group + quants_at(w->kind, j), lane);
        for (uint32_t r = 0; r < a->rows; r++) y[r * ldy] = add_block(y[r * ldy], w->kind, &block, a, act_at(a, r, b));
    }
}

static float float_weight(enum panel_kind kind, const uint8_t *panel, size_t at)
{
    uint16_t h;
    float f;
    if (kind == P_F32) return memcpy(&f, panel + 4 * at, 4), f;
    memcpy(&h, panel + 2 * at, 2);
    return kind == P_F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

static void float_output_row(float *y, size_t ldy, const struct panels *w, const struct acts *a, const uint8_t *panel,
                             uint32_t lane)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        float acc = 0;
        for (uint32_t c = 0; c < w->cols; c++)
            acc = fmaf(float_weight(w->kind, panel, (size_t)c * LANES + lane), a->x[r * a->ldx + c], acc);
        y[r * ldy] = acc;
    }
}

static void ref_matmul(float *y, size_t ldy, const struct panels *w, const struct acts *a, uint32_t first, uint32_t n)
{
    for (uint32_t p = first; p < first + n; p++)
        for (uint32_t lane = 0; lane < panel_rows(w, p); lane++) {
            const uint8_t *panel = w->data + p * w->panel_bytes;
            float *out = y + (p - first) * PANEL_ROWS + lane;
            if (kind_is_float(w->kind)) float_output_row(out, ldy, w, a, panel, lane);
            else output_row(out, ldy, w, a, panel, lane);
        }
}

static void ref_matmul_many(float *y, size_t ldy, const struct panels *w, const struct acts *a)
{
    ref_matmul(y, ldy, w, a, 0, (w->rows + PANEL_ROWS - 1) / PANEL_ROWS);
}

/* ---- attention ------------------------------------------------------------------------------------------------ */

/* Number `at` of keys or values that lie there as `type`; of Q8_0 without its factor. */
static float kv_number(const struct attend *t, const uint8_t *half, size_t at)
{
    float f;
    uint16_t h;
    if (t->type == KV_Q8_0) return (float)(int8_t)half[at];
    if (t->type == KV_F32) return memcpy(&f, half + 4 * at, 4), f;
    return memcpy(&h, half + 2 * at, 2), f16_to_f32(h);
}

static float kv_factor(const struct attend *t, const uint8_t *half, size_t at)
{
    return f16_at(half + (size_t)KV_PAGE * t->head_dim, (uint32_t)at);
}

static float ref_score(const struct attend *t, const float *q, const uint8_t *keys, uint32_t place)
{
    const uint32_t panel = place / LANES, lane = place % LANES, blocks = (t->head_dim + KV_BLOCK - 1) / KV_BLOCK;
    const uint32_t block = t->type == KV_Q8_0 ? KV_BLOCK : t->head_dim;
    float score = 0;
    for (uint32_t from = 0; from < t->head_dim; from += block) {
        float sum = 0;
        for (uint32_t i = from; i < t->head_dim && i - from < block; i++)
            sum = fmaf(q[i], kv_number(t, keys, ((size_t)panel * t->head_dim + i) * LANES + lane), sum);
        score = t->type != KV_Q8_0 ? sum : fmaf(sum, kv_factor(t, keys, ((size_t)panel * blocks + from / KV_BLOCK) * LANES + lane), score);
    }
    return t->scale * score;
}

/* A line is one head of one row. Positions first..last of one page: they go to `part`, sixteen lanes, m, and from place
 * 32 on the values. */
static void attend_piece(const struct attend *t, const float *q, uint32_t first, uint32_t last, float *part)
{
    const uint8_t *page = t->pages[first / KV_PAGE % t->n_pages], *values = page + t->values_at;
    float *lane = part, *out = part + 2 * LANES, m = part[LANES], score[KV_PAGE], largest = m;
    for (uint32_t p = first; p <= last; p++) {
        const uint32_t at = p % KV_PAGE;
        score[at] = ref_score(t, q, page + t->keys_at, at);
        largest = score[at] > largest ? score[at] : largest;
    }
    const float alpha = kernel_exp(m - largest);
    for (uint32_t i = 0; i < LANES; i++) lane[i] *= alpha;
    for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= alpha;
    for (uint32_t p = first; p <= last; p++) {
        const uint32_t at = p % KV_PAGE;
        const float e = kernel_exp(score[at] - largest);
        lane[p % LANES] += e;
        for (uint32_t i = 0; i < t->head_dim; i++) {
            const float weight = t->type == KV_Q8_0 ? e * kv_factor(t, values, (size_t)(i / KV_BLOCK) * KV_PAGE + at) : e;
            out[i] = fmaf(weight, kv_number(t, values, (size_t)at * t->head_dim + i), out[i]);
        }
    }
    part[LANES] = largest;
}

/* Span number `span` of what a line sees. */
static void attend_span_of(const struct attend *t, const float *q, struct attend_row sees, uint32_t span, float *part)
{
    const uint32_t length = attend_span(sees.from, sees.to), number = sees.from / length + span;
    const uint32_t first = number * length > sees.from ? number * length : sees.from;
    const uint32_t end = sees.to / length > number ? number * length + (length - 1) : sees.to;
    memset(part, 0, attend_part(t->head_dim) * sizeof *part);
    part[LANES] = -INFINITY;
    for (uint32_t p = first, last; ; p = last + 1) {
        last = end / KV_PAGE > p / KV_PAGE ? p / KV_PAGE * KV_PAGE + (KV_PAGE - 1) : end;
        attend_piece(t, q, p, last, part);
        if (last == end) return;
    }
}

/* sum += part */
static void join(float *sum, const float *part, uint32_t head_dim)
{
    const float m = sum[LANES], n = part[LANES], largest = n > m ? n : m;
    const float a = kernel_exp(m - largest), b = kernel_exp(n - largest);
    for (uint32_t i = 0; i < LANES; i++) sum[i] = fmaf(part[i], b, sum[i] * a);
    for (uint32_t i = 2 * LANES; i < 2 * LANES + head_dim; i++) sum[i] = fmaf(part[i], b, sum[i] * a);
    sum[LANES] = largest;
}

static void finish(float *out, float *sum, uint32_t head_dim)
{
    const float inverse = 1.0f / fold(sum);
    for (uint32_t i = 0; i < head_dim; i++) out[i] = sum[2 * LANES + i] * inverse;
}

static void ref_attend(const struct attend *t)
{
    float *sum = t->scratch, *part = sum + attend_part(t->head_dim);
    for (uint32_t line = 0; line < t->rows * t->heads; line++) {
        const uint32_t row = line / t->heads, head = line % t->heads;
        const float *q = t->q + row * t->ldq + (size_t)head * t->head_dim;
        const uint32_t spans = attend_spans(t->sees[row].from, t->sees[row].to);
        attend_span_of(t, q, t->sees[row], 0, sum);
        for (uint32_t i = 1; i < spans; i++) {
            attend_span_of(t, q, t->sees[row], i, part);
            join(sum, part, t->head_dim);
        }
        finish(t->out + row * t->ldo + (size_t)head * t->head_dim, sum, t->head_dim);
    }
}

static void ref_attend_one_span(const struct attend *t, uint32_t span, float *parts)
{
    const uint32_t spans = attend_spans(t->sees->from, t->sees->to);
    for (uint32_t head = 0; head < t->heads; head++)
        attend_span_of(t, t->q + (size_t)head * t->head_dim, *t->sees, span,
                       parts + ((size_t)head * spans + span) * attend_part(t->head_dim));
}

static void ref_attend_join(const struct attend *t, const float *parts)
{
    const uint32_t spans = attend_spans(t->sees->from, t->sees->to);
    const size_t n = attend_part(t->head_dim);
    float *sum = t->scratch;
    for (uint32_t head = 0; head < t->heads; head++, parts += spans * n) {
        memcpy(sum, parts, n * sizeof *sum);
        for (uint32_t i = 1; i < spans; i++) join(sum, parts + i * n, t->head_dim);
        finish(t->out + (size_t)head * t->head_dim, sum, t->head_dim);
    }
}

void kernels_use_ref(struct kernels *k)
{
    *k = (struct kernels){
        .isa = "ref",
        .quantize = ref_quantize,
        .matmul = ref_matmul,
        .norm = ref_norm,
        .norm_add = ref_norm_add,
        .exp_sum = ref_exp_sum,
        .rope = ref_rope,
        .gelu_mul = ref_gelu_mul,
        .to_f16 = ref_to_f16,
        .attend = ref_attend,
        .attend_one_span = ref_attend_one_span,
        .attend_join = ref_attend_join,
        .matmul_many = ref_matmul_many,
    };
    kernels_use_ref_vision(k);
}
