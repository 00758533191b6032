/* worker/kernels/avx2.c — x86-64 with AVX2, FMA and F16C.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs into 16 bits, with saturation, so it matters how large
 * things get. Activations are at most 127:
 *     4 bits   15 * 127 * 2 =  3810 a pair, eight groups 30480: all of a block fits before it is widened
 *     5 bits   31 * 127 * 2 =  7874,        four groups 31496
 *     6 bits   63 * 127 * 2 = 16002,        two groups 32004   (Q6: -32..31 shifted by 32)
 *     8 bits  128 * 127 * 2 = 32512,        one group; weights are signed, so |w| times the activation with w's sign */
#include "worker/kernels/inside.h"
#include "worker/kernels/vectors_256.inc"

#define OFFSET_Q8 0
#define OFFSET_Q6 32
INLINE vi vi_prepare_q8(vi w) { return w; }
INLINE vi vi_times(vi a, const int n) { return (void)n, a; } /* not needed here */

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
