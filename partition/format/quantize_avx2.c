/* partition/format/quantize_avx2.c — the quantisers for x86-64 with AVX2, FMA and F16C; the bytes are those of the plain ones.
 *
 * Q4_0 and Q8_0: a block is four vectors. The first among equal extremes is found by comparing all 32 with the largest
 * magnitude and taking the lowest bit. Halves away from zero: adding the float below 0.5 with the sign of the value and
 * cutting off is exactly that for every float.
 * Q6_K: a lane is one of the eight tries, so each lane does the plain sums in the plain order.
 *
 * Three to six times what a fast disk delivers per core: widening and quantising run in cache (convert.c). */
#include "partition/format/quantize.h"

#ifdef __AVX2__

#include "base/half.h"
#include "partition/format/quantize_q6.h"

#include <immintrin.h>
#include <math.h>

static __m256 magnitude(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

static float largest(__m256 x)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static unsigned where(__m256 magnitudes, __m256 most)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(magnitudes, most, _CMP_EQ_OQ));
}

struct block32 {
    __m256 x[4], a[4]; /* values, magnitudes */
    float most;
};

static struct block32 load32(const float *x)
{
    struct block32 b;
    for (int i = 0; i < 4; i++) {
        b.x[i] = _mm256_loadu_ps(x + 8 * i);
        b.a[i] = magnitude(b.x[i]);
    }
    b.most = largest(_mm256_max_ps(_mm256_max_ps(b.a[0], b.a[1]), _mm256_max_ps(b.a[2], b.a[3])));
    return b;
}

static void put_half(uint8_t *p, float d)
{
    unsigned h = _cvtss_sh(d, _MM_FROUND_TO_NEAREST_INT);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static __m256i nibbles(__m256 x, __m256 id)
{
    __m256i q = _mm256_cvttps_epi32(_mm256_fmadd_ps(x, id, _mm256_set1_ps(8.5f)));
    q = _mm256_min_epi32(q, _mm256_set1_epi32(15));
    return _mm256_max_epi32(q, _mm256_setzero_si256()); /* an infinity or NaN became the least integer */
}

static void avx2_q4_0(const float *x, uint8_t *out, size_t blocks)
{
    for (; blocks--; x += 32, out += 18) {
        struct block32 b = load32(x);
        __m256 most = _mm256_set1_ps(b.most);
        unsigned at = 0;
        for (int i = 0; i < 4; i++) at |= where(b.a[i], most) << 8 * i;
        float mx = b.most != 0 ? x[__builtin_ctz(at)] : 0; /* of zeros the sign does not count */
        float d = mx / -8, id = d != 0 ? 1 / d : 0;
        __m256 all = _mm256_set1_ps(id);
        __m256i low = _mm256_or_si256(nibbles(b.x[0], all), _mm256_slli_epi32(nibbles(b.x[2], all), 4));
        __m256i high = _mm256_or_si256(nibbles(b.x[1], all), _mm256_slli_epi32(nibbles(b.x[3], all), 4));
        __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
        __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        put_half(out, d);
        _mm_storeu_si128((__m128i *)(out + 2), bytes);
    }
}

static __m256i nearest_away(__m256 x, __m256 id)
{
    __m256 v = _mm256_mul_ps(x, id);
    __m256 sign = _mm256_and_ps(v, _mm256_set1_ps(-0.0f));
    return _mm256_cvttps_epi32(_mm256_add_ps(v, _mm256_or_ps(sign, _mm256_set1_ps(0x1.fffffep-2f))));
}

static void avx2_q8_0(const float *x, uint8_t *out, size_t blocks)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; blocks--; x += 32, out += 34) {
        struct block32 b = load32(x);
        float d = b.most / 127, id = d != 0 ? 1 / d : 0;
        if (isinf(id)) id = 0;
        __m256 all = _mm256_set1_ps(id);
        __m256i q01 = _mm256_packs_epi32(nearest_away(b.x[0], all), nearest_away(b.x[1], all));
        __m256i q23 = _mm256_packs_epi32(nearest_away(b.x[2], all), nearest_away(b.x[3], all));
        __m256i q = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(q01, q23), order);
        put_half(out, d);
        _mm256_storeu_si256((__m256i *)(out + 2), q);
    }
}

/* ---- Q6_K: lane k is try k ---- */

static __m256 quant(__m256 x, __m256 t)
{
    __m256 q = _mm256_round_ps(_mm256_mul_ps(x, t), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_min_ps(_mm256_max_ps(q, _mm256_set1_ps(-32)), _mm256_set1_ps(31));
}

static float group_scale(const float *x)
{
    __m256 a = magnitude(_mm256_loadu_ps(x)), b = magnitude(_mm256_loadu_ps(x + 8));
    float most = largest(_mm256_max_ps(a, b));
    if (most < Q6_K_NOTHING) return 0;
    float mx = x[__builtin_ctz(where(a, _mm256_set1_ps(most)) | where(b, _mm256_set1_ps(most)) << 8)];
    __m256 t = _mm256_div_ps(_mm256_setr_ps(-32, -31, -30, -29, -28, -27, -26, -25), _mm256_set1_ps(mx));
    __m256 xq = _mm256_setzero_ps(), qq = xq;
    for (int j = 0; j < 16; j++) {
        __m256 v = _mm256_broadcast_ss(x + j), q = quant(v, t);
        xq = _mm256_add_ps(xq, _mm256_mul_ps(v, q));
        qq = _mm256_add_ps(qq, _mm256_mul_ps(q, q));
    }
    __m256 gain = _mm256_div_ps(_mm256_mul_ps(xq, xq), qq), s = _mm256_div_ps(xq, qq);
    float scales[8], best = largest(gain);
    if (!(best > 0)) return 0;
    _mm256_storeu_ps(scales, s);
    return scales[__builtin_ctz(where(gain, _mm256_set1_ps(best)))];
}

static __m256 inverse(__m256 scale)
{
    __m256 zero = _mm256_cmp_ps(scale, _mm256_setzero_ps(), _CMP_EQ_OQ);
    return _mm256_andnot_ps(zero, _mm256_div_ps(_mm256_set1_ps(1), scale));
}

static int better_scale(const float *x, float d, int sc)
{
    __m256i near = _mm256_add_epi32(_mm256_set1_epi32(sc),
                                    _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q6_k_around)));
    near = _mm256_min_epi32(_mm256_max_epi32(near, _mm256_set1_epi32(-128)), _mm256_set1_epi32(127));
    __m256 scale = _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(near)), t = inverse(scale);
    __m256 error = _mm256_setzero_ps();
    for (int j = 0; j < 16; j++) {
        __m256 v = _mm256_broadcast_ss(x + j), off = _mm256_sub_ps(v, _mm256_mul_ps(scale, quant(v, t)));
        error = _mm256_add_ps(error, _mm256_mul_ps(off, off));
    }
    __m256 turned = _mm256_xor_ps(error, _mm256_set1_ps(-0.0f)); /* the least is the largest negative */
    int tries[8];
    _mm256_storeu_si256((__m256i *)tries, near);
    return tries[__builtin_ctz(where(turned, _mm256_set1_ps(largest(turned))))];
}

static __m256i group_quants(const float *x, float t)
{
    __m256i q = _mm256_cvtps_epi32(quant(_mm256_loadu_ps(x), _mm256_set1_ps(t)));
    return _mm256_add_epi32(q, _mm256_set1_epi32(32));
}

static void avx2_q6_k(const float *x, uint8_t *out, size_t blocks)
{
    for (; blocks--; x += 256, out += 210) {
        float s[16], extreme = 0;
        uint8_t q[256];
        for (int g = 0; g < 16; g++) {
            s[g] = group_scale(x + 16 * g);
            if (fabsf(s[g]) > fabsf(extreme)) extreme = s[g];
        }
        put_half(out + 208, extreme / -128);
        float d = f16_to_f32((uint16_t)(out[208] | out[209] << 8)), id = d != 0 ? 1 / d : 0;
        for (int g = 0; g < 16; g++) {
            float r = rintf(s[g] * id);
            int sc = id != 0 ? better_scale(x + 16 * g, d, (int)(r < -128 ? -128 : r > 127 ? 127 : r)) : 0;
            float scale = d * (float)sc, t = scale != 0 ? 1 / scale : 0;
            __m256i words = _mm256_packs_epi32(group_quants(x + 16 * g, t), group_quants(x + 16 * g + 8, t));
            words = _mm256_permute4x64_epi64(words, 0xd8);
            __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
            _mm_storeu_si128((__m128i *)(q + 16 * g), bytes);
            out[192 + g] = (uint8_t)(int8_t)sc;
        }
        q6_k_pack(q, out);
    }
}

/* ---- 16-bit floats, and the check ---- */

static void avx2_widen_f16(const uint8_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + 2 * i))));
    for (; i < n; i++) out[i] = f16_to_f32((uint16_t)(in[2 * i] | in[2 * i + 1] << 8));
}

static void avx2_widen_bf16(const uint8_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(in + 2 * i)));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    for (; i < n; i++) out[i] = bf16_to_f32((uint16_t)(in[2 * i] | in[2 * i + 1] << 8));
}

static void avx2_f16(const float *x, uint8_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + 2 * i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) put_half(out + 2 * i, x[i]);
}

static bool avx2_within(const float *x, size_t n, float limit)
{
    __m256 most = _mm256_set1_ps(limit), ok = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        ok = _mm256_and_ps(ok, _mm256_cmp_ps(magnitude(_mm256_loadu_ps(x + i)), most, _CMP_LE_OQ));
    bool all = _mm256_movemask_ps(ok) == 255;
    for (; i < n; i++) all &= fabsf(x[i]) <= limit;
    return all;
}

void quantizer_use_avx2(struct quantizer *q)
{
    *q = (struct quantizer){
        .isa = "avx2", .widen_f16 = avx2_widen_f16, .widen_bf16 = avx2_widen_bf16, .within = avx2_within,
        .f16 = avx2_f16, .bf16 = q->bf16, .q4_0 = avx2_q4_0, .q8_0 = avx2_q8_0, .q6_k = avx2_q6_k,
    };
}

#endif
