/* worker/kernels/ref_vision.c — the picture encoder's part of the arithmetic, in plain C: the bits that vision_ops.inc
 * must equal. See ref.c. */
#include "worker/kernels/inside.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

static float fold(float lane[LANES])
{
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

static void ref_layer_norm(float *y, const float *x, const float *g, const float *b, uint32_t n, float epsilon)
{
    float sum[LANES] = {0}, squares[LANES] = {0};
    for (uint32_t i = 0; i < n; i++) sum[i % LANES] += x[i];
    const float mean = fold(sum) / (float)n;
    for (uint32_t i = 0; i < n; i++) squares[i % LANES] = fmaf(x[i] - mean, x[i] - mean, squares[i % LANES]);
    const float r = 1.0f / sqrtf(fold(squares) / (float)n + epsilon);
    for (uint32_t i = 0; i < n; i++) y[i] = fmaf((x[i] - mean) * r, g[i], b[i]);
}

static void ref_add(float *x, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += a[i] + b[i];
}

static void ref_gelu_bias(float *x, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = x[i] + b[i], slope = fmaf(GELU_B, v * v, GELU_A);
        x[i] = v / (1.0f + kernel_exp(v * slope));
    }
}

/* ---- attention ------------------------------------------------------------------------------------------------ */

#include "worker/kernels/vision_short.inc"

static float short_score(const struct vision_attend *t, const int16_t *q, float q_scale, uint32_t key)
{
    const uint32_t pairs = (t->head_dim + 1) / 2;
    const int16_t *line = t->keys + ((size_t)(key / SHORT_LINE) * pairs * SHORT_LINE + key % SHORT_LINE) * 2;
    int sum = 0;
    for (uint32_t i = 0; i < 2 * pairs; i++) sum += q[i] * line[(size_t)(i / 2) * SHORT_LINE * 2 + i % 2];
    return (float)sum * q_scale * t->key_scale[key];
}

/* 2^x times the number that the coefficients c are for. */
static float short_power(const float c[5], float x)
{
    x = x > SHORT_LOW ? x : SHORT_LOW; /* a NaN too is SHORT_LOW */
    const float magic = x + EXP_ROUND, r = x - (magic - EXP_ROUND);
    float p = fmaf(c[4], r, c[3]);
    p = fmaf(p, r, c[2]);
    p = fmaf(p, r, c[1]);
    p = fmaf(p, r, c[0]);
    return f32_from_bits(f32_bits(p) + (f32_bits(magic) << 23));
}

/* The running softmax of a row. */
struct short_row_state {
    float largest, sum;
};

static void short_look(const struct vision_attend *t, uint32_t r, float *out, uint32_t first, uint32_t n,
                       struct short_row_state *w)
{
    static const float one[5] = SHORT_POWER(1.0f), many[5] = SHORT_POWER(SHORT_ONE);
    const int16_t *values = t->values + (size_t)first * t->head_dim;
    const float *scale = t->value_scale + (size_t)(first / SHORT_KEYS) * t->head_dim;
    float score[SHORT_KEYS], top = -INFINITY;
    int p[SHORT_KEYS], total = 0;
    for (uint32_t k = 0; k < n; k++) {
        score[k] = short_score(t, t->q + r * t->ldq, t->q_scale[r * t->ld_scale], first + k);
        top = score[k] > top ? score[k] : top;
    }
    for (uint32_t k = 0; k < n; k++) total += p[k] = (int)((short_power(many, score[k] - top) + EXP_ROUND) - EXP_ROUND);
    const float largest = top > w->largest ? top : w->largest;
    const float alpha = short_power(one, w->largest - largest), beta = short_power(one, top - largest);
    w->sum = fmaf((float)total, beta, w->sum * alpha);
    w->largest = largest;
    for (uint32_t i = 0; i < t->head_dim; i++) {
        int sum = 0;
        for (uint32_t k = 0; k < n; k++) sum += p[k] * values[((size_t)(k / 2) * t->head_dim + i) * 2 + k % 2];
        out[i] = fmaf((float)sum, scale[i] * beta, out[i] * alpha);
    }
}

static void ref_vision_attend(const struct vision_attend *t)
{
    for (uint32_t r = 0; r < t->rows; r++) {
        float *out = t->out + r * t->ldo;
        struct short_row_state w = {-INFINITY, 0};
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] = 0;
        for (uint32_t key = 0; key < t->n; key += SHORT_KEYS)
            short_look(t, r, out, key, t->n - key < SHORT_KEYS ? t->n - key : SHORT_KEYS, &w);
        const float inverse = 1.0f / w.sum;
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= inverse;
    }
}

void kernels_use_ref_vision(struct kernels *k)
{
    k->layer_norm = ref_layer_norm;
    k->add = ref_add;
    k->gelu_bias = ref_gelu_bias;
    k->vision_attend = ref_vision_attend;
    k->short_row = short_row;
    k->short_columns = short_columns;
}
