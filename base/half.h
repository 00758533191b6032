/* base/half.h — the two 16-bit floats, bit for bit the same on every CPU (rounding to nearest even). */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline float f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023;
    if (e == 0) {
        float f = (float)m * 0x1p-24f; /* zero and subnormals: exact */
        return sign ? -f : f;
    }
    if (e == 31) return f32_from_bits(sign | 0x7f800000u | (m << 13) | (m ? 0x400000u : 0));
    return f32_from_bits(sign | ((e + 112) << 23) | (m << 13));
}

static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), a = u & 0x7fffffffu;
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
    if (a > 0x7f800000u) return sign | 0x7e00 | (uint16_t)((a >> 13) & 0x3ff); /* NaN, made quiet as hardware does */
    if (a >= 0x477ff000u) return sign | 0x7c00;                                  /* rounds to infinity */
    if (a < 0x38800000u) {                                                       /* subnormal or zero in f16 */
        float shifted = f32_from_bits(a) + 0.5f; /* the adder rounds to the last place of f16 for us */
        return sign | (uint16_t)(f32_bits(shifted) - 0x3f000000u);
    }
    return sign | (uint16_t)((a - 0x38000000u + 0xfffu + ((a >> 13) & 1)) >> 13);
}

static inline float bf16_to_f32(uint16_t b)
{
    return f32_from_bits((uint32_t)b << 16);
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 64);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
