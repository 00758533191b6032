/* partition/format/blocks.h — the number formats a tensor can have, as they lie in a file (docs/MODEL.md, "Block formats").
 *
 * The numbers are GGUF's own. A row is a whole number of blocks; a block is `elems` values in `bytes` bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_type {
    T_F32 = 0,
    T_F16 = 1,
    T_Q4_0 = 2,
    T_Q4_1 = 3,
    T_Q5_0 = 6,
    T_Q5_1 = 7,
    T_Q8_0 = 8,
    T_Q4_K = 12,
    T_Q5_K = 13,
    T_Q6_K = 14,
    T_BF16 = 30,
};

struct block_info {
    const char *name; /* "Q4_0" */
    uint32_t elems, bytes;
};

/* NULL if we do not read this type. */
const struct block_info *block_info(uint32_t type);

/* Bytes of a row of `cols` values of a known type; 0 if `cols` is not whole blocks or the product wraps. */
uint64_t block_row_bytes(uint32_t type, uint64_t cols);

/* `n` values, whole blocks, in order. The plain truth that panel packing and every kernel are tested against. */
void block_dequantize(uint32_t type, const void *blocks, float *out, size_t n);

/* Whether `bytes` of whole blocks hold nothing but numbers: no NaN and no infinity, neither as value nor as scale. */
bool block_is_finite(uint32_t type, const void *blocks, uint64_t bytes);
