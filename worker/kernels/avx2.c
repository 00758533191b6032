/* worker/kernels/avx2.c — x86-64 with AVX2, FMA and F16C: two vectors are the sixteen lanes.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs into 16 bits, with saturation, so it matters how large
 * things get. Activations are at most 127:
 *     4 bits   15 * 127 * 2 =  3810 a pair, eight groups 30480: all of a block fits before it is widened
 *     5 bits   31 * 127 * 2 =  7874,        four groups 31496
 *     6 bits   63 * 127 * 2 = 16002,        two groups 32004   (Q6: -32..31 shifted by 32)
 *     8 bits  128 * 127 * 2 = 32512,        one group; weights are signed, so |w| times the activation with w's sign
 * Sixteen registers hold four rows' sums of one vector, so a tile is four rows high here. */
#include "worker/kernels/inside.h"

#include "base/half.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

typedef __m256 vf;
typedef __m256i vi;
#define V_LANES 8
#define V_PARTS 2
#define TILE_ROWS 4
#define BLOCK_ROWS 4 /* of a tile of whole numbers */
#define DOT_ROWS 4
#define MOST_VECTORS 2
#define VECTORS(kind, rows) ((rows) <= 2 || kind_is_float(kind) ? 2 : 1)
#define LOOK_KEYS 4 /* keys, and columns of values, by two vectors of rows */
#define LOOK_COLS 6
#define ATTEND_TILE 4  /* lines of attention at a time; registers their sums may have; vectors in a row of them */
#define ATTEND_SUMS 8
#define ATTEND_MOST 8

INLINE vf vf_set1(float x) { return _mm256_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vf vf_neg(vf a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
/* The instruction returns its second operand when one is a NaN. */
INLINE vf vf_at_least(float low, vf x) { return _mm256_max_ps(_mm256_set1_ps(low), x); }
INLINE vf vf_at_most(float high, vf x) { return _mm256_min_ps(_mm256_set1_ps(high), x); }
INLINE float vf_largest(vf a)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
INLINE vf vf_from_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
/* The first n of a vector, zeros behind them; n may be anything. */
INLINE vf vf_from_f16_some(const uint16_t *p, int n)
{
    uint16_t some[V_LANES] = {0};
    if (n >= V_LANES) return vf_from_f16(p);
    if (n > 0) memcpy(some, p, (size_t)n * sizeof *p);
    return vf_from_f16(some);
}
INLINE void vf_to_f16(uint16_t *p, vf v) { _mm_storeu_si128((void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)); }
INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
INLINE vf vf_from_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
}
INLINE vf vf_from_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}
INLINE vf vf_from_vi(vi a) { return _mm256_cvtepi32_ps(a); }
INLINE vf vf_power_of_two(vi n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
INLINE vi vi_set1(int32_t n) { return _mm256_set1_epi32(n); }
INLINE vi vi_times(vi a, const int n) { return (void)n, a; } /* not needed here */
INLINE vi vi_load(const void *p) { return _mm256_loadu_si256(p); }
INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
INLINE vi vi_half(vi a) { return _mm256_srai_epi32(a, 1); }
INLINE vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
INLINE vi vi_round(vf a) { return _mm256_cvtps_epi32(a); }
INLINE vi vi_magnitude(vf a) { return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff)); }
INLINE vi vi_low_nibbles(vi a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
INLINE vi vi_high_nibbles(vi a) { return _mm256_and_si256(_mm256_srli_epi16(a, 4), _mm256_set1_epi8(15)); }
INLINE int vi_largest(vi a)
{
    __m128i b = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    b = _mm_max_epi32(b, _mm_shuffle_epi32(b, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(b, _mm_shuffle_epi32(b, 0xb1)));
}

/* 8 + 8, 4 + 4, 2 + 2, 1 + 1: lane i gets lane i + half. */
INLINE float lanes_fold(const vf *v)
{
    __m256 a = _mm256_add_ps(v[0], v[1]);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* Sixteen ints that fit in bytes, and their sum. */
INLINE int lanes_sum_to_bytes(int8_t *q, const vi *n)
{
    __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(n[0], n[1]), 0xd8);
    _mm_storeu_si128((void *)q, _mm_packs_epi16(_mm256_castsi256_si128(shorts), _mm256_extracti128_si256(shorts, 1)));
    __m256i all = _mm256_add_epi32(n[0], n[1]);
    __m128i b = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    b = _mm_add_epi32(b, _mm_shuffle_epi32(b, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(b, _mm_shuffle_epi32(b, 0xb1)));
}

#define OFFSET_Q8 0
#define OFFSET_Q6 32
INLINE vi vi_prepare_q8(vi w) { return w; }
/* Weights of six bits plus OFFSET_Q6: nibbles with two bits, from bit `from` of every byte on, above them. */
INLINE vi vi_six(vi nibbles, vi twos, const int from)
{
    vi above = from < 4 ? _mm256_slli_epi16(twos, 4 - from) : _mm256_srli_epi16(twos, from - 4);
    return _mm256_or_si256(nibbles, _mm256_and_si256(above, _mm256_set1_epi8(0x30)));
}

/* R rows, BLOCK bytes apart, N vectors: s[v][r] += sum over the groups of w[v][k] times the row's four bytes. */
INLINE void vi_dots(const int bits, const int groups, const int R, const int N, vi *s, const vi *w, const int8_t *q)
{
    const int together = bits == 8 ? 1 : bits == 6 ? 2 : bits == 5 ? 4 : 8;
    EACH (at, N * R)
        EACH (group, groups / together) {
            const int r = at % R, k = group * together;
            const vi *of = w + at / R * 8;
            vi sum = vi_zero();
            EACH (i, together) {
                const int j = k + i;
                int32_t four;
                memcpy(&four, q + r * BLOCK + 4 * j, 4);
                vi a = _mm256_set1_epi32(four);
                vi pairs = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(of[j]), _mm256_sign_epi8(a, of[j]))
                                     : _mm256_maddubs_epi16(of[j], a);
                sum = j == k ? pairs : _mm256_add_epi16(sum, pairs);
            }
            s[at] = _mm256_add_epi32(s[at], _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
        }
}

INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
INLINE void vi_store(void *p, vi v) { _mm256_storeu_si256(p, v); }
/* Two lanes of numbers below 2^15 become one of pairs. */
INLINE vi vi_pair_up(vi first, vi second) { return _mm256_or_si256(first, _mm256_slli_epi32(second, 16)); }
INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
/* b, or low, where a is a NaN. */
INLINE vf vf_greater(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf vf_above(vf a, float low) { return _mm256_max_ps(a, _mm256_set1_ps(low)); }
/* p * 2^n: n stands in the low bits of magic. */
INLINE vf vf_times_power(vf p, vf magic)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(magic), 23)));
}
INLINE vi vi_dot_pairs(vi s, vi a, vi b) { return _mm256_add_epi32(s, _mm256_madd_epi16(a, b)); } /* two products of shorts a lane */

#include "worker/kernels/rows.inc"
#include "worker/kernels/attend.inc"
#include "worker/kernels/matmul.inc"
#include "worker/kernels/vision_ops.inc"

void kernels_use_avx2(struct kernels *k)
{
    *k = (struct kernels){"avx2", quantize, matmul, norm, norm_add, rope, gelu_mul, to_f16, attend,
                          attend_one_span, attend_join, exp_sum, layer_norm, add, gelu_bias, matmul_many, vision_attend, short_row,
                          short_columns};
}
