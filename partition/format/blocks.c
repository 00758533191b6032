/* partition/format/blocks.c — what the bytes of a block mean, one block at a time, in plain C.
 *
 * This is the definition that panel packing and every kernel are tested against, so it is written to be compared with
 * the table in docs/MODEL.md and not to be fast. It is also exact: a product of an f16 scale, a small integer scale and
 * a quant fits in the 24 bits of an f32 (Q6_K's may need 25 and is rounded once), so only the minimum of the Q4_1,
 * Q5_1, Q4_K and Q5_K kinds costs a rounding, and no order of evaluation changes a bit. */
#include "partition/format/blocks.h"

#include "base/checked.h"
#include "base/half.h"
#include "base/little_endian.h"

static const struct block_info infos[] = {
    [T_F32] = {"F32", 1, 4},        [T_F16] = {"F16", 1, 2},        [T_Q4_0] = {"Q4_0", 32, 18},
    [T_Q4_1] = {"Q4_1", 32, 20},    [T_Q5_0] = {"Q5_0", 32, 22},    [T_Q5_1] = {"Q5_1", 32, 24},
    [T_Q8_0] = {"Q8_0", 32, 34},    [T_Q4_K] = {"Q4_K", 256, 144},  [T_Q5_K] = {"Q5_K", 256, 176},
    [T_Q6_K] = {"Q6_K", 256, 210},  [T_BF16] = {"BF16", 1, 2},
};

const struct block_info *block_info(uint32_t type)
{
    if (type >= sizeof infos / sizeof *infos || !infos[type].name) return NULL;
    return &infos[type];
}

uint64_t block_row_bytes(uint32_t type, uint64_t cols)
{
    const struct block_info *b = block_info(type);
    uint64_t bytes;
    if (!b || cols % b->elems || !mul_ok(cols / b->elems, b->bytes, &bytes)) return 0;
    return bytes;
}

static float f16_at(const uint8_t *p)
{
    return f16_to_f32(le16(p));
}

/* In every kind of 32, low nibbles are elements 0..15 and high nibbles 16..31. */
static int nibble(const uint8_t *qs, int j)
{
    return j < 16 ? qs[j] & 15 : qs[j - 16] >> 4;
}

static void q4_0(const uint8_t *b, float *out)
{
    float d = f16_at(b);
    for (int j = 0; j < 32; j++) out[j] = d * (float)(nibble(b + 2, j) - 8);
}

static void q4_1(const uint8_t *b, float *out)
{
    float d = f16_at(b), m = f16_at(b + 2);
    for (int j = 0; j < 32; j++) out[j] = d * (float)nibble(b + 4, j) + m;
}

static void q5_0(const uint8_t *b, float *out)
{
    float d = f16_at(b);
    uint32_t high = le32(b + 2);
    for (int j = 0; j < 32; j++) out[j] = d * (float)((nibble(b + 6, j) | (int)(high >> j & 1) << 4) - 16);
}

static void q5_1(const uint8_t *b, float *out)
{
    float d = f16_at(b), m = f16_at(b + 2);
    uint32_t high = le32(b + 4);
    for (int j = 0; j < 32; j++) out[j] = d * (float)(nibble(b + 8, j) | (int)(high >> j & 1) << 4) + m;
}

static void q8_0(const uint8_t *b, float *out)
{
    float d = f16_at(b);
    for (int j = 0; j < 32; j++) out[j] = d * (float)(int8_t)b[2 + j];
}

/* Six-bit scale and minimum of group g (0..7) out of the twelve bytes that Q4_K and Q5_K share. */
static void group_scales(const uint8_t *b, int g, float *scale, float *minimum)
{
    int s = g < 4 ? b[g] & 63 : (b[g + 4] & 15) | (b[g - 4] >> 6) << 4;
    int m = g < 4 ? b[g + 4] & 63 : b[g + 4] >> 4 | (b[g] >> 6) << 4;
    *scale = (float)s;
    *minimum = (float)m;
}

/* Groups 2i and 2i+1 share 32 bytes: the low nibbles are group 2i, the high ones 2i+1. Q5_K adds bit g of high[l]. */
static void k_groups(const uint8_t *b, const uint8_t *high, const uint8_t *qs, float *out)
{
    float d = f16_at(b), dmin = f16_at(b + 2);
    for (int g = 0; g < 8; g++) {
        float s, m;
        group_scales(b + 4, g, &s, &m);
        s *= d;
        m *= dmin;
        for (int l = 0; l < 32; l++) {
            int q = qs[32 * (g / 2) + l] >> 4 * (g & 1) & 15;
            if (high) q |= (high[l] >> g & 1) << 4;
            out[32 * g + l] = s * (float)q - m;
        }
    }
}

static void q4_k(const uint8_t *b, float *out)
{
    k_groups(b, NULL, b + 16, out);
}

static void q5_k(const uint8_t *b, float *out)
{
    k_groups(b, b + 16, b + 48, out);
}

/* Two halves of 128; in each, quarter k takes two bits from qh and a nibble from one of two runs of 32 bytes. */
static void q6_k(const uint8_t *b, float *out)
{
    float d = f16_at(b + 208);
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half, *sc = b + 192 + 8 * half;
        for (int k = 0; k < 4; k++)
            for (int l = 0; l < 32; l++) {
                int low = ql[l + 32 * (k & 1)] >> 4 * (k >> 1) & 15;
                int q = (low | (qh[l] >> 2 * k & 3) << 4) - 32;
                out[128 * half + 32 * k + l] = d * (float)(int8_t)sc[2 * k + l / 16] * (float)q;
            }
    }
}

static void f32(const uint8_t *b, float *out)
{
    *out = f32_from_bits(le32(b));
}

static void f16(const uint8_t *b, float *out)
{
    *out = f16_at(b);
}

static void bf16(const uint8_t *b, float *out)
{
    *out = bf16_to_f32(le16(b));
}

void block_dequantize(uint32_t type, const void *blocks, float *out, size_t n)
{
    static void (*const one[])(const uint8_t *, float *) = {
        [T_F32] = f32,   [T_F16] = f16,   [T_Q4_0] = q4_0, [T_Q4_1] = q4_1, [T_Q5_0] = q5_0, [T_Q5_1] = q5_1,
        [T_Q8_0] = q8_0, [T_Q4_K] = q4_k, [T_Q5_K] = q5_k, [T_Q6_K] = q6_k, [T_BF16] = bf16,
    };
    const struct block_info *info = block_info(type);
    const uint8_t *b = blocks;
    if (!info) return;
    for (size_t i = 0; i + info->elems <= n; i += info->elems, b += info->bytes) one[type](b, out + i);
}

/* Of what a block has, the 16 bits with the exponent decide; all ones is no number. */
static bool exponents_are_finite(const uint8_t *p, uint64_t bytes, uint32_t step, uint32_t ones)
{
    uint32_t odd = 0;
    for (uint64_t at = 0; at < bytes; at += step) odd |= (le16(p + at) & ones) == ones;
    return !odd;
}

bool block_is_finite(uint32_t type, const void *blocks, uint64_t bytes)
{
    const uint8_t *p = blocks;
    const uint32_t step = block_info(type)->bytes, half = 0x7c00, single = 0x7f80;
    switch (type) {
    case T_F32: return exponents_are_finite(p + 2, bytes, step, single);
    case T_BF16: return exponents_are_finite(p, bytes, step, single);
    case T_Q6_K: return exponents_are_finite(p + step - 2, bytes, step, half);
    case T_Q4_1:
    case T_Q5_1:
    case T_Q4_K:
    case T_Q5_K: return exponents_are_finite(p, bytes, step, half) && exponents_are_finite(p + 2, bytes, step, half);
    default: return exponents_are_finite(p, bytes, step, half);
    }
}
