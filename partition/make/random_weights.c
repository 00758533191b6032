/* partition/make/random_weights.c — see random_weights.h.
 *
 * A 4B model has 3.9 billion weights and should take seconds, so a block is filled with raw random bits and only its
 * scales are then set, picked from a small table by a random byte that stands in their place already. Uniform quants
 * of 0..15 around their middle have deviation 4.61, of 0..31 9.23, of 0..63 18.5 and of -128..127 73.9: the scale is
 * the wanted deviation divided by that. */
#include "partition/make/random_weights.h"

#include "base/half.h"
#include "base/dice.h"
#include "base/hash.h"
#include "base/little_endian.h"
#include "partition/format/blocks.h"

#include <stdbool.h>
#include <string.h>

static uint64_t draw(struct noise *n)
{
    return dice_throw(&n->state);
}

static void fill(struct noise *n, uint8_t *out, size_t bytes)
{
    for (; bytes >= 8; bytes -= 8, out += 8) {
        uint64_t v = draw(n);
        memcpy(out, &v, 8);
    }
    uint64_t v = draw(n);
    memcpy(out, &v, bytes);
}

/* Twelve uniform numbers added have variance 1: normal enough, and no function of libm decides a bit. */
void noise_init(struct noise *n)
{
    n->state = 1;
    for (size_t i = 0; i < NOISE_POOL; i++) {
        uint64_t sum = 0;
        for (int k = 0; k < 6; k++) {
            uint64_t v = draw(n);
            sum += (v >> 32) + (v & 0xffffffffu);
        }
        n->pool[i] = (float)((double)sum * 0x1p-32 - 6.0);
    }
}

void noise_seed(struct noise *n, uint64_t seed, const char *name)
{
    n->state = hash_fold(seed, hash64(name, strlen(name)));
}

/* ---- floats ---- */

static void put_u32(uint8_t *p, uint32_t v)
{
    put_le16(p, (uint16_t)v);
    put_le16(p + 2, (uint16_t)(v >> 16));
}

static void floats(struct noise *n, uint32_t type, uint8_t *out, size_t count, float mean, float deviation)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++, bits >>= 16) {
        if (i % 4 == 0) bits = draw(n);
        float x = mean + deviation * n->pool[bits & 0xffff];
        if (type == T_F32) put_u32(out + 4 * i, f32_bits(x));
        else put_le16(out + 2 * i, type == T_F16 ? f32_to_f16(x) : f32_to_bf16(x));
    }
}

/* ---- quantised kinds ---- */

/* Scales between 3/4 and 5/4 of what was asked, and the same times `middle` for kinds with a minimum. */
struct scales {
    uint16_t d[256], m[256];
};

/* Quants of -8..7 lean to the negative by half a step. If all blocks leaned the same way, the rows of a matrix would
 * agree in direction, every layer would add to it, and the logits would be one large number with a little noise. So
 * half of the scales of such kinds are negative, as half of them are in real files. */
static void scales_init(struct scales *s, float scale, float middle, bool both_signs)
{
    for (int i = 0; i < 256; i++) {
        float d = scale * (0.75f + 0.5f * (float)(i / 2) / 127.0f);
        if (both_signs && i % 2) d = -d;
        s->d[i] = f32_to_f16(d);
        s->m[i] = f32_to_f16(d * middle);
    }
}

static void simple_blocks(uint8_t *b, size_t blocks, uint32_t bytes, const struct scales *s, bool minimum)
{
    for (; blocks; blocks--, b += bytes) {
        uint8_t pick = b[0];
        put_le16(b, s->d[pick]);
        if (minimum) put_le16(b + 2, s->m[pick]);
    }
}

/* Six-bit scales of 32..63 and minima next to them, packed in twelve bytes. */
static void k_blocks(uint8_t *b, size_t blocks, uint32_t bytes, const struct scales *s)
{
    for (; blocks; blocks--, b += bytes) {
        uint8_t scale[8], minimum[8], *sc = b + 4, pick = b[0];
        for (int g = 0; g < 8; g++) {
            scale[g] = 32 + (sc[g] & 31);
            minimum[g] = (uint8_t)(scale[g] - (sc[g] >> 5 & 1));
        }
        for (int g = 0; g < 4; g++) {
            sc[g] = (uint8_t)(scale[g] | scale[g + 4] >> 4 << 6);
            sc[g + 4] = (uint8_t)(minimum[g] | minimum[g + 4] >> 4 << 6);
            sc[g + 8] = (uint8_t)((scale[g + 4] & 15) | (minimum[g + 4] & 15) << 4);
        }
        put_le16(b, s->d[pick]);
        put_le16(b + 2, s->m[pick]);
    }
}

static void q6_blocks(uint8_t *b, size_t blocks, const struct scales *s)
{
    for (; blocks; blocks--, b += 210) {
        for (int i = 192; i < 208; i++) {
            int size = 64 + (b[i] & 63);
            b[i] = (uint8_t)(b[i] & 128 ? -size : size);
        }
        put_le16(b + 208, s->d[b[208]]);
    }
}

void noise_blocks(struct noise *n, uint32_t type, void *out, size_t blocks, float mean, float deviation)
{
    struct scales s;
    const struct block_info *info = block_info(type);
    if (type == T_F32 || type == T_F16 || type == T_BF16) {
        floats(n, type, out, blocks, mean, deviation);
        return;
    }
    fill(n, out, blocks * info->bytes);
    switch (type) {
    case T_Q4_0: case T_Q4_1: scales_init(&s, deviation / 4.61f, -7.5f, true); break;
    case T_Q5_0: case T_Q5_1: scales_init(&s, deviation / 9.23f, -15.5f, true); break;
    case T_Q8_0: scales_init(&s, deviation / 73.9f, 0, false); break;
    case T_Q4_K: scales_init(&s, deviation / 4.61f / 48, 7.5f, false); break; /* 48: the middle of the six-bit scales */
    case T_Q5_K: scales_init(&s, deviation / 9.23f / 48, 15.5f, false); break;
    case T_Q6_K: scales_init(&s, deviation / 18.5f / 96, 0, false); break;
    default: return;
    }
    if (type == T_Q6_K) q6_blocks(out, blocks, &s);
    else if (type == T_Q4_K || type == T_Q5_K) k_blocks(out, blocks, info->bytes, &s);
    else simple_blocks(out, blocks, info->bytes, &s, type == T_Q4_1 || type == T_Q5_1);
}
