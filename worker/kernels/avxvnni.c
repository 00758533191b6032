/* worker/kernels/avxvnni.c — x86-64 with AVX-VNNI: 256 bits as in avx2.c, whole numbers as in avx512.c.
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four products to an int, with no limit on the way. Weights are
 * the unsigned side: nibbles as they are, signed ones with 128 or 32 added, taken off by the sums of the activations.
 * The same instructions exist in two encodings: CPUs without AVX-512 have one, CPUs with it the other, and some both. So
 * this file is compiled twice (avxvnni_evex.c), and a CPU with AVX-512 can prove what another will run. */
#include "worker/kernels/inside.h"
#include "worker/kernels/vectors_256.inc"

#ifdef __AVXVNNI__
#define KERNELS_USE kernels_use_avxvnni
#define DPBUSD _mm256_dpbusd_avx_epi32
#define DPWSSD _mm256_dpwssd_avx_epi32
#else
#define KERNELS_USE kernels_use_avxvnni_evex
#define DPBUSD _mm256_dpbusd_epi32
#define DPWSSD _mm256_dpwssd_epi32
#endif

#define OFFSET_Q8 128
#define OFFSET_Q6 32
INLINE vi vi_prepare_q8(vi w) { return _mm256_xor_si256(w, _mm256_set1_epi8(-128)); }
INLINE vi vi_times(vi a, const int n) { return _mm256_slli_epi32(a, __builtin_ctz((unsigned)n)); } /* a power of two */

/* R rows, BLOCK bytes apart, N vectors: s[v][r] += sum over the groups of w[v][k] times the row's four bytes. Groups
 * outside, so that N * R chains run side by side. */
INLINE void vi_dots(const int bits, const int groups, const int R, const int N, vi *s, const vi *w, const int8_t *q)
{
    (void)bits;
    EACH (k, groups)
        EACH (r, R) {
            int32_t four;
            memcpy(&four, q + r * BLOCK + 4 * k, 4);
            vi a = _mm256_set1_epi32(four);
            EACH (v, N) s[v * R + r] = DPBUSD(s[v * R + r], w[8 * v + k], a);
        }
}

INLINE vi vi_dot_pairs(vi s, vi a, vi b) { return DPWSSD(s, a, b); } /* two products of shorts a lane */

#include "worker/kernels/rows.inc"
#include "worker/kernels/attend.inc"
#include "worker/kernels/matmul.inc"
#include "worker/kernels/vision_ops.inc"

void KERNELS_USE(struct kernels *k)
{
    *k = (struct kernels){"avxvnni", quantize, matmul, norm, norm_add, rope, gelu_mul, to_f16, attend,
                          attend_one_span, attend_join, exp_sum, layer_norm, add, gelu_bias, matmul_many, vision_attend, short_row,
                          short_columns};
}
