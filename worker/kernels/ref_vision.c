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

static float score_of(const struct vision_attend *t, const float *q, uint32_t key)
{
    const float *panel = t->keys + (size_t)(key / LANES) * t->head_dim * LANES + key % LANES;
    float dot = 0;
    for (uint32_t i = 0; i < t->head_dim; i++) dot = fmaf(panel[(size_t)i * LANES], q[i], dot);
    return t->scale * dot;
}

/* One row against the keys first..first+n-1. */
static void look(const struct vision_attend *t, const float *q, float *out, uint32_t first, uint32_t n, float *largest,
                 float lane[LANES])
{
    const size_t width = (t->head_dim + LANES - 1) / LANES * LANES;
    float score[VISION_KEYS], top = *largest;
    for (uint32_t k = 0; k < n; k++) {
        score[k] = score_of(t, q, first + k);
        top = score[k] > top ? score[k] : top;
    }
    const float alpha = kernel_exp(*largest - top);
    for (int i = 0; i < LANES; i++) lane[i] *= alpha;
    for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= alpha;
    for (uint32_t k = 0; k < n; k++) {
        const float e = kernel_exp(score[k] - top), *value = t->values + (first + k) * width;
        lane[k % LANES] += e;
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] = fmaf(e, value[i], out[i]);
    }
    *largest = top;
}

static void ref_vision_attend(const struct vision_attend *t)
{
    for (uint32_t r = 0; r < t->rows; r++) {
        float *out = t->out + r * t->ldo, largest = -INFINITY, lane[LANES] = {0};
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] = 0;
        for (uint32_t key = 0; key < t->n; key += VISION_KEYS)
            look(t, t->q + r * t->ldq, out, key, t->n - key < VISION_KEYS ? t->n - key : VISION_KEYS, &largest, lane);
        const float inverse = 1.0f / fold(lane);
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= inverse;
    }
}

/* ---- attention in short integers ------------------------------------------------------------------------------ */

#include "worker/kernels/vision_short.inc"

static float short_score(const struct vision_attend_short *t, const int16_t *q, float q_scale, uint32_t key)
{
    const uint32_t pairs = (t->head_dim + 1) / 2;
    const int16_t *panel = t->keys + ((size_t)(key / LANES) * pairs * LANES + key % LANES) * 2;
    int sum = 0;
    for (uint32_t i = 0; i < 2 * pairs; i++) sum += q[i] * panel[(size_t)(i / 2) * LANES * 2 + i % 2];
    return (float)sum * (q_scale * t->key_scale[key]);
}

/* out += the values of one group of keys, weighted by p. */
static void short_values(const struct vision_attend_short *t, float *out, uint32_t group, const int16_t p[SHORT_GROUP])
{
    const size_t wide = (t->head_dim + LANES - 1) / LANES * LANES;
    const int16_t *values = t->values + group * wide * SHORT_GROUP;
    for (size_t i = 0; i < t->head_dim; i++) {
        int sum = 0;
        for (size_t k = 0; k < SHORT_GROUP; k++) sum += p[k] * values[(k / 2 * wide + i) * 2 + k % 2];
        out[i] = fmaf((float)sum, t->value_scale[group * wide + i], out[i]);
    }
}

static void short_look(const struct vision_attend_short *t, uint32_t r, float *out, uint32_t first, uint32_t n,
                       float *largest, float lane[LANES])
{
    float score[VISION_KEYS], top = *largest;
    int16_t p[VISION_KEYS] = {0};
    for (uint32_t k = 0; k < n; k++) {
        score[k] = short_score(t, t->q + r * t->ldq, t->q_scale[r * t->ld_scale], first + k);
        top = score[k] > top ? score[k] : top;
    }
    const float alpha = kernel_exp(*largest - top);
    for (int i = 0; i < LANES; i++) lane[i] *= alpha;
    for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= alpha;
    for (uint32_t k = 0; k < n; k++) {
        const float e = kernel_exp(score[k] - top);
        lane[k % LANES] += e;
        p[k] = e == e ? (int16_t)rintf(e * SHORT_ONE) : 0;
    }
    for (uint32_t k = 0; k < n; k += SHORT_GROUP) short_values(t, out, (first + k) / SHORT_GROUP, p + k);
    *largest = top;
}

static void ref_vision_attend_short(const struct vision_attend_short *t)
{
    for (uint32_t r = 0; r < t->rows; r++) {
        float *out = t->out + r * t->ldo, largest = -INFINITY, lane[LANES] = {0};
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] = 0;
        for (uint32_t key = 0; key < t->n; key += VISION_KEYS)
            short_look(t, r, out, key, t->n - key < VISION_KEYS ? t->n - key : VISION_KEYS, &largest, lane);
        const float inverse = 1.0f / fold(lane);
        for (uint32_t i = 0; i < t->head_dim; i++) out[i] *= inverse;
    }
}

void kernels_use_ref_vision(struct kernels *k)
{
    k->layer_norm = ref_layer_norm;
    k->add = ref_add;
    k->gelu_bias = ref_gelu_bias;
    k->vision_attend = ref_vision_attend;
    k->vision_attend_short = ref_vision_attend_short;
    k->short_row = short_row;
    k->short_columns = short_columns;
}
