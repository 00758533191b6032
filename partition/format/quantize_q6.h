/* partition/format/quantize_q6.h — inside the Q6_K quantiser: what its plain and its vector version share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The extreme value of a group is tried at quants -32, -31, … down to this. */
#define Q6_K_LEAST 25
#define Q6_K_TRIES 8 /* one vector of eight; the same number around the rounded scale */
/* A group whose largest magnitude is below this is all zero: F16 scales end at 2^-24. */
#define Q6_K_NOTHING 0x1p-40f

/* Around the rounded 8-bit scale, nearest first: among equal errors the first wins. */
static const int8_t q6_k_around[Q6_K_TRIES] = {0, -1, 1, -2, 2, -3, 3, -4};

void q6_k_plain(const float *x, uint8_t *out, size_t blocks);

/* q[256] of 0..63 into ql and qh: two halves of 128; in each, quarter k has nibble k/2 of run k%2 and two bits of
 * qh. */
static inline void q6_k_pack(const uint8_t *q, uint8_t *out)
{
    for (int half = 0; half < 2; half++, q += 128) {
        uint8_t *ql = out + 64 * half, *qh = out + 128 + 32 * half;
        for (int l = 0; l < 64; l++) ql[l] = (uint8_t)((q[l] & 15) | q[l + 64] << 4);
        for (int l = 0; l < 32; l++)
            qh[l] = (uint8_t)(q[l] >> 4 | q[l + 32] >> 4 << 2 | q[l + 64] >> 4 << 4 | q[l + 96] >> 4 << 6);
    }
}
