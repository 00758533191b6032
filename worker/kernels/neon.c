/* worker/kernels/neon.c — 64-bit ARM: four vectors are the sixteen lanes.
 *
 * What every such CPU has multiplies bytes into shorts and adds them up in pairs, twice. Later ones have sdot, which multiplies signed by
 * signed bytes and adds four products to an int; its lane form takes the four activation bytes straight out of a register that holds
 * sixteen. And some have smmla, which multiplies two lines of eight bytes by two others. The sums are whole numbers, so all three give the
 * same bits, and this file is compiled three times: as it is (a Raspberry Pi 4), by neon_dot.c (a Raspberry Pi 5) and by neon_i8mm.c.
 * Nothing needs shifting but Q4_0's 8. Thirty-two registers hold eight rows of one vector. */
#include "worker/kernels/inside.h"

#include "base/half.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

typedef float32x4_t vf;
typedef int32x4_t vi;
#define V_LANES 4
#define V_PARTS 4
#define TILE_ROWS 8
#define BLOCK_ROWS 8 /* of a tile of whole numbers */
#define DOT_ROWS 8
#define SUM_ROWS(kind, vectors) DOT_ROWS
#define MOST_VECTORS 4
#define FEW_REGISTERS false
#define UNPACKS_AHEAD(kind, rows) true
#define VECTORS(kind, rows) ((rows) <= 2 ? 4 : (rows) <= 4 || kind_is_float(kind) ? 2 : 1)
#define LOOK_KEYS 8 /* keys, and columns of values, by two vectors of rows */
#define LOOK_COLS 8
#define ATTEND_TILE 8 /* lines of attention at a time; vectors with so many lines, whose sums are in registers */
#define ATTEND_MOST 8
#define ATTEND_VECTORS(lines) ((lines) <= 2 ? ATTEND_MOST : 16 / (lines))

INLINE vf vf_set1(float x) { return vdupq_n_f32(x); }
INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
INLINE void vf_store(float *p, vf v) { vst1q_f32(p, v); }
INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
INLINE vf vf_neg(vf a) { return vnegq_f32(a); }
INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
INLINE vf vf_at_least(float low, vf x) { return vmaxq_f32(vdupq_n_f32(low), x); }
INLINE vf vf_at_most(float high, vf x) { return vminq_f32(vdupq_n_f32(high), x); }
INLINE float vf_largest(vf a) { return vmaxvq_f32(a); }
INLINE vf vf_from_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
/* The first n of a vector, zeros behind them; n may be anything. */
INLINE vf vf_from_f16_some(const uint16_t *p, int n)
{
    uint16_t some[V_LANES] = {0};
    if (n >= V_LANES) return vf_from_f16(p);
    if (n > 0) memcpy(some, p, (size_t)n * sizeof *p);
    return vf_from_f16(some);
}
INLINE void vf_to_f16(uint16_t *p, vf v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
INLINE vf vf_from_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
INLINE vf vf_from_u8(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, 4);
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}
INLINE vf vf_from_i8(const int8_t *p)
{
    uint32_t four;
    memcpy(&four, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four)))));
}
INLINE vf vf_from_vi(vi a) { return vcvtq_f32_s32(a); }
INLINE vf vf_power_of_two(vi n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }

INLINE vi vi_zero(void) { return vdupq_n_s32(0); }
INLINE vi vi_set1(int32_t n) { return vdupq_n_s32(n); }
INLINE vi vi_times(vi a, const int n) { return (void)n, a; } /* not needed here */
INLINE vi vi_load(const void *p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
INLINE vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
INLINE vi vi_half(vi a) { return vshrq_n_s32(a, 1); }
INLINE vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
INLINE int vi_largest(vi a) { return vmaxvq_s32(a); }
INLINE vi vi_round(vf a) { return vcvtnq_s32_f32(a); }
INLINE vi vi_magnitude(vf a) { return vandq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(0x7fffffff)); }
INLINE vi vi_low_nibbles(vi a) { return vreinterpretq_s32_u8(vandq_u8(vreinterpretq_u8_s32(a), vdupq_n_u8(15))); }
INLINE vi vi_high_nibbles(vi a) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(a), 4)); }

/* 8 + 8, 4 + 4, 2 + 2, 1 + 1: lane i gets lane i + half. */
INLINE float lanes_fold(const vf *v)
{
    vf a = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
    float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}

/* Sixteen ints that fit in bytes, and their sum. */
INLINE int lanes_sum_to_bytes(int8_t *q, const vi *n)
{
    int16x8_t low = vcombine_s16(vmovn_s32(n[0]), vmovn_s32(n[1])),
              high = vcombine_s16(vmovn_s32(n[2]), vmovn_s32(n[3]));
    vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    return vaddvq_s32(vaddq_s32(vaddq_s32(n[0], n[1]), vaddq_s32(n[2], n[3])));
}

#define OFFSET_Q8 0
#define OFFSET_Q6 0
INLINE vi vi_prepare_q8(vi w) { return w; }
/* Weights of six bits: nibbles with two bits, from bit `from` of every byte on, above them, minus 32. */
INLINE vi vi_six(vi nibbles, vi twos, const int from)
{
    uint8x16_t above = vshlq_u8(vreinterpretq_u8_s32(twos), vdupq_n_s8((int8_t)(4 - from))); /* less than none: right */
    uint8x16_t six = vorrq_u8(vreinterpretq_u8_s32(nibbles), vandq_u8(above, vdupq_n_u8(0x30)));
    return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_u8(six), vdupq_n_s8(32)));
}

#ifdef __ARM_FEATURE_DOTPROD
INLINE vi vi_dot(vi s, vi w, int8x16_t q, const int group)
{
    int8x16_t bytes = vreinterpretq_s8_s32(w);
    switch (group) { /* the lane is part of the instruction */
    case 0: return vdotq_laneq_s32(s, bytes, q, 0);
    case 1: return vdotq_laneq_s32(s, bytes, q, 1);
    case 2: return vdotq_laneq_s32(s, bytes, q, 2);
    default: return vdotq_laneq_s32(s, bytes, q, 3);
    }
}
#else
/* Two products fit in a short: weights are from -128 to 127, activations from -127 to 127. */
INLINE vi vi_dot(vi s, vi w, int8x16_t q, const int group)
{
    const int8x16_t bytes = vreinterpretq_s8_s32(w), x = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(q), group));
    return vpadalq_s16(s, vpaddq_s16(vmull_s8(vget_low_s8(bytes), vget_low_s8(x)), vmull_high_s8(bytes, x)));
}
#endif

#include "worker/kernels/weights.inc"

#ifdef __ARM_FEATURE_MATMUL_INT8
/* Two rows from place `at` on: [row][group] of eight bytes times [output row][group] makes a square of four sums; two squares are four
 * output rows of each of the two. */
INLINE void vi_dots_of_two(const enum panel_kind kind, const int first, const int groups, const int R, const int N, vi *s, const vi *ready,
                           const uint8_t *const *block, const struct acts *a, size_t at, const int r)
{
    const int8_t *x = a->q + (at + (size_t)r) * BLOCK, *y = x + BLOCK;
    EACH (v, N) {
        vi low = vi_zero(), high = vi_zero();
        EACH (i, groups / 2) {
            const int k = first + 2 * i;
            const vi w0 = weight(kind, ready, block, v, k), w1 = weight(kind, ready, block, v, k + 1);
            const int8x16_t both = vcombine_s8(vld1_s8(x + 4 * k), vld1_s8(y + 4 * k));
            low = vmmlaq_s32(low, vreinterpretq_s8_s32(vzip1q_s32(w0, w1)), both);
            high = vmmlaq_s32(high, vreinterpretq_s8_s32(vzip2q_s32(w0, w1)), both);
        }
        s[v * R + r] = vaddq_s32(offset_of(kind, a, at + (size_t)r, first / 4), vuzp1q_s32(low, high));
        s[v * R + r + 1] = vaddq_s32(offset_of(kind, a, at + (size_t)r + 1, first / 4), vuzp2q_s32(low, high));
    }
}
#endif

INLINE void vi_dots_of_one(const enum panel_kind kind, const int first, const int groups, const int R, const int N, vi *s, const vi *ready,
                           const uint8_t *const *block, const struct acts *a, size_t at, const int r)
{
    vi offset = offset_of(kind, a, at + (size_t)r, first / 4);
    EACH (v, N) s[v * R + r] = offset;
    EACH (i, groups / 4) {
        const int k = first + 4 * i;
        int8x16_t sixteen = vld1q_s8(a->q + (at + (size_t)r) * BLOCK + 4 * k);
        EACH (v, N)
            EACH (j, 4) s[v * R + r] = vi_dot(s[v * R + r], weight(kind, ready, block, v, k + j), sixteen, j);
    }
}

/* R rows from place `at` on, N vectors: s[v][r] = sum over `groups` groups from `first` on, of the weights times the row's four
 * bytes. */
INLINE void vi_dots(const enum panel_kind kind, const int first, const int groups, const int R, const int N, vi *s,
                    const vi *ready, const uint8_t *const *block, const struct acts *a, size_t at)
{
#ifdef __ARM_FEATURE_MATMUL_INT8
    EACH (pair, R / 2) vi_dots_of_two(kind, first, groups, R, N, s, ready, block, a, at, 2 * pair);
    if (R % 2) vi_dots_of_one(kind, first, groups, R, N, s, ready, block, a, at, R - 1);
#else
    EACH (r, R) vi_dots_of_one(kind, first, groups, R, N, s, ready, block, a, at, r);
#endif
}

INLINE vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
INLINE void vi_store(void *p, vi v) { vst1q_s8(p, vreinterpretq_s8_s32(v)); }
/* Two lanes of numbers below 2^15 become one of pairs. */
INLINE vi vi_pair_up(vi first, vi second) { return vorrq_s32(first, vshlq_n_s32(second, 16)); }
INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
/* b, or low, where a is a NaN. */
INLINE vf vf_greater(vf a, vf b) { return vmaxnmq_f32(a, b); }
INLINE vf vf_above(vf a, float low) { return vmaxnmq_f32(a, vdupq_n_f32(low)); }
/* p * 2^n: n stands in the low bits of magic. */
INLINE vf vf_times_power(vf p, vf magic)
{
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vreinterpretq_s32_f32(magic), 23)));
}
INLINE vi vi_dot_pairs(vi s, vi a, vi b) /* two products of shorts a lane */
{
    int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vaddq_s32(s, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}

#include "worker/kernels/rows.inc"
#include "worker/kernels/attend.inc"
#include "worker/kernels/matmul.inc"
#include "worker/kernels/vision_ops.inc"

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define KERNELS_USE kernels_use_neon_i8mm
#define KERNELS_NAME "i8mm"
#elif defined(__ARM_FEATURE_DOTPROD)
#define KERNELS_USE kernels_use_neon_dot
#define KERNELS_NAME "neondot"
#else
#define KERNELS_USE kernels_use_neon
#define KERNELS_NAME "neon"
#endif

void KERNELS_USE(struct kernels *k)
{
    *k = (struct kernels){KERNELS_NAME, quantize, matmul, norm, norm_add, rope, gelu_mul, to_f16, attend,
                          attend_one_span, attend_join, exp_sum, layer_norm, add, gelu_bias, matmul_many, vision_attend, short_row,
                          short_columns};
}
