/* worker/kernels/avxvnni.c — x86-64 with AVX-VNNI: 256 bits as in avx2.c, whole numbers as in avx512.c.
 *
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

INLINE vi vi_prepare_q8(vi w) { return _mm256_xor_si256(w, _mm256_set1_epi8(-128)); }
INLINE vi vi_shift_left(vi a, const int n) { return _mm256_slli_epi32(a, n); }
#include "worker/kernels/dpbusd.inc"

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
