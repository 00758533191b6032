/* tests/unit/format/blocks_test.c — what the bytes of a block mean. Blocks are packed here from known quants and scales, by
 * the published layout read in the other direction, and must come back as scale times quant. */
#include "base/half.h"
#include "partition/format/blocks.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>

static const uint32_t types[] = {T_F32, T_F16, T_Q4_0, T_Q4_1, T_Q5_0, T_Q5_1, T_Q8_0, T_Q4_K, T_Q5_K, T_Q6_K, T_BF16};

static unsigned seed = 1;
static int dice(int sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (unsigned)sides);
}

static void put_half(uint8_t *p, float f)
{
    uint16_t h = f32_to_f16(f);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static void unhex(const char *hex, uint8_t *out)
{
    for (; *hex; hex += 2) {
        unsigned v;
        sscanf(hex, "%2x", &v);
        *out++ = (uint8_t)v;
    }
}

TEST(eleven_types_are_known_and_no_other)
{
    int known = 0;
    for (uint32_t t = 0; t < 1000; t++) known += block_info(t) != NULL;
    CHECK(known == 11, "%d", known);
    CHECK(!block_info(UINT32_MAX));
    CHECK(!strcmp(block_info(T_Q5_K)->name, "Q5_K") && block_info(T_Q5_K)->bytes == 176);
    CHECK(block_info(T_Q6_K)->bytes == 210 && block_info(T_Q4_K)->bytes == 144 && block_info(T_Q5_1)->bytes == 24);
}

TEST(a_row_is_whole_blocks_or_nothing)
{
    CHECK(block_row_bytes(T_Q4_0, 2560) == 1440);
    CHECK(block_row_bytes(T_Q6_K, 512) == 420);
    CHECK(block_row_bytes(T_F32, 7) == 28);
    CHECK(block_row_bytes(T_Q4_0, 33) == 0);
    CHECK(block_row_bytes(T_Q4_K, 128) == 0);
    CHECK(block_row_bytes(9, 32) == 0);
    CHECK(block_row_bytes(T_F32, UINT64_MAX / 2) == 0, "wraps");
}

TEST(published_check_vectors_come_back)
{
    uint8_t b[34];
    float x[32];
    unhex("00b48f7f7f6e6e5d5d4c4c3b3b2a2a191908", b);
    block_dequantize(T_Q4_0, b, x, 32);
    static const float want[] = {-1.75f, -1.75f, -1.75f, -1.5f, -1.5f};
    for (int j = 0; j < 5; j++) CHECK(x[j] == want[j], "%d: %g", j, (double)x[j]);
    CHECK(x[28] == 1.5f && x[29] == 1.75f && x[30] == 1.75f && x[31] == 2.0f);

    unhex("0824899199a1a9b1b9c0c8d0d8e0e8f0f8000810182028303840474f575f676f777f", b);
    block_dequantize(T_Q8_0, b, x, 32);
    float d = f16_to_f32(0x2408);
    for (int j = 0; j < 32; j++) CHECK(x[j] == d * (float)(int8_t)b[2 + j]);
    CHECK(x[15] == 0 && x[0] == d * -119 && x[31] == d * 127);

    unhex("008088888888888888888888888888888888", b);
    block_dequantize(T_Q4_0, b, x, 32);
    for (int j = 0; j < 32; j++) CHECK(x[j] == 0);
}

/* q[32] into nibbles (low: 0..15, high: 16..31) and fifth bits. */
static void pack_nibbles(uint8_t *qs, const int *q)
{
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

static void pack_fifth(uint8_t *qh, const int *q)
{
    memset(qh, 0, 4);
    for (int j = 0; j < 32; j++) qh[j / 8] |= (uint8_t)((q[j] >> 4 & 1) << j % 8);
}

TEST(kinds_of_32_are_scale_times_quant_plus_minimum)
{
    static const struct {
        uint32_t type;
        int sides, zero;
        bool minimum;
    } kinds[] = {{T_Q4_0, 16, 8, false}, {T_Q4_1, 16, 0, true}, {T_Q5_0, 32, 16, false}, {T_Q5_1, 32, 0, true}};
    for (int round = 0; round < 200; round++) {
        const float d = 0.0123f * (float)(dice(9) - 4), m = -0.25f * (float)dice(7);
        uint8_t b[24], *p = b + 2;
        float x[32];
        int q[32];
        for (int j = 0; j < 32; j++) q[j] = dice(kinds[round % 4].sides);
        put_half(b, d);
        if (kinds[round % 4].minimum) put_half(p, m), p += 2;
        if (kinds[round % 4].sides == 32) pack_fifth(p, q), p += 4;
        pack_nibbles(p, q);
        block_dequantize(kinds[round % 4].type, b, x, 32);
        for (int j = 0; j < 32; j++) {
            float want = f16_to_f32(f32_to_f16(d)) * (float)(q[j] - kinds[round % 4].zero);
            if (kinds[round % 4].minimum) want = want + f16_to_f32(f32_to_f16(m));
            CHECK(x[j] == want, "%s %d: %g %g", block_info(kinds[round % 4].type)->name, j, (double)x[j], (double)want);
        }
    }
}

/* Eight scales and minima of six bits: the low four of the upper groups and all of the lower ones as they are, the top
 * two bits of the upper groups above those of the lower. */
static void pack_scales(uint8_t *b, const int *s, const int *m)
{
    for (int g = 0; g < 4; g++) {
        b[g] = (uint8_t)(s[g] | (s[g + 4] & 48) << 2);
        b[g + 4] = (uint8_t)(m[g] | (m[g + 4] & 48) << 2);
        b[g + 8] = (uint8_t)((s[g + 4] & 15) + 16 * (m[g + 4] & 15));
    }
}

TEST(k4_and_k5_blocks_are_scale_times_quant_minus_minimum)
{
    for (int round = 0; round < 100; round++) {
        bool five = round % 2;
        uint8_t b[176] = {0}, *high = b + 16, *qs = five ? b + 48 : b + 16;
        int s[8], m[8], q[256];
        float x[256];
        for (int g = 0; g < 8; g++) s[g] = dice(64), m[g] = dice(64);
        put_half(b, 0.001f * (float)(round + 1));
        put_half(b + 2, 0.0007f * (float)(round + 2));
        pack_scales(b + 4, s, m);
        for (int e = 0; e < 256; e++) {
            int g = e / 32, l = e % 32;
            q[e] = dice(five ? 32 : 16);
            qs[32 * (g / 2) + l] |= (uint8_t)(g % 2 ? (q[e] & 15) << 4 : q[e] & 15);
            if (five && q[e] & 16) high[l] |= (uint8_t)(1 << g);
        }
        block_dequantize(five ? T_Q5_K : T_Q4_K, b, x, 256);
        float d = f16_to_f32(f32_to_f16(0.001f * (float)(round + 1)));
        float dmin = f16_to_f32(f32_to_f16(0.0007f * (float)(round + 2)));
        for (int e = 0; e < 256; e++) {
            float want = d * (float)s[e / 32] * (float)q[e] - dmin * (float)m[e / 32];
            CHECK(x[e] == want, "round %d element %d: %g, wanted %g", round, e, (double)x[e], (double)want);
        }
    }
}

TEST(k6_blocks_are_scale_times_quant)
{
    for (int round = 0; round < 100; round++) {
        uint8_t b[210] = {0};
        int8_t s[16];
        int q[256];
        float x[256], d = 0.0003f * (float)(round - 50);
        for (int i = 0; i < 16; i++) b[192 + i] = (uint8_t)(s[i] = (int8_t)(dice(256) - 128));
        for (int e = 0; e < 256; e++) {
            int half = e / 128, quarter = e % 128 / 32, l = e % 32, v = dice(64);
            q[e] = v - 32;
            b[64 * half + l + 32 * (quarter % 2)] |= (uint8_t)((v & 15) << (quarter < 2 ? 0 : 4));
            b[128 + 32 * half + l] |= (uint8_t)((v >> 4) << 2 * quarter);
        }
        put_half(b + 208, d);
        block_dequantize(T_Q6_K, b, x, 256);
        for (int e = 0; e < 256; e++) { /* scales change every 16 elements, in order */
            float want = f16_to_f32(f32_to_f16(d)) * (float)s[e / 16] * (float)q[e];
            CHECK(x[e] == want, "round %d element %d: %g, wanted %g", round, e, (double)x[e], (double)want);
        }
    }
}

TEST(floats_are_taken_as_they_are)
{
    uint8_t b[] = {0x00, 0x3c, 0xff, 0xfb, 0x01, 0x00};
    float x[3];
    block_dequantize(T_F16, b, x, 3);
    CHECK(x[0] == 1 && x[1] == -65504 && x[2] == 0x1p-24f);
    uint8_t bf[] = {0x80, 0x3f, 0x49, 0xc0};
    block_dequantize(T_BF16, bf, x, 2);
    CHECK(x[0] == 1 && x[1] == -3.140625f);
    uint8_t f[] = {0xdb, 0x0f, 0x49, 0x40};
    block_dequantize(T_F32, f, x, 1);
    CHECK(f32_bits(x[0]) == 0x40490fdb);
}

/* Readers hand over bytes at any address of a mapped file, and ask for exactly the values they have room for. */
TEST(any_address_will_do_and_nothing_is_written_past_the_end)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct block_info *info = block_info(types[t]);
        size_t bytes = 3 * info->bytes, n = 3 * info->elems;
        uint8_t *raw = malloc(bytes + 1);
        float *a = malloc((n + 1) * sizeof *a), *b = malloc(n * sizeof *b);
        for (size_t i = 0; i < bytes; i++) raw[i + 1] = (uint8_t)dice(100);
        a[n] = 42;
        block_dequantize(types[t], raw + 1, a, n);
        for (size_t i = 0; i < 3; i++)
            block_dequantize(types[t], raw + 1 + i * info->bytes, b + i * info->elems, info->elems);
        CHECK(a[n] == 42);
        CHECK(!memcmp(a, b, n * sizeof *a), "%s", info->name);
        free(raw);
        free(a);
        free(b);
    }
}

TEST(blocks_are_finite_exactly_if_all_their_values_are)
{
    float x[256];
    uint8_t b[3 * 210];
    int odd = 0;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct block_info *info = block_info(types[t]);
        for (int turn = 0; turn < 4000; turn++) {
            for (uint32_t i = 0; i < 3 * info->bytes; i++) b[i] = (uint8_t)dice(256);
            bool finite = true;
            for (uint32_t k = 0; k < 3; k++) {
                block_dequantize(types[t], b + k * info->bytes, x, info->elems);
                for (uint32_t i = 0; i < info->elems; i++) finite &= isfinite(x[i]) != 0;
            }
            CHECK(block_is_finite(types[t], b, 3 * info->bytes) == finite, "%s", info->name);
            odd += !finite;
        }
    }
    CHECK(odd > 1000, "%d", odd);
}
