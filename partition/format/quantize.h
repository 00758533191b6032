/* partition/format/quantize.h — from numbers to the blocks of a file: F32, F16, BF16, Q4_0, Q8_0, Q6_K (docs/MODEL.md, "Block
 * formats").
 *
 * Q4_0 and Q8_0 follow the published reference rule to the byte, because a checkpoint trained for Q4_0 is only itself
 * under that rule; quantize.c states it. Q6_K has no rule but its decoding: quantize_q6.c searches the scales.
 *
 * The plain versions define the bytes. Vector versions are laid over the table where the processor has the
 * instructions, and give the same bytes.
 *
 * Values must be finite and within quantize_limit: a scale is an F16, and beyond it a block would decode to infinities.
 * Whoever reads a file asks `within` first; here nothing is checked. Threads: no state, any number at once. */
#pragma once

#include "partition/format/blocks.h"

#include <stdbool.h>

struct quantizer {
    const char *isa; /* "plain", "avx2" */
    void (*widen_f16)(const uint8_t *in, float *out, size_t n); /* little-endian at any address; exact */
    void (*widen_bf16)(const uint8_t *in, float *out, size_t n);
    bool (*within)(const float *x, size_t n, float limit); /* every |x| <= limit; a NaN is not */
    void (*f16)(const float *x, uint8_t *out, size_t n);   /* nearest, ties to even */
    void (*bf16)(const float *x, uint8_t *out, size_t n);
    void (*q4_0)(const float *x, uint8_t *out, size_t blocks);
    void (*q8_0)(const float *x, uint8_t *out, size_t blocks);
    void (*q6_k)(const float *x, uint8_t *out, size_t blocks);
};

struct quantizer quantizer_plain(void);
struct quantizer quantizer_best(void); /* of this processor */

/* Whether quantize_values can make `type`: F32, F16, BF16, Q4_0, Q8_0, Q6_K. */
bool quantize_makes(uint32_t type);
/* `n` values, whole blocks, into `out`. */
void quantize_values(const struct quantizer *q, uint32_t type, const float *x, size_t n, uint8_t *out);
/* The other way, for any type we read. F32, F16 and BF16 are widened fast, blocks are dequantised. */
void widen_values(const struct quantizer *q, uint32_t type, const uint8_t *in, size_t n, float *out);

/* The largest magnitude that `type` can hold. */
float quantize_limit(uint32_t type);
/* Index of the first value that is NaN, infinite or beyond the limit of `type`; n if there is none. */
size_t quantize_first_bad(const struct quantizer *q, uint32_t type, const float *x, size_t n);

/* Overlays, each in a file with its own flags. */
void quantizer_use_avx2(struct quantizer *q);
