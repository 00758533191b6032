/* worker/kernels/avx2.c — x86-64 with AVX2, FMA and F16C.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs into 16 bits, with saturation, so it matters how large
 * things get. Activations are at most 127:
 *     4 bits   15 * 127 * 2 =  3810 a pair, eight groups 30480: all of a block fits before it is widened
 *     5 bits   31 * 127 * 2 =  7874,        four groups 31496
 *     6 bits   63 * 127 * 2 = 16002,        four groups do not fit, but once Q6's 32 is taken off, in the same shorts, what comes
 *                                           out does (32 * 127 * 8), and sums of shorts may wrap on the way
 *     8 bits  128 * 127 * 2 = 32512,        one group; weights are signed, so |w| times the activation with w's sign. With more than
 *                                           two rows that is one instruction too many on two of four ports: there both sides
 *                                           become shorts, for vpmaddwd
 * A block of Q4_0, one row and one vector are 20 instructions that want a vector port: 8 products and 7 sums, 1 to widen, and 4 for
 * offset, conversion, the product of the scales and fma. So with four ports 80 % of the peak (8 + 8) is the most, and with three
 * too (docs/SPEED.md 30). */
#include "worker/kernels/inside.h"
#include "worker/kernels/vectors_256.inc"

#define WIDE(kind, rows) ((kind) == P_Q8 && (rows) > DOT_ROWS)
#define OFFSET_Q8 0
#define OFFSET_Q6 32
INLINE vi vi_prepare_q8(vi w) { return w; }
INLINE vi vi_times(vi a, const int n) { return (void)n, a; } /* not needed here */
INLINE vi vi_widened(vi pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); } /* two shorts become their sum */

#include "worker/kernels/weights.inc"

/* sum += pairs of products. By hand: gcc reorders sums of shorts as it likes, and keeps all products in memory until the end. */
INLINE void add_pairs(vi *sum, vi unsigned_bytes, vi signed_bytes)
{
    vi pairs;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(*sum), "=&x"(pairs) : "x"(unsigned_bytes), "x"(signed_bytes));
}

/* The same where both are signed, into ints. */
INLINE void add_signed(vi *sum, vi w, vi magnitude_of_w, vi bytes)
{
    vi products;
    __asm__("vpsignb %2, %4, %1\n\tvpmaddubsw %1, %3, %1\n\tvpmaddwd %5, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(*sum), "=&x"(products) : "x"(w), "x"(magnitude_of_w), "x"(bytes), "x"(_mm256_set1_epi16(1)));
}

/* One group of N vectors times the row's four bytes; `first` begins the sums. */
INLINE void add_group_row(const enum panel_kind kind, const bool first, const int R, const int N, vi *sum, const vi *w, const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    vi bytes = vi_set1(four);
    EACH (v, N) {
        if (kind == P_Q8) {
            if (first) sum[v * R] = vi_zero();
            add_signed(sum + v * R, w[v], _mm256_abs_epi8(w[v]), bytes);
        } else if (first) {
            sum[v * R] = _mm256_maddubs_epi16(w[v], bytes);
        } else {
            add_pairs(sum + v * R, w[v], bytes);
        }
    }
}

/* Two products of shorts a lane. By hand, as add_pairs. */
INLINE vi vi_dot_pairs(vi s, vi a, vi b)
{
    vi products;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(s), "=&x"(products) : "x"(a), "x"(b));
    return s;
}

/* Q8 in shorts. A word of four bytes is a pair of its even bytes and a pair of its odd ones. */
INLINE vi even_bytes(vi a) { return _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8); }
INLINE vi odd_bytes(vi a) { return _mm256_srai_epi16(a, 8); }

INLINE void wide_dots(const int R, const int N, vi *s, const vi *ready, const uint8_t *const *block, const struct acts *a, size_t at)
{
    const int16_t *q = a->wide + (at - a->wide_at) * BLOCK;
    __asm__ volatile("" : "+r"(q)); /* as read_late */
    EACH (i, 16) {
        vi group[MOST_VECTORS];
        EACH (v, N) {
            vi bytes = weight(P_Q8, ready, block, v, i / 2);
            group[v] = i % 2 ? odd_bytes(bytes) : even_bytes(bytes);
        }
        EACH (r, R) {
            int32_t pair;
            memcpy(&pair, q + r * BLOCK + i % 2 * (BLOCK / 2) + i / 2 * 2, sizeof pair);
            vi both = vi_set1(pair);
            EACH (v, N) s[v * R + r] = i ? vi_dot_pairs(s[v * R + r], group[v], both) : _mm256_madd_epi16(group[v], both);
        }
    }
}

/* R rows from place `at` on, N vectors: s[v][r] = sum over `groups` groups from `first` on, of the weights times the row's four
 * bytes. */
INLINE void vi_dots(const enum panel_kind kind, const int first, const int groups, const int R, const int N, vi *s,
                    const vi *ready, const uint8_t *const *block, const struct acts *a, size_t at)
{
    if (kind == P_Q8 && a->wide && R == DOT_ROWS) {
        wide_dots(R, N, s, ready, block, a, at);
        return;
    }
    const int together = kind == P_Q8M || kind == P_K5 ? 4 : groups; /* before a short is full */
    const int8_t *q = a->q + at * BLOCK;
    vi sum[MOST_VECTORS * DOT_ROWS], group[MOST_VECTORS];
    __asm__ volatile("" : "+r"(q)); /* as read_late */
    EACH (i, groups) {
        const int k = first + group_order(kind, groups, i);
        EACH (v, N) group[v] = weight(kind, ready, block, v, k);
        EACH (r, R) add_group_row(kind, i % together == 0, R, N, sum + r, group, q + r * BLOCK + 4 * k);
        if ((i + 1) % together) continue;
        EACH (r, R) {
            vi offset = offset_of(kind, a, at + (size_t)r, first / 4);
            EACH (v, N) {
                vi all = sum[v * R + r];
                if (kind == P_Q6) all = _mm256_add_epi16(all, offset);
                if (kind != P_Q8) all = vi_widened(all);
                if (kind == P_Q4) all = _mm256_add_epi32(all, offset);
                s[v * R + r] = i < together ? all : _mm256_add_epi32(s[v * R + r], all);
            }
        }
    }
}

#include "worker/kernels/rows.inc"
#include "worker/kernels/attend.inc"
#define WIDE_COLS 2560 /* of a piece: 80 KB of shorts (docs/SPEED.md 30) */
#define ALL_PIECES(kind, rows) (WIDE(kind, rows) ? wide_pieces : all_pieces)
struct tiles;
struct piece;
static void wide_pieces(const struct tiles *tiles, struct piece *t, uint32_t first, uint32_t end);
#include "worker/kernels/matmul.inc"

/* Tile by tile, so that a tile's shorts, made once, meet all weights of the piece. */
static void wide_pieces(const struct tiles *tiles, struct piece *t, uint32_t first, uint32_t end)
{
    _Alignas(32) int16_t wide[WIDE_COLS * BLOCK_ROWS];
    struct acts a = *t->a;
    a.wide = wide;
    t->a = &a;
    for (t->from = 0; t->from < t->w->cols; t->from = t->to) {
        t->to = t->w->cols - t->from <= WIDE_COLS ? t->w->cols : t->from + WIDE_COLS;
        for (t->row = 0; t->row < a.rows; t->row += t->rows) {
            a.wide_at = act_at(&a, t->row / a.tile * a.tile, t->from / BLOCK);
            for (uint32_t i = 0; i < (t->to - t->from) / BLOCK * a.tile; i++) {
                vi bytes = vi_load(a.q + (a.wide_at + i) * BLOCK);
                vi_store(wide + i * BLOCK, even_bytes(bytes));
                vi_store(wide + i * BLOCK + BLOCK / 2, odd_bytes(bytes));
            }
            one_tile(tiles, t, first, end);
        }
    }
}
#include "worker/kernels/vision_ops.inc"

/* vi_dots wants the offsets of Q6 in shorts: of columns 4k and 4k + 1, and of 4k + 2 and 4k + 3. */
static void quantize_split(struct acts *a, uint32_t row, const float *x, uint32_t first, uint32_t n)
{
    quantize(a, row, x, first, n);
    for (uint32_t i = 0; i < n; i += BLOCK)
        for (int half = 0; half < 2; half++) {
            const size_t at = act_at(a, row, (first + i) / BLOCK);
            __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(32), _mm_loadu_si128((const void *)(a->q + at * BLOCK + 16 * half)));
            pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0x4e));
            pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0xb1));
            a->minus32[2 * at + (size_t)half] = _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), pairs));
        }
}

void kernels_use_avx2(struct kernels *k)
{
    *k = (struct kernels){"avx2", quantize_split, matmul, norm, norm_add, rope, gelu_mul, to_f16, attend,
                          attend_one_span, attend_join, exp_sum, layer_norm, add, gelu_bias, matmul_many, vision_attend, short_row,
                          short_columns};
}
