/* worker/kernels/ref_vision.c — the picture encoder's part of the arithmetic, in plain C: the bits that vision_ops.inc
 * must equal. See ref.c. */
#include "worker/kernels/inside.h"

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

void kernels_use_ref_vision(struct kernels *k)
{
    k->layer_norm = ref_layer_norm;
    k->add = ref_add;
    k->gelu_bias = ref_gelu_bias;
    k->vision_attend = ref_vision_attend;
}
