/* worker/kernels/avx512.c — x86-64 with AVX-512 and VNNI: one vector is all sixteen lanes.
 *
 * Thirty-two registers hold two panels' eight groups of weights, four rows' sums with each, and what is in between. */
#include "worker/kernels/inside.h"

#include "base/half.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

typedef __m512 vf;
typedef __m512i vi;
#define V_LANES 16
#define V_PARTS 1
#define TILE_ROWS 8
#define BLOCK_ROWS 16 /* of a tile of whole numbers */
#define DOT_ROWS 4 /* rows whose whole-number sums are in registers: four chains hide the latency of vpdpbusd */
/* Q6 has two sums for each: with two vectors those of two rows are what fits beside the weights (docs/SPEED.md 24). */
#define SUM_ROWS(kind, vectors) ((kind) == P_Q6 && (vectors) > 1 ? 2 : DOT_ROWS)
#define MOST_VECTORS 2
#define FEW_REGISTERS false
#define UNPACKS_AHEAD(kind, rows) true
/* Few rows of whole numbers wait for memory, and a single stream comes fastest; the chains of few rows of floats are too short
 * by themselves (docs/SPEED.md 18). */
#define VECTORS(kind, rows) (kind_is_float(kind) ? ((rows) <= 4 ? 2 : 1) : ((rows) <= 8 ? 1 : 2))
#define LOOK_KEYS 8 /* keys, and columns of values, by two vectors of rows */
#define LOOK_COLS 12
#define ATTEND_TILE 6 /* lines of attention at a time; vectors with so many lines, whose sums are in registers */
#define ATTEND_MOST 8
#define ATTEND_VECTORS(lines) ((lines) <= 2 ? ATTEND_MOST : 4)

INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE vf vf_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
/* The instruction returns its second operand when one is a NaN. */
INLINE vf vf_at_least(float low, vf x) { return _mm512_max_ps(_mm512_set1_ps(low), x); }
INLINE vf vf_at_most(float high, vf x) { return _mm512_min_ps(_mm512_set1_ps(high), x); }
INLINE float vf_largest(vf a) { return _mm512_reduce_max_ps(a); }
INLINE vf vf_from_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
INLINE vf vf_from_f16_some(const uint16_t *p, int n) /* the first n, zeros behind them */
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}
INLINE void vf_to_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
INLINE vf vf_from_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p)));
}
INLINE vf vf_from_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}
/* Two blocks of columns woven into one another: lanes of the first and of the second in turn, so that one load brings the weights
 * of both. A weight that is loaded by itself meets but two vectors of a block, and loads are then what is waited for (docs/SPEED.md 54). */
#define ATTEND_WEAVES
INLINE void vf_weave(vf out[2], vf a, vf b)
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    out[0] = _mm512_permutex2var_ps(a, low, b);
    out[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
}
INLINE void vf_unweave(vf out[2], const vf woven[2])
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    out[0] = _mm512_permutex2var_ps(woven[0], even, woven[1]);
    out[1] = _mm512_permutex2var_ps(woven[0], _mm512_add_epi32(even, _mm512_set1_epi32(1)), woven[1]);
}
INLINE void vf_woven_from_i8(vf out[2], const int8_t *a, const int8_t *b)
{
    const __m128i first = _mm_loadu_si128((const void *)a), second = _mm_loadu_si128((const void *)b);
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi8(first, second)));
    out[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpackhi_epi8(first, second)));
}
INLINE vf vf_woven_from_f16(const uint16_t *a, const uint16_t *b)
{
    const __m128i first = _mm_loadu_si128((const void *)a), second = _mm_loadu_si128((const void *)b);
    return _mm512_cvtph_ps(_mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second)));
}
INLINE vf vf_twice(const float *p) /* each of eight */
{
    const __m512i each = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(each, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
INLINE vf vf_set_pair(const float *p)
{
    double both;
    memcpy(&both, p, sizeof both);
    return _mm512_castpd_ps(_mm512_set1_pd(both));
}
INLINE vf vf_from_vi(vi a) { return _mm512_cvtepi32_ps(a); }
INLINE vf vf_power_of_two(vi n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
INLINE vi vi_set1(int32_t n) { return _mm512_set1_epi32(n); }
INLINE vi vi_shift_left(vi a, const int n) { return _mm512_slli_epi32(a, (unsigned)n); }
INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
INLINE vi vi_half(vi a) { return _mm512_srai_epi32(a, 1); }
INLINE vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
INLINE int vi_largest(vi a) { return _mm512_reduce_max_epi32(a); }
INLINE vi vi_round(vf a) { return _mm512_cvtps_epi32(a); }
INLINE vi vi_magnitude(vf a) { return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)); }
INLINE vi vi_low_nibbles(vi a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
INLINE vi vi_high_nibbles(vi a) { return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15)); }

/* 8 + 8, 4 + 4, 2 + 2, 1 + 1: lane i gets lane i + half. */
INLINE float lanes_fold(const vf *v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(*v), _mm512_extractf32x8_ps(*v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* Sixteen ints that fit in bytes, and their sum. */
INLINE int lanes_sum_to_bytes(int8_t *q, const vi *n)
{
    _mm_storeu_si128((void *)q, _mm512_cvtepi32_epi8(*n));
    return _mm512_reduce_add_epi32(*n);
}

INLINE vi vi_prepare_q8(vi w) { return _mm512_xor_si512(w, _mm512_set1_epi8(-128)); }
/* Weights of six bits plus OFFSET_Q6: nibbles with two bits, from bit `from` of every byte on, above them. */
INLINE vi vi_six(vi nibbles, vi twos, const int from)
{
    vi above = from < 4 ? _mm512_slli_epi16(twos, 4 - from) : _mm512_srli_epi16(twos, from - 4);
    return _mm512_ternarylogic_epi32(nibbles, above, _mm512_set1_epi8(0x30), 0xf8); /* a | b & c */
}

#define DPBUSD _mm512_dpbusd_epi32
#include "worker/kernels/dpbusd.inc"

INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
INLINE void vi_store(void *p, vi v) { _mm512_storeu_si512(p, v); }
/* Two lanes of numbers below 2^15 become one of pairs. */
INLINE vi vi_pair_up(vi first, vi second) { return _mm512_or_si512(first, _mm512_slli_epi32(second, 16)); }
INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
/* b, or low, where a is a NaN. */
INLINE vf vf_greater(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf vf_above(vf a, float low) { return _mm512_max_ps(a, _mm512_set1_ps(low)); }
/* p * 2^n: n stands in the low bits of magic. */
INLINE vf vf_times_power(vf p, vf magic)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(magic), 23)));
}
/* Two products of shorts a lane. By hand: around the intrinsic gcc 12 copies sums from register to register, which
 * costs a third of the speed. */
INLINE vi vi_dot_pairs(vi s, vi a, vi b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(s) : "v"(a), "v"(b));
    return s;
}

#include "worker/kernels/rows.inc"
#include "worker/kernels/attend.inc"
#include "worker/kernels/matmul.inc"
#include "worker/kernels/vision_ops.inc"

void kernels_use_avx512(struct kernels *k)
{
    *k = (struct kernels){"avx512", quantize, matmul, norm, norm_add, rope, gelu_mul, to_f16, attend,
                          attend_one_span, attend_join, exp_sum, layer_norm, add, gelu_bias, matmul_many, vision_attend, short_row,
                          short_columns};
}
