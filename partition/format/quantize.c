/* partition/format/quantize.c — the plain quantisers, which define the bytes, and the choice of faster ones.
 *
 * Q4_0, per block of 32, all in f32: mx is the value with the largest magnitude, with its sign; among equals the first.
 * d = mx / -8, id = 1/d from the f32 d (0 if d is 0), d is stored as F16, and q = min(15, trunc(x*id + 8.5)). So the
 * extreme value is exactly -8 d and the other sign ends at +7 d.
 * Whether x*id + 8.5 is rounded once or twice is left open by the reference: it is C, and its compiler may fuse. Here
 * it is fused (fmaf), as builds for processors with FMA and the published Python version do.
 * Where 1/d overflows (|mx| below 2.4e-38) the reference converts an infinity to an integer, which C leaves open too;
 * here q = 0, what x86 gives. The stored d is 0 then, and nothing can be seen of it.
 *
 * Q8_0: d = max |x| / 127, id likewise, q = x*id rounded to nearest, halves away from zero. (The kernels that quantise
 * activations round halves to even; that is another rule for another purpose.) */
#include "partition/format/quantize.h"

#include "base/cpu.h"
#include "base/half.h"
#include "base/little_endian.h"
#include "partition/format/quantize_q6.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void plain_q4_0(const float *x, uint8_t *out, size_t blocks)
{
    for (; blocks--; x += 32, out += 18) {
        float mx = 0, most = 0;
        for (int j = 0; j < 32; j++)
            if (fabsf(x[j]) > most) most = fabsf(x[j]), mx = x[j];
        float d = mx / -8, id = d != 0 ? 1 / d : 0;
        uint8_t q[32];
        for (int j = 0; j < 32; j++) {
            float v = fmaf(x[j], id, 8.5f);
            q[j] = v >= 0 && v < 32 ? (uint8_t)(v < 16 ? v : 15) : 0;
        }
        put_le16(out, f32_to_f16(d));
        for (int j = 0; j < 16; j++) out[2 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
    }
}

static void plain_q8_0(const float *x, uint8_t *out, size_t blocks)
{
    for (; blocks--; x += 32, out += 34) {
        float most = 0;
        for (int j = 0; j < 32; j++)
            if (fabsf(x[j]) > most) most = fabsf(x[j]);
        float d = most / 127, id = d != 0 ? 1 / d : 0;
        if (id > FLT_MAX) id = 0; /* as above: d is stored as 0 */
        put_le16(out, f32_to_f16(d));
        for (int j = 0; j < 32; j++) out[2 + j] = (uint8_t)(int8_t)roundf(x[j] * id);
    }
}

static void plain_widen_f16(const uint8_t *in, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = f16_to_f32(le16(in + 2 * i));
}

static void plain_widen_bf16(const uint8_t *in, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = bf16_to_f32(le16(in + 2 * i));
}

static void plain_f16(const float *x, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) put_le16(out + 2 * i, f32_to_f16(x[i]));
}

static void plain_bf16(const float *x, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) put_le16(out + 2 * i, f32_to_bf16(x[i]));
}

static bool plain_within(const float *x, size_t n, float limit)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= limit)) return false;
    return true;
}

struct quantizer quantizer_plain(void)
{
    return (struct quantizer){
        .isa = "plain", .widen_f16 = plain_widen_f16, .widen_bf16 = plain_widen_bf16, .within = plain_within,
        .f16 = plain_f16, .bf16 = plain_bf16, .q4_0 = plain_q4_0, .q8_0 = plain_q8_0, .q6_k = q6_k_plain,
    };
}

struct quantizer quantizer_best(void)
{
    struct quantizer q = quantizer_plain();
#ifdef __x86_64__
    if (cpu_has_avx2()) quantizer_use_avx2(&q);
#endif
    return q;
}

/* ---- any type ---- */

static void put_f32(const float *x, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u = f32_bits(x[i]);
        u = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? u : __builtin_bswap32(u);
        memcpy(out + 4 * i, &u, 4);
    }
}

bool quantize_makes(uint32_t type)
{
    return type == T_F32 || type == T_F16 || type == T_BF16 || type == T_Q4_0 || type == T_Q8_0 || type == T_Q6_K;
}

void quantize_values(const struct quantizer *q, uint32_t type, const float *x, size_t n, uint8_t *out)
{
    switch (type) {
    case T_F32: put_f32(x, out, n); return;
    case T_F16: q->f16(x, out, n); return;
    case T_BF16: q->bf16(x, out, n); return;
    case T_Q4_0: q->q4_0(x, out, n / 32); return;
    case T_Q8_0: q->q8_0(x, out, n / 32); return;
    case T_Q6_K: q->q6_k(x, out, n / 256); return;
    }
}

void widen_values(const struct quantizer *q, uint32_t type, const uint8_t *in, size_t n, float *out)
{
    if (type == T_F16) q->widen_f16(in, out, n);
    else if (type == T_BF16) q->widen_bf16(in, out, n);
    else block_dequantize(type, in, out, n);
}

float quantize_limit(uint32_t type)
{
    const float f16_most = 65504;
    switch (type) {
    case T_F16: return f32_from_bits(0x477fefff); /* the last that does not round to infinity */
    case T_BF16: return f32_from_bits(0x7f7f7fff);
    case T_Q4_0: return f16_most * 8;
    case T_Q8_0: return f16_most * 127;
    case T_Q6_K: return f16_most * 128 * (Q6_K_LEAST - 1); /* its scales are the extreme value / 25, and 2 % at most */
    default: return FLT_MAX;
    }
}

size_t quantize_first_bad(const struct quantizer *q, uint32_t type, const float *x, size_t n)
{
    float limit = quantize_limit(type);
    if (q->within(x, n, limit)) return n;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= limit)) return i;
    return n;
}
